"""Steering along a direction, knob by knob (`lens: {by: steer}`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from alignwright.core.claims import Claim
from alignwright.core.constitution import Constitution
from alignwright.core.cost import Cost
from alignwright.core.layer import SELECTED, LayerOrSelected
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import NEW_TOKENS, Count, Effort, Knob, KnobRows, Positive, Reads, Setting, Sizes, resolved
from alignwright.core.token_scope import TokenScope
from alignwright.files.data_file import Paths
from alignwright.files.direction_header import direction_fault
from alignwright.files.errors import bad_row_lines
from alignwright.files.items import RefusalItem
from alignwright.lens.steer import section
from alignwright.lens.token_knob import TokenStage

RANDOM = 3
"""Random directions of the same length, which every edit stands beside."""
LEAST = 8
_SHARED = "stands under 'requests' too: a direction is tried on requests that it was not taken from; leave it out here"
ABLATED = Claim(
    name="steer.refusal.ablated", title="Refusals that removing the direction undoes, beyond random directions",
    axis="inside", better=None, unit="difference", low=-1.0,
)  # fmt: skip
ADDED = ABLATED.but(
    name="steer.refusal.added", title="Refusals that adding the direction brings about, beyond random directions"
)
RATE = Claim(
    name="steer.refusal.harmful", title="Harmful requests refused, as the model is", axis="inside", better=None
)
LEVELS = (
    RATE,
    RATE.but(name="steer.refusal.harmful_ablated", title="Harmful requests refused without the direction"),
    RATE.but(name="steer.refusal.harmful_random", title="Harmful requests refused without a random direction"),
    RATE.but(name="steer.refusal.harmless", title="Harmless requests refused, as the model is"),
    RATE.but(name="steer.refusal.harmless_added", title="Harmless requests refused with the direction added"),
    RATE.but(name="steer.refusal.harmless_random", title="Harmless requests refused with a random direction added"),
)

BYPASS = Claim(
    name="steer.selected.bypass", title="Selected direction: odds of refusing harmful requests without it",
    axis="inside", better=None, unit="log odds", low=None, high=None, paired=False, promisable=False,
)  # fmt: skip
SELECTION = (
    BYPASS,
    BYPASS.but(
        name="steer.selected.induce", title="Selected direction: odds of refusing harmless requests with it added"
    ),
    BYPASS.but(
        name="steer.selected.divergence", title="Selected direction: KL of the next token after harmless requests",
        unit="nats", low=0.0,
    ),
)  # fmt: skip
CANDIDATES = 150
"""About as many are tried: five or six tokens of a template, and 24 of 30 blocks."""


class SteerStage(TokenStage):
    """Is there a direction that decides whether it refuses: taken out, does it comply, and added, does it refuse, more
    than with random directions of the same length?"""

    seeded: ClassVar[bool] = False

    by: Literal["steer"]
    requests: Annotated[Paths, Reads(RefusalItem)] = Field(
        default=(), description="requests (prompt, kind): the direction is the mean of the harmful less the harmless"
    )
    direction: Annotated[str | None, Reads(use="settings")] = Field(
        default=None,
        min_length=1,
        description="in place of requests: a safetensors file with direction.LAYER, as lens stages keep them",
    )
    tried: Annotated[Paths, Reads(RefusalItem)] = Field(
        min_length=1, description="other requests, on which it is tried"
    )
    layer: LayerOrSelected = Field(
        default=0.6,
        description="the block whose output it is taken from, from 0, or a part of the depth; or 'selected': the best"
        " of every block and token after the request, by a quarter of the requests",
    )
    scale: Positive = Field(default=1.0, description="how much of the mean difference is added")
    save: Literal["none", "ablated", "added"] = Field(
        default="none", description="also keep the steered model as a folder, which `audit --model` opens"
    )
    limit: Annotated[Count | None, Effort(24, 100, 100000)] = Field(
        default=None, description="at most so many requests of each kind are tried (from effort)"
    )
    max_new_tokens: Annotated[Count | None, Effort(24, 48, 128)] = Field(default=None, description=NEW_TOKENS)

    @model_validator(mode="after")
    def _one_direction(self) -> SteerStage:
        if bool(self.requests) == (self.direction is not None):
            raise ValueError(
                "a direction comes from 'requests' or from the file that 'direction' names: give one of them"
            )
        if self.layer == SELECTED and self.direction is not None:
            raise ValueError(
                f"'layer: {SELECTED}' selects among directions of 'requests', and 'direction' names one; leave out"
                " either"
            )
        if self.save != "none" and self.steered != "all":
            raise ValueError(
                f"'save: {self.save}' makes weights of it, which change every token alike, and 'tokens: {self.steered}'"
                " steers some; leave out either (steering/ablated and steering/added are kept in any case)"
            )
        return self

    @property
    def steered(self) -> TokenScope:
        """Which tokens are steered."""
        return self.tokens or "all"

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    def claims(self) -> tuple[Claim, ...]:
        return (ABLATED, ADDED, *LEVELS, *(SELECTION if self.layer == SELECTED else ()))

    def file_faults(
        self,
        setting: Setting,
        constitution: Constitution | None,  # noqa: ARG002 - has no part in it
    ) -> Iterator[tuple[Knob, str]]:
        """A direction that cannot be read, or is of another model or block."""
        if self.direction is None:
            return
        if why := direction_fault(setting.path(self.direction), self.layer, setting.model):
            yield ("direction",), why

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
        """A direction is a difference of two kinds, and tried on requests that it was not taken from."""
        own = {row.prompt for file in files if file.knob[0] == "requests" for row in file.rows}
        for file in (file for file in files if file.knob[0] == "tried"):
            rows = zip(file.rows, file.numbers, strict=True)
            overlap = [(number, _SHARED) for row, number in rows if row.prompt in own]
            yield from ((file.knob, line) for line in bad_row_lines(file.file, overlap))
        for knob in ("requests", "tried") if self.requests else ("tried",):
            rows = [row for file in files if file.knob[0] == knob for row in file.rows]
            counts = {kind: sum(row.kind == kind for row in rows) for kind in ("harmful", "harmless")}
            judges = knob == "requests" and self.layer == SELECTED
            if rows and min(counts.values()) < (least := 2 * LEAST if judges else LEAST):
                yield (
                    (knob,),
                    f"{counts['harmful']} harmful and {counts['harmless']} harmless requests: give at least {least} of"
                    f" each kind{', of which a quarter select' if judges else ''}",
                )

    def estimate(self, sizes: Sizes) -> Cost:
        contrast, own = sizes.files(self, "requests"), sizes.files(self, "tried").at_most(2 * resolved(self.limit))
        times = 2 + RANDOM
        reading = contrast.tokens * (1 + (CANDIDATES / 8 if self.layer == SELECTED else 0))  # an eighth is read by each
        return Cost.of(reading + times * own.tokens, times * own.rows * resolved(self.max_new_tokens))
