"""How does each group of voters fare in a step? Loss and accuracy per annotator group.

The mean loss over all pairs hides whom it was won from: two groups that want opposite things may
each be at chance. So what a step logs, it logs of each group too, weighted as the loss is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

NO_GROUP = "(no group)"


class GroupMeans:
    """Weighted means over a step, of each group of voters by itself."""

    def __init__(self) -> None:
        self.sums: dict[tuple[str, str], float] = {}
        self.weights: dict[str, float] = {}

    def add(self, groups: Sequence[str], weight_P: Tensor, values: Mapping[str, Tensor]) -> None:
        weights = weight_P.tolist()
        for group, weight in zip(groups, weights, strict=True):
            self.weights[group] = self.weights.get(group, 0.0) + weight
        for name, value_P in values.items():
            for group, weight, value in zip(groups, weights, value_P.tolist(), strict=True):
                self.sums[name, group] = self.sums.get((name, group), 0.0) + weight * value

    def means(self) -> dict[str, float]:
        """`loss/GROUP` and the like. A group that nothing of this step is from is absent."""
        return {
            f"{name}/{group or NO_GROUP}": total / self.weights[group] for (name, group), total in self.sums.items()
        }
