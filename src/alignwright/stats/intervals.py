"""Which confidence interval has a share (Wilson, exact), a mean (clustered standard errors, BCa
bootstrap) or a paired difference (effective n, Student's t)?

A share, a mean, a difference: each leaves with an interval, or with the reason why it can have
none. Items that belong together (one topic, one template, one person) are not independent, so the
standard error of a mean is summed by cluster (Miller, "Adding error bars to evals", arXiv
2411.00640): SE = sqrt(C / (C - 1) x sum over clusters of (sum of the cluster's deviations)^2) / n.
The factor for C clusters, which that paper leaves out, makes it the ordinary standard error where
each item is a cluster. Ignoring clusters covers the truth 76% of the time where 95% is claimed (60
clusters of 5, Beta(.7, .7) rates); the clustered interval covers it 94% of the time. Of shares near
0 or 1 in few clusters that error is too small: shares, and paired changes of passes and fails, go
by the effective n (`effective`).

Critical values of means are Student's t with clusters - 1 degrees of freedom, because clusters are
few; every `method` says so. Where nothing can be estimated (no items, one cluster, no spread) the
limits are None and `method` gives the reason: an interval is never pretended. Left out on purpose:
sequential tests, and corrections for a judge's own errors.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from alignwright.stats.coverage import simulated_coverage

if TYPE_CHECKING:
    from alignwright.stats.arrays import Floats
    from alignwright.stats.effective_sample_size import Change, EffectiveSize

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Interval:
    """Limits of a confidence interval, and how they were found; both are None when there can be
    no interval."""

    low: float | None
    high: float | None
    method: str
    absence: str = ""
    """Of a difference without limits: why there are none."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error and interval. `clusters` is None when items were taken as
    independent."""

    value: float | None
    se: float | None
    interval: Interval
    n: int
    clusters: int | None = None
    coverage: float | None = None
    """What the interval covers in simulation at such sizes, where that is too little (`coverage`)."""


@dataclass(frozen=True)
class Difference:
    """A paired difference, after minus before, with the correlation that made pairing worth its
    while."""

    value: float | None
    se: float | None
    correlation: float | None
    interval: Interval
    n: int
    clusters: int | None = None
    paired_change: Change | None = field(default=None, compare=False, repr=False)
    """Of passes and fails: how many went which way. Such a change has no standard error."""
    coverage: float | None = None

    def p(self, at: float = 0.0) -> float | None:
        """Two-sided p of "the difference is `at`", by the interval's own test: below 0.05 where
        the 95% interval leaves `at` out."""
        tails = self.tails(at)
        return None if tails is None else min(1.0, 2 * min(tails))

    def tails(self, at: float) -> tuple[float, float] | None:
        """One-sided p of "at least `at`" and of "at most `at`"; None where nothing varies."""
        if self.paired_change is not None:
            return self.paired_change.p_below(at), self.paired_change.p_above(at)
        groups = self.n if self.clusters is None else self.clusters
        if self.value is None or not self.se or groups < 2:
            return None
        special: Any = importlib.import_module("scipy.special")  # loaded here, so that reading a report needs no scipy
        below = float(special.stdtr(groups - 1, (self.value - at) / self.se))
        return below, 1 - below


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's score interval for a share of independent items; right also at 0 and 1 and for
    few items."""
    if not 0 <= successes <= n:
        raise ValueError(f"wilson: {successes} successes of {n} items cannot be; give 0 <= successes <= n")
    if n == 0:
        return Interval(None, None, "no scored items")
    z = normal_critical(level)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Interval(low, high, f"Wilson {level:.0%}, items independent")


def mean_interval(values: Sequence[float], level: float = 0.95, bounds: tuple[float, float] | None = None) -> Estimate:
    """The mean of independent items with Student's t. For shares, `share_interval` is better."""
    estimate = clustered(values, range(len(values)), level, bounds)
    method = estimate.interval.method.replace(f"clustered by {len(values)} clusters", "items independent").replace(
        "clusters", "items"
    )
    return Estimate(
        estimate.value, estimate.se, Interval(estimate.interval.low, estimate.interval.high, method), estimate.n
    )


