"""How well does a score tell two kinds apart (AUROC), with what interval, and better than another score?

The area under the ROC curve is the share of pairs of a positive and a negative in which the positive
has the higher score, a tie counting half. Its error goes by placements (DeLong et al. 1988): each
positive's share of negatives below it, and each negative's share of positives above it; rows of one
cluster (a task answered twice, an honest way and another) are added up first (Obuchowski 1997). Two
scores of the same rows are compared by the difference of the same placements, so that what the rows
share cancels out. On the logit scale the interval stays between 0 and 1.

An area of 0 or 1 has no spread: its interval is the exact one of a share, of as many pairs as there
are rows of the rarer kind.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from alignwright.stats.intervals import Interval, wilson

_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Area:
    """An area, or a difference of two, with its standard error and interval; `influence` is what
    each cluster adds to it."""

    value: float | None
    se: float | None
    interval: Interval
    positives: int
    negatives: int
    influence: dict[Hashable, float]

    @property
    def p(self) -> float | None:
        """Two-sided p of a difference of 0."""
        return None if self.value is None or not self.se else 2 * NormalDist().cdf(-abs(self.value) / self.se)


def auroc(scores: Sequence[float], labels: Sequence[bool], clusters: Sequence[Hashable] | None = None) -> Area:
    """The area under the ROC curve; without a row of either kind there is none."""
    if not len(scores) == len(labels) == (len(scores) if clusters is None else len(clusters)):
        raise ValueError(f"auroc: {len(scores)} scores, {len(labels)} labels; give one of each for every row")
    names: Sequence[Hashable] = range(len(scores)) if clusters is None else clusters
    positives = sorted(score for score, label in zip(scores, labels, strict=True) if label)
    negatives = sorted(score for score, label in zip(scores, labels, strict=True) if not label)
    if not positives or not negatives:
        why = f"no area: {len(positives)} positives and {len(negatives)} negatives; it needs both"
        return Area(None, None, Interval(None, None, why), len(positives), len(negatives), {})
    placements = [
        _share_below(negatives, score) if label else 1.0 - _share_below(positives, score)
        for score, label in zip(scores, labels, strict=True)
    ]
    rows = list(zip(placements, labels, strict=True))
    value = math.fsum(place for place, label in rows if label) / len(positives)
    influence: dict[Hashable, float] = {}
    for (place, label), name in zip(rows, names, strict=True):
        share = (place - value) / (len(positives) if label else len(negatives))
        influence[name] = influence.get(name, 0.0) + share
    se = _spread(influence)
    return Area(
        value, se, _limits(value, se, positives, negatives, influence), len(positives), len(negatives), influence
    )


def auroc_difference(one: Area, other: Area) -> Area:
    """The first area less the second, of the same rows, with t-free normal limits of the paired
    difference."""
    if one.value is None or other.value is None:
        return Area(None, None, Interval(None, None, "no difference without both areas"), 0, 0, {})
    if one.influence.keys() != other.influence.keys():
        raise ValueError("auroc_difference: the two areas are of different rows; score the same rows twice")
    influence = {name: one.influence[name] - other.influence[name] for name in one.influence}
    value, se = one.value - other.value, _spread(influence)
    if se == 0.0 or not {one.value, other.value}.isdisjoint((0.0, 1.0)):
        limits = _recovered(one, other, value)
    else:
        low, high = max(value - _Z * se, -1.0), min(value + _Z * se, 1.0)
        limits = Interval(low, high, f"paired DeLong 95%, {len(influence)} clusters")
    return Area(value, se, limits, one.positives, one.negatives, influence)


def _recovered(one: Area, other: Area, value: float) -> Interval:
    """Limits of the difference from those of both areas (Newcombe 1998), where the placements of one
    do not vary: too wide where the two go together."""
    if one.influence == other.influence and one.value == other.value and one.se:
        return Interval(None, None, "no interval: the two scores order all rows alike")
    (low_1, high_1), (low_2, high_2) = (
        (area.interval.low or value_of, area.interval.high or value_of)
        for area, value_of in ((one, one.value or 0.0), (other, other.value or 0.0))
    )
    below = math.hypot((one.value or 0.0) - low_1, high_2 - (other.value or 0.0))
    above = math.hypot(high_1 - (one.value or 0.0), (other.value or 0.0) - low_2)
    return Interval(max(value - below, -1.0), min(value + above, 1.0), "from the limits of both areas (Newcombe 95%)")


def _share_below(ordered: Sequence[float], score: float) -> float:
    """The share of these scores that are below it, ties counting half."""
    return (bisect_left(ordered, score) + bisect_right(ordered, score)) / (2 * len(ordered))


def _spread(influence: dict[Hashable, float]) -> float:
    count = len(influence)
    if count < 2:
        return 0.0
    return math.sqrt(count / (count - 1) * math.fsum(each * each for each in influence.values()))


def _limits(
    value: float, se: float, positives: Sequence[float], negatives: Sequence[float], influence: dict[Hashable, float]
) -> Interval:
    rarer = min(len(positives), len(negatives))
    if value in (0.0, 1.0):
        exact = wilson(round(value * rarer), rarer)
        return Interval(exact.low, exact.high, f"Wilson 95% of {rarer} rows: every pair is ordered alike")
    if se == 0.0:
        return Interval(None, None, "no interval: a single cluster, or scores that are all equal")
    logit, half = math.log(value / (1 - value)), _Z * se / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-min(max(logit + side * half, -500.0), 500.0))) for side in (-1, 1))
    return Interval(low, high, f"DeLong 95% on the logit scale, {len(influence)} clusters")
