"""How is a model attacked, knob by knob? Red-teaming suites, and attacks made before. The union of all
kinds stands at the end; what they share is in `knobs_requests`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator

from alignwright.attack.claims import fixed_claims
from alignwright.attack.knobs_requests import ATTACK_SUCCESS, NOT_REFUSED, AttackStage, OnRequests
from alignwright.core.claims import Claim, corrected, with_parts
from alignwright.core.constitution import Constitution
from alignwright.core.cost import Cost
from alignwright.core.stage import Count, Effort, Knob, Reads, Setting, Sizes
from alignwright.files.data_file import Paths


class Suite(OnRequests):
    """Put harmful requests through a set of jailbreak wrappers and count what is answered."""

    by: Literal["suite"]
    file: Annotated[str | None, Reads(use="settings")] = Field(
        default=None, min_length=1, description="a YAML file of wrappers"
    )
    name: Literal["jailbreaks"] | None = Field(default=None, description="a suite that ships with the package")

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

    def estimate(self, sizes: Sizes) -> Cost:
        from alignwright.attack.suites import read_wrappers  # which imports the graders

        return self.of_requests(sizes, len(read_wrappers(sizes.path(self.file) if self.file else None)))


class Replay(AttackStage):
    """Put the conversations of attacks that were made before, on any model, to this one."""

    by: Literal["replay"]
    file: Annotated[Paths, Reads("attacks")] = Field(
        min_length=1, description="attacks.jsonl of a run, what chat flagged, or a log with requests"
    )
    limit: Annotated[Count | None, Effort(240, 1280, 100000)] = Field(
        default=None, description="at most so many conversations (from effort)"
    )

    def claims(self) -> tuple[Claim, ...]:
        return fixed_claims(self.by, "Replayed attacks")

    def estimate(self, sizes: Sizes) -> Cost:
        return self.cost(sizes.files(self, "file").at_most(self.limit), 1)


AnyAttack = Replay | Suite
Attack = Annotated[AnyAttack, Field(discriminator="by")]
