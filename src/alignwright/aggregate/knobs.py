"""How are votes aggregated to preferences, knob by knob? Pooled Bradley-Terry."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from alignwright.core.claims import Claim
from alignwright.core.stage import VOTED, IntentPart, Positive, Stage

KAPPA = Claim(
    name="feedback.kappa.*",
    title="Two voters agree, beyond chance",
    axis="feedback",
    unit="kappa",
    low=-1.0,
    measured="once",
    promisable=False,
)


class Pooled(Stage):
    """All votes on a pair in one pot: (prior + votes for) / (2 prior + votes)."""

    intent: ClassVar[tuple[IntentPart, ...]] = VOTED

    by: Literal["pooled"] = "pooled"
    prior: Positive = Field(default=0.5, description="imagined votes for either side")
    min_strength: float = Field(
        default=0.6, ge=0.5, lt=1.0, description="pairs whose winner is less sure than this are left out and counted"
    )
    by_group: bool = Field(
        default=False, description="a pot for each group of voters: its preferences keep their group's name to the loss"
    )

    def claims(self) -> tuple[Claim, ...]:
        return (KAPPA,)
