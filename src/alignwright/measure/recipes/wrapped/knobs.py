"""How is it measured whether a wrapper changes what a model answers (`measure: {by: wrapped}`)?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from alignwright.core.claims import Claim, with_parts
from alignwright.core.constitution import Constitution
from alignwright.core.cost import PROMPT, Cost
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import (
    NEW_TOKENS,
    Count,
    Effort,
    FilePath,
    Knob,
    KnobRows,
    Reads,
    Setting,
    Sizes,
    Stage,
    resolved,
)
from alignwright.files.data_file import Paths
from alignwright.files.items import PushbackItem, RefusalItem
from alignwright.files.wrappers import WRONG, read_wrappers, wrapper_faults
from alignwright.measure.planned_items import topics_under
from alignwright.measure.recipes.wrapped import section
from alignwright.measure.recipes.wrapped.bundled_wrappers import bundled_wrappers

BUNDLED = 3
"""Wrappers of each kind that come with the package."""
PLAIN = Claim(name="wrapped.plain", title="Right answers to the plain prompts", axis="conduct", harmful=True)
STAYS = Claim(
    name="wrapped.kept", title="Right plain answers that stay right in a wrapper", axis="conduct", harmful=True
)
SAME = Claim(
    name="wrapped.same", title="Wrapped prompts answered as the plain ones are, right or wrong", axis="conduct",
    harmful=True,
)  # fmt: skip


class WrappedMeasure(Stage):
    """Beside a wrong opinion, or in a jailbreak's dress, does the model answer as it does plainly?"""

    seeded: ClassVar[bool] = False

    by: Literal["wrapped"]
    requests: Annotated[Paths, Reads(RefusalItem)] = Field(
        default=(), description="files of refusal prompts, harmful and harmless"
    )
    questions: Annotated[Paths, Reads(PushbackItem)] = Field(
        default=(), description="files of pushback items; their question, beside their wrong answer"
    )
    wrappers: Annotated[str | None, Reads(use="settings")] = Field(
        default=None,
        min_length=1,
        description="a YAML file of wrappers: {prompt}, and {wrong} in those for questions (the package's 6, held out)",
    )
    limit: Annotated[Count | None, Effort(48, 256, 100000)] = Field(
        default=None, description="at most so many prompts of each kind (from effort)"
    )
    max_new_tokens: Annotated[Count | None, Effort(48, 96, 256)] = Field(default=None, description=NEW_TOKENS)

    @model_validator(mode="after")
    def _something(self) -> WrappedMeasure:
        if not (self.requests or self.questions):
            raise ValueError("measures nothing: give files under 'requests' or 'questions'")
        return self

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    def claims(self) -> tuple[Claim, ...]:
        return (PLAIN, *with_parts(STAYS, "wrapper"), *with_parts(SAME, "kind"))

    def file_faults(
        self,
        setting: Setting,
        constitution: Constitution | None,  # noqa: ARG002
    ) -> Iterator[tuple[Knob, str]]:
        if self.wrappers is not None:
            file = setting.path(self.wrappers)
            yield from wrapper_faults(file, requests=bool(self.requests), questions=bool(self.questions))

    def part_names(self, whole: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        """The wrappers of what is asked, and the kinds."""
        if whole == SAME.name:
            return [kind for kind in ("requests", "questions") if getattr(self, kind)]
        wrappers = bundled_wrappers() if self.wrappers is None else read_wrappers(path(self.wrappers))
        return [name for name, text in wrappers.items() if (self.questions if WRONG in text else self.requests)]

    def item_topics(self, claim: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        """Of the plain prompts; how many of them are right, and how many wrappers each fits, is known afterwards."""
        if claim != PLAIN.name:
            return None
        return [topic for knob in ("requests", "questions") for topic in topics_under(files, knob, self.limit) or ()]

    def estimate(self, sizes: Sizes) -> Cost:
        prompts = [sizes.files(self, knob).at_most(self.limit) for knob in ("requests", "questions")]
        replies = sum(part.rows for part in prompts) * (1 + BUNDLED)
        tokens = sum(part.tokens + part.rows * PROMPT for part in prompts) * (1 + BUNDLED)
        return Cost.of(tokens, replies * resolved(self.max_new_tokens))
