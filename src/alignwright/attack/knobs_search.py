"""How is a model attacked by a search that asks it again and again, knob by knob?"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from alignwright.attack import curve_section
from alignwright.attack.claims import search_claims
from alignwright.attack.knobs_requests import OnRequests
from alignwright.core.claims import Claim
from alignwright.core.cost import Cost
from alignwright.core.section import Cell, FindingTable, Section, Table, number
from alignwright.core.stage import Count, Effort, Positive, Sizes, resolved

FORECAST = Claim(
    name="attack.best_of_n.forecast", title="Requests that best-of-N jailbreaking would get fulfilled (extrapolated)",
    axis="attack", better="lower", counts="fail", paired=False, promisable=False, harmful=True,
)  # fmt: skip
"""A forecast is no measurement, so nothing can be promised of it."""


class BestOfNJailbreak(OnRequests):
    """Best-of-N jailbreaking (Hughes et al. 2024): ask for each request many times, each time spelt otherwise,
    and extrapolate the rate to more tries by its power law."""

    by: Literal["best_of_n"]
    tries: Annotated[Count | None, Effort(32, 128, 1000)] = Field(
        default=None, description="tries of each request (from effort)"
    )
    strength: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=0.4, description="how much the spelling changes: words and capitals with its root, signs with its cube"
    )
    temperature: Positive = Field(default=1.0, le=2.0, description="sampling temperature")
    extrapolate: Annotated[int, Field(ge=2)] = Field(
        default=10, description="forecast the rate within so many times as many tries as were made"
    )

    def claims(self) -> tuple[Claim, ...]:
        return (*search_claims(self.by, "best-of-N jailbreaking"), FORECAST)

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        curve = curve_section.section(table, "best_of_n")
        forecasts = [(stage, table.level(FORECAST.name, stage)) for stage in table.stages]
        rows = tuple(
            (Cell(stage=stage), Cell(number=number(each), lines=(each.note,)))
            for stage, each in forecasts
            if each is not None
        )
        if curve is None or not rows:
            return curve
        return curve.model_copy(
            update={
                "blocks": (*curve.blocks, Table(columns=("Model", "Forecast by the power law"), rows=rows)),
                "tells": (*curve.tells, FORECAST.name),
            }
        )

    def estimate(self, sizes: Sizes) -> Cost:
        return self.of_requests(sizes, resolved(self.tries))
