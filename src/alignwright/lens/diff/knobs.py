"""Model diffing, knob by knob (`lens: {by: diff}`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from alignwright.core.claims import Claim
from alignwright.core.cost import Cost
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import Effort, Knob, KnobRows, NamesModel, Reads, Sizes, Stage, resolved
from alignwright.files.data_file import Paths
from alignwright.files.items import TextItem
from alignwright.lens.diff import section

LEAST = 8
"""Texts that are needed: half of them give a direction, the other half tries it."""
DRAWS = 19
"""Random changes of the weights that the model's own stands beside."""
KL = Claim(
    name="diff.kl", title="How far its predictions moved (KL per token)", axis="inside", better=None, unit="nats",
    high=None, measured="trained", paired=False,
)  # fmt: skip
SHARED = KL.but(
    name="diff.shared", title="Part of what one block changed that lies along one direction", unit="part of the change",
    high=1.0, low=-1.0,
)  # fmt: skip
CLAIMS = (
    KL,
    KL.but(name="diff.kl_random", title="KL per token under a random change as large", promisable=False),
    KL.but(name="diff.kl_beyond", title="KL per token beyond a random change as large", low=None),
    SHARED,
    SHARED.but(name="diff.shared_random", title="The same of random changes, 95th per cent", promisable=False),
    KL.but(name="diff.depth", title="Depth of the block that changed most", unit="fraction", high=1.0),
    KL.but(name="diff.rank", title="Effective rank of the change of the matrix that changed most", unit="dimensions"),
    KL.but(name="diff.modules", title="Weight matrices that changed", unit="share", high=1.0),
)


class DiffStage(Stage):
    """What did training change inside: which blocks and matrices, along one direction or in all, and after which tokens
    does it predict otherwise, more than under a random change of the weights as large?"""

    seeded: ClassVar[bool] = False

    by: Literal["diff"]
    text: Annotated[Paths, Reads(TextItem)] = Field(default=(), description="plain texts that are read by both models")
    prompts: Annotated[Paths, Reads("prompts")] = Field(default=(), description="prompts that are read by both models")
    against: Annotated[
        str | None, NamesModel(no_server="a server gives no weights, which are compared: name a folder, or a Hub id")
    ] = Field(
        default=None,
        min_length=1,
        description="compare every model of the run with this one; by default the trained with the start model",
    )
    limit: Annotated[Annotated[int, Field(ge=LEAST)] | None, Effort(12, 32, 100)] = Field(
        default=None, description="at most so many texts (from effort), of the first 64 tokens each"
    )

    @model_validator(mode="after")
    def _reads_something(self) -> DiffStage:
        if not (self.text or self.prompts):
            raise ValueError("nothing to read: give plain texts under 'text' or prompts under 'prompts'")
        return self

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    @property
    def converses(self) -> bool:
        return bool(self.prompts)

    def claims(self) -> tuple[Claim, ...]:
        return CLAIMS if self.against is None else tuple(claim.but(measured="always") for claim in CLAIMS)

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
        """Fewer texts than are needed for two halves."""
        texts = [row.text if isinstance(row, TextItem) else row.conversation for file in files for row in file.rows]
        if 0 < (count := len(set(texts))) < LEAST:
            yield (files[0].knob[0],), f"{count} different texts: give at least {LEAST}"

    def estimate(self, sizes: Sizes) -> Cost:
        rows = sum(sizes.files(self, knob).rows for knob in ("text", "prompts"))
        return Cost.of(
            0.0 if sizes.begins and self.against is None else 64 * min(rows, resolved(self.limit)) * (DRAWS + 9)
        )
