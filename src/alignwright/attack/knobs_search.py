"""How is a model attacked by a search that asks it again and again, knob by knob?"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from alignwright.attack import curve_section
from alignwright.attack.claims import search_claims
from alignwright.attack.knobs_requests import OnRequests
from alignwright.attack.knobs_white_box import BEGIN, TARGET
from alignwright.attack.mutation_names import STANDARD, mutation_names
from alignwright.core.claims import Claim
from alignwright.core.cost import Cost
from alignwright.core.section import Cell, FindingTable, Section, Table, number
from alignwright.core.stage import Count, Effort, Positive, Sizes, resolved
from alignwright.files.errors import did_you_mean

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

    @property
    def most(self) -> int:
        return resolved(self.tries)

    def claims(self) -> tuple[Claim, ...]:
        return self.told((*search_claims(self.by, "best-of-N jailbreaking"), FORECAST))

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
        return self.of_requests(sizes, self.most)


class Evolve(OnRequests):
    """Evolutionary search: breed chains of mutations by crossover and change, selected by how likely a reply
    that complies is (where the weights are here) and by the graders."""

    by: Literal["evolve"]
    generations: Annotated[Count | None, Effort(4, 8, 32)] = Field(
        default=None, description="generations for each request, the first at random (from effort)"
    )
    population: Annotated[Annotated[int, Field(ge=2)] | None, Effort(6, 16, 32)] = Field(
        default=None, description="chains of mutations in a generation (from effort)"
    )
    longest: Count = Field(default=3, description="mutations in a chain at most")
    mutations: tuple[str, ...] = Field(
        default=STANDARD[1:], min_length=2, description="which mutations to breed chains of (those that need no file)"
    )
    target: str = Field(default=BEGIN, pattern=r"\S", description=TARGET)

    @model_validator(mode="after")
    def _known_mutations(self) -> Evolve:
        names = [name for name in mutation_names(table=False, shots=False) if name != "direct"]
        for name in self.mutations:
            if name not in names:
                raise ValueError(f"there is no mutation {name!r} to breed with; {did_you_mean(name, names)}")
        if len(set(self.mutations)) < len(self.mutations):
            twice = next(name for name in self.mutations if self.mutations.count(name) > 1)
            raise ValueError(f"'mutations' names {twice!r} twice")
        return self

    @property
    def most(self) -> int:
        return resolved(self.generations) * resolved(self.population)

    def claims(self) -> tuple[Claim, ...]:
        return self.told(search_claims(self.by, "chains of mutations bred by evolution"))

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return curve_section.section(table, "evolve")

    def estimate(self, sizes: Sizes) -> Cost:
        replies = self.of_requests(sizes, self.most)
        return Cost.of(replies.read * (2 if sizes.scores_texts else 1), replies.write)
