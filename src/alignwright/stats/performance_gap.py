"""How much of the gap between a weak judge and its ceiling does a method of oversight close? The
performance gap recovered (Burns et al. 2023, arXiv 2312.09390): (assisted - weak) / (ceiling -
weak).

All three answer the same items, so both differences are paired. The interval is Fieller's (1954)
for a ratio of two means, with the variances and the covariance of sums over clusters and a t of so
many clusters less one: it holds where the gap is noisy, where an interval by the delta method is
too short, and it says so where there is none. A ratio over a gap that is not two of its standard
errors wide is noise over noise: it is undefined, and the three accuracies stand alone.

Left out on purpose: clipping to [0, 1]. A student worse than its teacher has a negative gap
recovered, and one above the ceiling more than 1; both happen.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

LEAST_ERRORS = 2.0


@dataclass(frozen=True)
class PerformanceGap:
    """The part of the gap recovered with its interval, or None and the reason in `method`; and the
    three mean scores that it is made of."""

    value: float | None
    low: float | None
    high: float | None
    weak: float
    assisted: float
    ceiling: float
    n: int
    method: str


def performance_gap(
    weak: Sequence[float],
    assisted: Sequence[float],
    ceiling: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> PerformanceGap:
    """The gap recovered on items that all three were scored on, an item a place. Raises ValueError
    where they are not the same number of items, or none."""
    n = len(weak)
    if not n or len(assisted) != n or len(ceiling) != n or (clusters is not None and len(clusters) != n):
        raise ValueError(
            f"performance_gap: {n} weak, {len(assisted)} assisted and {len(ceiling)} ceiling scores; give the same"
            " items to all three, at least one"
        )
    means = (sum(weak) / n, sum(assisted) / n, sum(ceiling) / n)
    gain, gap = means[1] - means[0], means[2] - means[0]
    # 1. Sums by cluster of what each item adds beyond the mean.
    groups: dict[Hashable, list[float]] = {}
    for place in range(n):
        sums = groups.setdefault(place if clusters is None else clusters[place], [0.0, 0.0])
        sums[0] += assisted[place] - weak[place] - gain
        sums[1] += ceiling[place] - weak[place] - gap
    count = len(groups)
    if count < 2:
        return PerformanceGap(None, None, None, *means, n, "undefined: items of one cluster show no error of the gap")
    factor = count / (count - 1) / n**2
    gain_variance = factor * sum(sums[0] ** 2 for sums in groups.values())
    gap_variance = factor * sum(sums[1] ** 2 for sums in groups.values())
    covariance = factor * sum(sums[0] * sums[1] for sums in groups.values())
    # 2. A gap within two of its standard errors is none to be divided by.
    error = math.sqrt(gap_variance)
    if gap <= 0 or gap < LEAST_ERRORS * error:
        why = f"undefined: the gap from weak to ceiling is {gap:.3f} with a standard error of {error:.3f}"
        return PerformanceGap(None, None, None, *means, n, f"{why}; it must be above 0 and {LEAST_ERRORS:.0f} of them")
    # 3. Fieller: all ratios r at which gain - r * gap is within t of its standard errors of 0.
    special: Any = importlib.import_module("scipy.special")  # loaded here, so that reading a report needs no scipy
    t = float(special.stdtrit(count - 1, (1 + level) / 2))
    a, b, c = gap**2 - t**2 * gap_variance, gain * gap - t**2 * covariance, gain**2 - t**2 * gain_variance
    method = f"Fieller {level:.0%}, paired items in {count} clusters"
    if a <= 0:
        return PerformanceGap(gain / gap, None, None, *means, n, f"{method}: no bounded interval, the gap is too noisy")
    half = math.sqrt(max(b * b - a * c, 0.0))
    return PerformanceGap(gain / gap, (b - half) / a, (b + half) / a, *means, n, method)
