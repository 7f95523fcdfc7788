"""A crosscoder of the start model and a trained one, knob by knob (`lens: {by: crosscoder}`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from alignwright.core.claims import Claim
from alignwright.core.cost import Cost
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import Count, NamesModel, Sizes
from alignwright.lens.crosscoder import section
from alignwright.lens.sae.knobs import TextsStage

NEW = Claim(
    name="crosscoder.new", title="Variance of the trained model carried by latents of its own alone", axis="inside",
    better=None, unit="fraction", low=None, measured="trained", paired=False,
)  # fmt: skip
_COUNT = {"unit": "latents", "low": 0.0, "high": None, "promisable": False}
CLAIMS = (
    NEW,
    NEW.but(name="crosscoder.explained", title="Variance of the trained model that the crosscoder explains"),
    NEW.but(name="crosscoder.explained_start", title="Variance of the start model that it explains"),
    NEW.but(name="crosscoder.of_trained", title="Latents of the trained model alone", **_COUNT),
    NEW.but(name="crosscoder.of_start", title="Latents of the start model alone", **_COUNT),
    NEW.but(name="crosscoder.shrunk", title="Only looking so: in the start model's errors as well", **_COUNT),
    NEW.but(name="crosscoder.decoupled", title="Only looking so: other latents have it for the start model", **_COUNT),
    NEW.but(name="crosscoder.limit", title="Distance from one half that a share must have", promisable=False),
)


class CrosscoderStage(TextsStage):
    """Which features does the trained model have that the start model has not: one dictionary of both, held against one
    of the start model and itself with noise?"""

    by: Literal["crosscoder"]
    k: Count = Field(default=32, description="latents that are on per token, on average")
    against: Annotated[
        str | None, NamesModel(no_server="a server gives no activations: name a folder, or a Hub id")
    ] = Field(
        default=None,
        min_length=1,
        description="hold every model of the run against this one; by default the trained against the start model",
    )

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    def claims(self) -> tuple[Claim, ...]:
        return CLAIMS if self.against is None else tuple(claim.but(measured="always") for claim in CLAIMS)

    def estimate(self, sizes: Sizes) -> Cost:
        return Cost() if sizes.begins and self.against is None else Cost.of(2 * self.texts_read(sizes))
