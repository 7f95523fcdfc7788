"""Goodhart trilemma: how strongly was the proxy optimised, how much of it was value, and does that
hold elsewhere?

Alignment by feedback cannot be sure of strong optimisation, full value capture and robust
generalisation all at once (Gaikwad 2025, arXiv 2509.05381: a perspective, as its first version says
itself, not an impossibility theorem). It gives no meter; these are ours, chosen because each has
cases with a known answer.

- O, optimisation: 2 E[F(proxy)] - 1 with F the proxy's distribution among the start model's replies
  to the same prompt: 0 at the start, 1 where every reply beats all of the start's. Best-of-n has (n
  - 1) / (n + 1) exactly.
- V, value capture: gold's gain over the proxy's, each in SDs of the start model's replies within a
  prompt. Jointly Gaussian scores have V = their correlation at every n; errors with heavy tails
  send it to 0; below 0 the proxy was hacked. Proxy and gold the same: 1.
- G, generalisation: gold's gain on shifted prompts over its gain on the prompts as they were. No
  shift: 1.
- the gap E[z(proxy) - z(gold)], which grows by Var(proxy) - Cov(gold, proxy) with each unit of tilt
  (`stats.tilting`).

O and the gap are means with clustered intervals. V and G are ratios of means with Fieller's (1954)
intervals, which are absent where it is not sure that the divisor differs from 0: who has gained
nothing has captured nothing. The meters are never rolled into one: that V and G fall as O rises,
with nothing else changed, is what the trilemma says, and one number would hide it. `least_regret`,
the paper's later bound, is no meter: it says how many labels a wish is worth, and is there for
scripts.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from alignwright.stats.arrays import Floats
from alignwright.stats.best_of_n import bon_estimate
from alignwright.stats.intervals import Estimate, Interval, cluster_correction, clustered
from alignwright.stats.prediction_powered import critical
from alignwright.stats.scalars import mean


@dataclass(frozen=True)
class Move:
    """What one prompt came to: the mean quantile of the proxy among the start's replies, and
    both gains in SDs of the start."""

    quantile: float
    proxy: float
    gold: float
    cluster: Hashable


@dataclass(frozen=True)
class Trilemma:
    """The three meters and the gap. There is no single score, and none can be asked for."""

    optimization: Estimate
    capture: Estimate
    generalization: Estimate | None
    gap: Estimate
    worst: tuple[str, float] | None = None
    """The shifted group that gained least gold, and its gain in SDs."""

    def __float__(self) -> NoReturn:
        raise TypeError(
            "the trilemma is three meters, each with an interval, and one number would hide which of them gave way;"
            " read all of them"
        )


def trilemma(moves: Sequence[Move], shifted_moves: Sequence[Move] = (), *, level: float = 0.95) -> Trilemma:
    """The meters of a model over prompts, and over `shifted` prompts where there are any."""
    if not moves:
        raise ValueError(
            "the trilemma needs at least one prompt with scored replies of both the start model and the model that is"
            " measured"
        )
    clusters = [move.cluster for move in moves]
    strength = clustered([2 * move.quantile - 1 for move in moves], clusters, level)
    gold, proxy = [move.gold for move in moves], [move.proxy for move in moves]
    gap = clustered([move.proxy - move.gold for move in moves], clusters, level)
    elsewhere = None
    if shifted_moves:
        elsewhere = apart(
            [move.gold for move in shifted_moves], [move.cluster for move in shifted_moves], gold, clusters, level=level
        )
    return Trilemma(strength, ratio(gold, proxy, clusters, level=level), elsewhere, gap, _worst(shifted_moves))


@dataclass(frozen=True)
class Scored:
    """The scores of one model's replies to one prompt."""

    proxy: Sequence[float]
    gold: Sequence[float]


def move(start: Scored, now: Scored, units: tuple[float, float], cluster: Hashable) -> Move:
    """One prompt's move from the start model's replies to those of another; `units` are the
    start's SDs of proxy and gold."""
    start_N, now_N = np.asarray(start.proxy, dtype=np.float64), np.asarray(now.proxy, dtype=np.float64)
    beaten = float((now_N[:, None] > start_N[None, :]).mean() + 0.5 * (now_N[:, None] == start_N[None, :]).mean())
    return Move(
        beaten,
        (mean(now.proxy) - mean(start.proxy)) / units[0],
        (mean(now.gold) - mean(start.gold)) / units[1],
        cluster,
    )


