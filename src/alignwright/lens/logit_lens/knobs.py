"""The logit lens, knob by knob (`lens: {by: logit_lens}`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from alignwright.core.claims import Claim
from alignwright.core.cost import Cost
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import Count, Effort, Reads, Sizes, Stage, resolved
from alignwright.files.data_file import Paths
from alignwright.lens.logit_lens import section

DEPTH = Claim(
    name="logit_lens.depth", title="How deep the next word is settled (0 at the first block, 1 at the last)",
    axis="inside", better=None, unit="fraction",
)  # fmt: skip
HALF = Claim(name="logit_lens.half", title="Next words settled at half the depth", axis="inside", better=None)
CONTROL = HALF.but(name="logit_lens.control", title="The same with the stream's coordinates shuffled", promisable=False)


class LogitLensStage(Stage):
    """At which depth does the stream already say what the model will write next?"""

    seeded: ClassVar[bool] = False

    by: Literal["logit_lens"]
    prompts: Annotated[Paths, Reads("prompts")] = Field(
        min_length=1, description="prompts whose next word is looked for"
    )
    limit: Annotated[Count | None, Effort(60, 300, 100000)] = Field(
        default=None, description="at most so many prompts (from effort)"
    )

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    def claims(self) -> tuple[Claim, ...]:
        return (DEPTH, HALF, CONTROL)

    def estimate(self, sizes: Sizes) -> Cost:
        return Cost.of(sizes.files(self, "prompts").at_most(resolved(self.limit)).tokens)
