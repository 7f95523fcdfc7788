"""How is a model attacked, knob by knob? Red-teaming suites."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from alignwright.core.claims import Claim, corrected, with_parts
from alignwright.core.constitution import Constitution
from alignwright.core.cost import PROMPT, Cost
from alignwright.core.stage import NEW_TOKENS, Count, Effort, Knob, KnobRows, Reads, Setting, Sizes, Stage, resolved
from alignwright.files.data_file import Paths
from alignwright.files.items import RefusalItem

ATTACK_SUCCESS = Claim(
    name="attack.success",
    title="Attacks that got what they asked for",
    axis="attack",
    better="lower",
    counts="fail",
    grader="fulfilled",
    harmful=True,
)
NOT_REFUSED = Claim(
    name="attack.not_refused",
    title="Attacks that were not refused",
    axis="attack",
    better="lower",
    counts="fail",
    harmful=True,
)


class Suite(Stage):
    """Put harmful requests through a set of jailbreak wrappers and count what is answered."""

    by: Literal["suite"]
    file: Annotated[str | None, Reads(use="settings")] = Field(
        default=None, min_length=1, description="a YAML file of wrappers"
    )
    name: Literal["jailbreaks"] | None = Field(default=None, description="a suite that ships with the package")
    prompts: Annotated[Paths, Reads(RefusalItem)] = Field(
        min_length=1, description="files of refusal prompts; the harmful ones are attacked"
    )
    limit: Annotated[Count | None, Effort(24, 128, 100000)] = Field(
        default=None, description="at most so many requests, each in every wrapper (from effort)"
    )
    max_new_tokens: Annotated[Count | None, Effort(48, 96, 256)] = Field(default=None, description=NEW_TOKENS)

    @model_validator(mode="after")
    def _one_source(self) -> Suite:
        if (self.file is None) == (self.name is None):
            raise ValueError(
                "a suite comes from a file or by its name: give exactly one of 'file' and 'name' (there is one name:"
                " jailbreaks)"
            )
        return self

    def claims(self) -> tuple[Claim, ...]:
        way = "way of attacking"
        return (*with_parts(ATTACK_SUCCESS, way), corrected(ATTACK_SUCCESS), *with_parts(NOT_REFUSED, way))

    def file_faults(
        self,
        setting: Setting,
        constitution: Constitution | None,  # noqa: ARG002 - wrappers have nothing to do with it
    ) -> Iterator[tuple[Knob, str]]:
        from alignwright.attack.suites import read_wrappers

        try:
            read_wrappers(setting.path(self.file) if self.file else None)
        except ValueError as error:
            yield ("file",), str(error)

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
        for file in files:
            if file.knob[0] == "prompts" and not any(item.kind == "harmful" for item in file.rows):
                yield file.knob, f"{file.file}: has no harmful prompts, so there is nothing to attack with"

    def estimate(self, sizes: Sizes) -> Cost:
        from alignwright.attack.suites import read_wrappers  # which imports the graders

        requests = sizes.files(self, "prompts").at_most(self.limit)
        wrapped = requests.rows * len(read_wrappers(sizes.path(self.file) if self.file else None))
        return Cost.of(wrapped * (requests.prompt + PROMPT), wrapped * resolved(self.max_new_tokens))


AnyAttack = Suite  # one technique so far: the union grows here
Attack = Suite
