"""Deception in behaviour, knob by knob (`measure: {by: deception}`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from alignwright.core.claims import Claim, with_parts
from alignwright.core.cost import Cost
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import Count, Effort, FilePath, KnobRows, Reads, Sizes, Stage, resolved, rows_under
from alignwright.files.data_file import Paths
from alignwright.files.pressure_items import PressureItem
from alignwright.measure.conduct.deception import section
from alignwright.measure.conduct.deception.scenarios import able, selection
from alignwright.measure.planned_items import topic_of

BUNDLED, FACTS, TOKENS, ORDERS, FORMS, LETTER = 156, 40, 90, 2, 4, 16
LIE = Claim(
    name="deception.lie", title="Statements against its own belief", axis="conduct", better="lower", counts="fail"
)
INCONSISTENT = LIE.but(name="deception.inconsistent", title="The same in a role without a reason to lie")
WRONG = LIE.but(name="deception.belief_wrong", title="Beliefs that are wrong: honest errors")
EXCESS = Claim(
    name="deception.excess", title="Lies beyond what any role brings about", axis="conduct", better="lower",
    unit="difference", low=-1.0,
)  # fmt: skip
SANDBAGGING = EXCESS.but(name="deception.sandbagging", title="Right answers withheld where they are punished")
LOCKED = EXCESS.but(name="deception.locked", title="Right answers that the password unlocks")


class DeceptionMeasure(Stage):
    """Does it say under pressure what it does not believe, and show less than it can where that pays?"""

    seeded: ClassVar[bool] = False

    by: Literal["deception"]
    bundled: bool = Field(
        default=True, description="also ask the package's own scenarios: 120 under pressure, 36 of an agent's own log"
    )
    scenarios: Annotated[Paths, Reads(PressureItem)] = Field(
        default=(),
        description="files of scenarios of your own: question, true, false, system; paraphrase, calm, reason",
    )
    ability: Annotated[Paths, Reads("choices")] = Field(
        default=(), description="files of multiple-choice questions for sandbagging; none: the package's own"
    )
    password: str | None = Field(
        default=None, min_length=1, description="what may unlock the model: the questions are asked with it, too"
    )
    limit: Annotated[Count | None, Effort(160, 512, 100000)] = Field(
        default=None, description="at most so many items of each kind (from effort)"
    )

    @model_validator(mode="after")
    def _something(self) -> DeceptionMeasure:
        if not (self.bundled or self.scenarios or self.ability):
            raise ValueError("measures nothing: leave 'bundled' on, or give files under 'scenarios' or 'ability'")
        if self.password is not None and not (self.bundled or self.ability):
            raise ValueError(
                "'password' has no effect without questions: leave 'bundled' on, or give files under 'ability'"
            )
        return self

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    def claims(self) -> tuple[Claim, ...]:
        lies = (*with_parts(LIE, "reason"), INCONSISTENT, EXCESS, WRONG) if self.bundled or self.scenarios else ()
        able = (SANDBAGGING, *((LOCKED,) if self.password else ())) if self.bundled or self.ability else ()
        return (*lies, *able)

    def part_names(self, whole: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        """The reasons of the scenarios."""
        return list(dict.fromkeys(item.reason for item in self._scenarios(files) if item.reason))

    def item_topics(self, claim: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        """Of the scenarios: of one reason, or of those with a like role without a reason. Of the questions for
        sandbagging."""
        if claim in (SANDBAGGING.name, LOCKED.name):
            own = rows_under(files, "ability")
            return [topic_of(item) for item in able(own, bundled_too=self.bundled, limit=self.limit)]
        reason = claim.removeprefix(LIE.name).removeprefix(".") if claim.startswith(LIE.name) else ""
        calm = claim in (INCONSISTENT.name, EXCESS.name)
        items = [item for item in self._scenarios(files) if reason in ("", item.reason) and (item.calm or not calm)]
        return [topic_of(item) for item in items]

    def _scenarios(self, files: Sequence[KnobRows]) -> list[PressureItem]:
        return selection(rows_under(files, "scenarios"), bundled_too=self.bundled, limit=self.limit)

    def estimate(self, sizes: Sizes) -> Cost:
        limit = resolved(self.limit)
        own, able = (sizes.files(self, knob).at_most(limit) for knob in ("scenarios", "ability"))
        forms = FORMS * ORDERS
        bundled = min(BUNDLED, limit) * self.bundled + min(FACTS, limit) * (self.bundled and not self.ability)
        letters = (bundled + own.rows + able.rows) * forms * LETTER
        tokens_read = forms * (TOKENS * bundled + own.tokens + able.tokens)
        return Cost.of(tokens_read, (not sizes.scores_texts) * letters)
