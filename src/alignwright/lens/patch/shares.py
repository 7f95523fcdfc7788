"""What part of the gap is an effect, with which interval? A ratio of two means over the same pairs.

`r = sum of effects / sum of gaps`; the error is that of the mean of `e - r g` over the mean gap (the delta method),
clustered by topic, so that the gap's own error counts. Never a mean of ratios: a pair whose gap is next to nothing
would decide it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

import torch
from torch import Tensor

from alignwright.stats.intervals import Estimate, Interval, bca, clustered


def part_of(effects: Mapping[int, float], gap: Mapping[int, float], clusters: Mapping[int, str]) -> Estimate:
    """The effects as a part of the gap, over the pairs of which there are effects."""
    places = list(effects)
    whole = fmean(gap[place] for place in places)
    part = fmean(effects.values()) / whole
    values = [part + (effects[place] - part * gap[place]) / whole for place in places]
    estimate = clustered(values, [clusters[place] for place in places])
    limits = estimate.interval
    return Estimate(
        part, estimate.se, Interval(limits.low, limits.high, f"ratio of means, {limits.method}"), estimate.n,
        estimate.clusters,
    )  # fmt: skip


def resampled(
    statistic: Callable[[Sequence[int]], float], places: Sequence[int], clusters: Mapping[int, str]
) -> Estimate:
    """A number of the pairs, with its bootstrap interval over whole clusters."""
    own = [clusters[place] for place in places]
    interval = bca([float(place) for place in places], own, lambda drawn: statistic([int(place) for place in drawn]))
    return Estimate(statistic(places), None, interval, len(places), len(set(own)))


def rank_correlation(xs: Tensor, ys: Tensor) -> float:
    """Spearman's; 0 where one side is all the same."""
    ranks = torch.stack([_ranks(xs), _ranks(ys)])
    ranks = ranks - ranks.mean(dim=1, keepdim=True)
    norms = ranks.norm(dim=1)
    return float(ranks[0] @ ranks[1] / (norms[0] * norms[1])) if float(norms.min()) > 0 else 0.0


def _ranks(values: Tensor) -> Tensor:
    """Ranks, those of equal values their mean."""
    below = (values[:, None] > values[None, :]).sum(1)
    equal = (values[:, None] == values[None, :]).sum(1)
    return below.double() + (equal - 1) / 2
