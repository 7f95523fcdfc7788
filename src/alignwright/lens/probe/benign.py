"""Would fine-tuning on harmless data show the same? A probe beside a model that was fine-tuned on something harmless.

Three areas on the same held-out texts, at the same block: the harmless model's own probe on its own activations; this
model's probe on the harmless model's activations; and the reverse. What a harmless fine-tuning shows as well is no work
of the training that is looked at, whatever the concept: it was there before, or any training brings it about. So the
difference (`over_benign`) is what a promise about a training can be about, and without signal where its interval
reaches 0. (That a concept is there in both is no fault of the direction itself.)
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from alignwright.lens.probe.battery import ProbeResult
from alignwright.lens.probe.fit import fit
from alignwright.stats.auroc import Area, auroc, auroc_difference


@dataclass(frozen=True)
class BesideBenign:
    """The harmless model's own probe, this model's on it, its on this model, and this model's area less the first."""

    own: Area
    on_benign: Area
    by_benign: Area
    over: Area

    @property
    def why_not(self) -> str:
        """Why the difference shows nothing; "" where it does."""
        low = self.over.interval.low
        if low is not None and low > 0:
            return ""
        return f"a model fine-tuned on harmless data comes to {self.own.value or 0:.2f}"

    @property
    def words(self) -> str:
        """What that says, as a sentence."""
        if self.why_not:
            return f"Nothing of it is the work of this training: {self.why_not} with a probe of its own."
        return f"A model fine-tuned on harmless data comes to {self.own.value or 0:.2f}, which is less."


def beside_benign(result: ProbeResult, positive_N: Tensor, states_NH: Tensor, benign_NH: Tensor) -> BesideBenign:
    """`states_NH` and `benign_NH`: what the two models leave at the result's block, of all texts."""
    both, test = [*result.split.fit, *result.split.choose], list(result.split.test)
    probe = fit(result.method, benign_NH[both], positive_N[both])
    labels = positive_N[test].tolist()

    def area(scores_N: Tensor) -> Area:
        return auroc(scores_N.tolist(), labels, result.clusters)

    own = area(probe.score(benign_NH[test]))
    on_benign, by_benign = area(result.probe.score(benign_NH[test])), area(probe.score(states_NH[test]))
    return BesideBenign(own, on_benign, by_benign, auroc_difference(result.area, own))