def clustered(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    level: float = 0.95,
    bounds: tuple[float, float] | None = None,
) -> Estimate:
    """The mean of items that come in clusters; `bounds` clips the limits to what is possible.
    For shares, `share_interval` is better."""
    count = _check("clustered", values, clusters)
    if not values:
        return Estimate(None, None, Interval(None, None, "no scored items"), 0, 0)
    mean = math.fsum(values) / len(values)
    if count == 1:
        reason = (
            f"no interval: all {len(values)} items belong to one cluster"
            if len(values) > 1
            else "no interval: a single item"
        )
        return Estimate(mean, None, Interval(None, None, reason), len(values), 1)
    if _equal(values):
        equal = Interval(None, None, "no interval: all values are equal, so their spread cannot be estimated")
        return Estimate(mean, 0.0, equal, len(values), count)
    se = _clustered_se(values, clusters, mean)
    if se <= 1e-12 * max(map(abs, values)):
        reason = "no interval: every cluster has the same mean, so their spread cannot be estimated"
        return Estimate(mean, 0.0, Interval(None, None, reason), len(values), count)
    half = _t_critical(level, count - 1) * se
    low, high = _clip(mean - half, mean + half, bounds)
    return Estimate(
        mean,
        se,
        Interval(low, high, f"mean, {level:.0%} t({count - 1}), clustered by {count} clusters"),
        len(values),
        count,
    )


def share_interval(
    values: Sequence[float], clusters: Sequence[Hashable] | None = None, level: float = 0.95
) -> Estimate:
    """The share of passes among passes (1) and fails (0), by the effective n; parts of one
    between them are a mean within (0, 1)."""
    names = range(len(values)) if clusters is None else clusters
    count = _check("share_interval", values, names)
    if not _binary(values) or not values or (count == 1 and len(values) > 1):
        return (
            mean_interval(values, level, (0.0, 1.0))
            if clusters is None
            else clustered(values, clusters, level, (0.0, 1.0))
        )
    normal_critical(level)
    from alignwright.stats.effective_sample_size import share_limits, tally  # needs numpy; reading a report does not

    tallied = tally(names, [(value,) for value in values])
    low, high, size = share_limits(tallied.sums[0], tallied.size_C, level)
    correlation = float(size.correlation_S[0])
    under = simulated_coverage("share", count, size.size, float(tallied.sums[0].sum()) / len(values), correlation)
    interval = Interval(float(low[0]), float(high[0]), f"exact {level:.0%}{_effective(size, count)}")
    share, groups = math.fsum(values) / len(values), None if clusters is None else count
    return Estimate(share, None, interval, len(values), groups, under)


def paired(
    after: Sequence[float], before: Sequence[float], clusters: Sequence[Hashable] | None = None, level: float = 0.95
) -> Difference:
    """The mean of after - before over the same items; independent unless `clusters` are given. Var
    = A + B - 2 Cov.

    Of passes and fails (1 and 0) by the effective n, of other values by Student's t.
    """
    if len(after) != len(before):
        raise ValueError(
            f"paired: {len(after)} values after but {len(before)} before; pair the same items in the same order"
        )
    deltas = [a - b for a, b in zip(after, before, strict=True)]
    names = range(len(deltas)) if clusters is None else clusters
    if _check("paired", deltas, names) > 1 and _binary(after) and _binary(before):
        return _paired_change(deltas, names, _correlation(after, before), clusters is not None, level)
    estimate = mean_interval(deltas, level) if clusters is None else clustered(deltas, clusters, level)
    limits = estimate.interval
    absence = limits.method if limits.low is None else ""
    interval = Interval(limits.low, limits.high, f"paired difference; {limits.method}", absence)
    return Difference(estimate.value, estimate.se, _correlation(after, before), interval, estimate.n, estimate.clusters)


def _paired_change(
    deltas: Sequence[float], names: Sequence[Hashable], correlation: float | None, grouped: bool, level: float
) -> Difference:
    from alignwright.stats.effective_sample_size import change, tally

    tallied = tally(names, [(float(delta > 0), float(delta < 0)) for delta in deltas])
    paired_change = change(tallied.sums[0], tallied.sums[1], tallied.size_C)
    size, groups = paired_change.effective_size, len(tallied.size_C)
    low, high = paired_change.limits(level)
    more_frequent = max(float(part.sum()) / len(deltas) for part in tallied.sums)
    under = simulated_coverage("change", groups, size.size, more_frequent, float(size.correlation_S[0]))
    method = f"paired difference; exact limits of both ways squared and added, {level:.0%}{_effective(size, groups)}"
    interval, mean = Interval(float(low[0]), float(high[0]), method), math.fsum(deltas) / len(deltas)
    return Difference(mean, None, correlation, interval, len(deltas), groups if grouped else None, paired_change, under)


def _effective(size: EffectiveSize, clusters: int) -> str:
    if clusters == size.n:
        return ", items independent"
    estimated = float(size.estimated_S[0])
    estimate = "not estimable" if math.isnan(estimated) else f"{estimated:.2f}"
    within = f"correlation within {estimate}, {size.correlation_S[0]:.2f} taken"
    return f" at effective n {float(size.effective_S[0]):.3g} of {size.n:g} in {clusters} clusters ({within})"


