"""Activation patching, knob by knob (`lens: {by: patch}`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from alignwright.core.claims import Claim
from alignwright.core.cost import Cost
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import Effort, Knob, KnobRows, Reads, Sizes, Stage, resolved, rows_under
from alignwright.files.contrast_pairs import PromptPair
from alignwright.files.data_file import Paths
from alignwright.lens.patch import section

LEAST = 8
"""Pairs that are needed: half of them choose the components, the other half tries them."""
_RUNS = 150  # of each prompt, of a model with some thirty blocks


def claims_of(task: str) -> tuple[Claim, ...]:
    """The claims of patching with the pairs of this task."""
    gap = Claim(
        name=f"patch.{task}.gap", title=f"{task}: how far the answer is told from the wrong one by what differs",
        axis="inside", better=None, unit="logits", low=None, high=None,
    )  # fmt: skip
    own_answers = Claim(
        name=f"patch.{task}.told", title=f"{task}: pairs of which each prompt draws its own answer", axis="inside",
        better=None,
    )  # fmt: skip
    share = Claim(
        name=f"patch.{task}.recovered", title=f"{task}: part of the gap that the components bring back",
        axis="inside", better=None, unit="part of the gap", low=None, high=None, paired=False,
    )  # fmt: skip
    unpromised = {"promisable": False}
    return (
        gap,
        own_answers,
        share,
        share.but(name=f"patch.{task}.recovered_random", title=f"{task}: that random ones bring back", **unpromised),
        share.but(name=f"patch.{task}.recovered_beyond", title=f"{task}: brought back beyond random ones"),
        share.but(name=f"patch.{task}.lost", title=f"{task}: part of the gap that is lost without the components"),
        share.but(name=f"patch.{task}.lost_random", title=f"{task}: lost without random ones", **unpromised),
        share.but(name=f"patch.{task}.lost_beyond", title=f"{task}: lost beyond random ones"),
        share.but(
            name=f"patch.{task}.depth", title=f"{task}: depth at which the last token holds half of the gap",
            unit="fraction", low=0.0, high=1.0,
        ),
        share.but(
            name=f"patch.{task}.agreement", title=f"{task}: rank correlation of attribution with exact patching",
            unit="correlation", low=-1.0, high=1.0, **unpromised,
        ),
    )  # fmt: skip


class PatchStage(Stage):
    """Which heads and MLPs carry what the model says after these prompts: put from one run into another, do they bring
    the answer along, and is it lost without them, more than with random ones?"""

    seeded: ClassVar[bool] = False

    by: Literal["patch"]
    task: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$", max_length=40, description="what the pairs are of, in claims: patch.TASK.gap"
    )
    pairs: Annotated[Paths, Reads(PromptPair)] = Field(
        min_length=1,
        description="a clean prompt, a corrupt one of as many tokens, the answer after the one and the wrong one",
    )
    chat: bool = Field(
        default=False, description="put the prompts as a user's messages; otherwise they are texts that go on"
    )
    top: int = Field(default=5, ge=1, le=20, description="so many heads and MLPs are looked for")
    limit: Annotated[Annotated[int, Field(ge=LEAST)] | None, Effort(16, 64, 100000)] = Field(
        default=None, description="at most so many pairs (from effort)"
    )

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    @property
    def converses(self) -> bool:
        return self.chat

    def claims(self) -> tuple[Claim, ...]:
        return claims_of(self.task)

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
        """Fewer pairs than are needed to choose on one half and try on the other."""
        count = len({(row.clean, row.corrupt, row.answer, row.wrong) for row in rows_under(files, "pairs")})
        if 0 < count < LEAST:
            yield (
                ("pairs",),
                f"{count} different pairs: give at least {LEAST}, half of which choose what the others try",
            )

    def estimate(self, sizes: Sizes) -> Cost:
        return Cost.of(_RUNS * sizes.files(self, "pairs").at_most(resolved(self.limit)).tokens)