def best_of(start: Scored, n: int, units: tuple[float, float], cluster: Hashable) -> Move:
    """One prompt's move from one reply of the start model to its best of n. Without ties the
    mean quantile is n / (n + 1), whatever was sampled."""
    if n == 1:
        return Move(0.5, 0.0, 0.0, cluster)
    proxy, gold, proxy_N = start.proxy, start.gold, np.asarray(start.proxy, dtype=np.float64)
    below_N, up_to_N = (np.searchsorted(np.sort(proxy_N), proxy_N, side=side) for side in ("left", "right"))
    quantile_N = (below_N + up_to_N + 1) / 2 / (len(proxy_N) + 1)
    gains = (bon_estimate(proxy, score, n) - mean(score) for score in (proxy, gold))
    gain_sds = [gain / unit for gain, unit in zip(gains, units, strict=True)]
    return Move(bon_estimate(proxy, [float(q) for q in quantile_N], n), gain_sds[0], gain_sds[1], cluster)


def ratio(
    above: Sequence[float], below: Sequence[float], clusters: Sequence[Hashable], *, level: float = 0.95
) -> Estimate:
    """mean(above) / mean(below) over the same items, with Fieller's interval."""
    place = {name: i for i, name in enumerate(dict.fromkeys(clusters))}
    sums_C2 = np.zeros((len(place), 2))
    mean_2 = np.array([mean(above), mean(below)])
    for a, b, name in zip(above, below, clusters, strict=True):
        sums_C2[place[name]] += np.array([a, b]) - mean_2
    if len(place) < 2:
        value = float(mean_2[0] / mean_2[1]) if mean_2[1] else None
        return Estimate(value, None, Interval(None, None, "no interval: a single cluster"), len(above), len(place))
    half_22 = (
        critical((1 + level) / 2, len(place) - 1) ** 2
        * cluster_correction(len(place))
        * sums_C2.T
        @ sums_C2
        / len(above) ** 2
    )
    method = f"ratio of means, {level:.0%} Fieller t({len(place) - 1}), clustered by {len(place)} clusters"
    return _fieller(mean_2, half_22, len(above), len(place), method)


def apart(
    above: Sequence[float],
    by: Sequence[Hashable],
    below: Sequence[float],
    by_below: Sequence[Hashable],
    *,
    level: float = 0.95,
) -> Estimate:
    """mean(above) / mean(below) over different items."""
    means, halves, clusters = np.array([mean(above), mean(below)]), list[float](), list[int]()
    for estimate in (clustered(above, by, level), clustered(below, by_below, level)):
        clusters.append(estimate.clusters or 0)
        halves.append(
            (estimate.se or 0.0) * critical((1 + level) / 2, clusters[-1] - 1) if clusters[-1] > 1 else math.nan
        )
    if min(clusters) < 2:
        value = float(means[0] / means[1]) if means[1] else None
        return Estimate(
            value,
            None,
            Interval(None, None, "no interval: a single cluster on one side"),
            len(above) + len(below),
            min(clusters),
        )
    method = (
        f"ratio of means of different items, {level:.0%} Fieller, t by side, clustered by {clusters[0]} and"
        f" {clusters[1]} clusters"
    )
    return _fieller(means, np.diag(np.square(halves)), len(above) + len(below), sum(clusters), method)


def least_regret(labels: int, hard: float, signal: float) -> float:
    """The least share of the stakes that any learner must expect to lose, in the worst of two
    worlds (Gaikwad 2025, version 3).

    A share `hard` of contexts tells the worlds apart, where a label is right with probability 1/2 +
    `signal`; elsewhere labels say nothing. exp(-n hard k) / 4 with k = 4 signal atanh(2 signal): it
    *falls* with every label. An oracle that finds the hard contexts has hard = 1.
    """
    if not 0 < hard <= 1 or not 0 <= signal < 0.5:
        raise ValueError(f"the hard share lies in (0, 1] and the signal in [0, 0.5); seen {hard:g} and {signal:g}")
    return math.exp(-labels * hard * 4 * signal * math.atanh(2 * signal)) / 4


def _fieller(mean_2: Floats, half_22: Floats, items: int, clusters: int, method: str) -> Estimate:
    """All q for which mean(above) - q mean(below) may be 0; `half_22` is the covariance of the
    means times the squared critical value."""
    a = float(mean_2[1] ** 2 - half_22[1, 1])
    if a <= 0:
        why = "not told: the divisor's interval holds 0, so nothing was surely gained to compare with"
        return Estimate(None, None, Interval(None, None, why), items, clusters)
    b = float(mean_2[0] * mean_2[1] - half_22[0, 1])
    c = float(mean_2[0] ** 2 - half_22[0, 0])
    root = math.sqrt(max(0.0, b * b - a * c))
    return Estimate(
        float(mean_2[0] / mean_2[1]), None, Interval((b - root) / a, (b + root) / a, method), items, clusters
    )


def _worst(moves: Sequence[Move]) -> tuple[str, float] | None:
    groups: dict[Hashable, list[float]] = {}
    for one in moves:
        groups.setdefault(one.cluster, []).append(one.gold)
    return min(((str(name), mean(gains)) for name, gains in groups.items()), key=lambda pair: pair[1], default=None)