def _binary(values: Sequence[float]) -> bool:
    return all(value in (0.0, 1.0) for value in values)


def bca(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    statistic: Callable[[Floats], float] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Bias-corrected and accelerated bootstrap (Efron 1987) that resamples whole clusters;
    `statistic` defaults to the mean."""
    count = _check("bca", values, clusters)
    if count < 2:
        return Interval(
            None,
            None,
            "no scored items" if not values else f"no interval: all {len(values)} items belong to one cluster",
        )
    import numpy as np

    # 1. Whole clusters are drawn again, because items of one cluster are not independent.
    measure = statistic or _mean
    parts: list[Floats] = [np.asarray(part, dtype=np.float64) for part in _grouped(values, clusters)]
    estimate = float(measure(np.concatenate(parts)))
    rng = np.random.default_rng(seed)
    draws = np.sort(
        [
            float(measure(np.concatenate([parts[i] for i in map(int, rng.integers(count, size=count))])))
            for _ in range(resamples)
        ]
    )
    # 2. The jackknife leaves out a cluster at a time: its skewness is the acceleration.
    jackknife = np.array(
        [float(measure(np.concatenate([part for j, part in enumerate(parts) if j != i]))) for i in range(count)]
    )
    # 3. Bias: how much of the bootstrap lies below the estimate, ties counted by half.
    below = (float(np.sum(draws < estimate)) + float(np.sum(draws <= estimate))) / (2 * resamples)
    if draws[0] == draws[-1] or not 0.0 < below < 1.0:
        return Interval(None, None, "no interval: the bootstrap saw no spread on both sides of the estimate")
    bias = _NORMAL.inv_cdf(below)
    pull = float(jackknife.mean()) - jackknife
    spread = float(np.sum(pull**2)) ** 1.5
    skew = float(np.sum(pull**3)) / (6 * spread) if spread > 0 else 0.0
    # 4. The percentiles moved by bias and acceleration (Efron 1987).
    tails = [bias + _NORMAL.inv_cdf(q) for q in ((1 - level) / 2, (1 + level) / 2)]
    low, high = (float(np.quantile(draws, _NORMAL.cdf(bias + tail / (1 - skew * tail)))) for tail in tails)
    return Interval(low, high, f"BCa bootstrap {level:.0%}, {resamples} resamples of {count} clusters")


def _check(function: str, values: Sequence[float], clusters: Sequence[Hashable]) -> int:
    if len(values) != len(clusters):
        raise ValueError(f"{function}: {len(values)} values but {len(clusters)} cluster names; give one per value")
    if any(not math.isfinite(value) for value in values):
        raise ValueError(f"{function}: values must be finite; leave unscored items out and count them")
    return len(set(clusters))


def _grouped(values: Sequence[float], clusters: Sequence[Hashable]) -> list[list[float]]:
    groups: dict[Hashable, list[float]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        groups.setdefault(cluster, []).append(value)
    return list(groups.values())


def cluster_correction(clusters: int) -> float:
    """C / (C - 1): by this much the squared deviations of C clusters from their own mean are too
    small."""
    return clusters / (clusters - 1)


def _clustered_se(values: Sequence[float], clusters: Sequence[Hashable], mean: float) -> float:
    parts = _grouped(values, clusters)
    return math.sqrt(
        cluster_correction(len(parts)) * math.fsum(math.fsum(v - mean for v in part) ** 2 for part in parts)
    ) / len(values)


def _clip(
    low: float | None, high: float | None, bounds: tuple[float, float] | None
) -> tuple[float | None, float | None]:
    if bounds is None or low is None or high is None:
        return low, high
    return max(low, bounds[0]), min(high, bounds[1])


def _correlation(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    if len(xs) < 2 or _equal(xs) or _equal(ys):
        return None
    mx, my = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    top = math.fsum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True))
    return top / math.sqrt(math.fsum((x - mx) ** 2 for x in xs) * math.fsum((y - my) ** 2 for y in ys))


def _equal(values: Sequence[float]) -> bool:
    return all(value == values[0] for value in values)


def _mean(values: Floats) -> float:
    return float(values.mean())


def normal_critical(level: float) -> float:
    if not 0.0 < level < 1.0:
        raise ValueError(f"a confidence level lies strictly between 0 and 1, seen {level}")
    return _NORMAL.inv_cdf((1 + level) / 2)


def _t_critical(level: float, df: int) -> float:
    normal_critical(level)
    special: Any = importlib.import_module("scipy.special")  # loaded here, so that reading a report needs no scipy
    return float(special.stdtrit(df, (1 + level) / 2))
