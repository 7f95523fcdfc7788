"""How sure may one be of a number that one looks at again and again?

An interval that covers the truth with 95% at one look does not at the best of a hundred looks. Betting does (Waudby-Smith and Ramdas 2021,
arXiv 2010.09686): against the claim "the mean is m" one bets a part of one's wealth on every item. If the claim is true the wealth is a
martingale, so it reaches 1 / alpha with probability alpha at most, ever, whenever one looks and whyever one stops (Ville's inequality).

- `sequence`: the means that no bettor has refuted so far: an interval for the mean that holds at all times at once.
- `evidence`: the wealth of a bettor who doubts that means which may change from batch to batch (a policy in training) are all at least
  0. Part of the wealth is kept for each batch at which the turn may come, so early good batches do not pay for late bad ones.

Both take bounded items; who winsorises makes a claim about the winsorised mean, and must choose the bound before seeing the items. Bets are
fixed parts of wealth, averaged over a grid; nothing is tuned on the data. Left out on purpose: asymptotic confidence sequences.

Shapes: `_N` items in time, `_G` candidate means, `_S` stakes, `_T` batches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
STAKES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.7, 0.9)  # parts of the largest bet that cannot lose everything


@dataclass(frozen=True)
class Band:
    """Limits after each item; each contains the mean at all times at once, with the confidence that was asked for."""

    low: tuple[float, ...]
    high: tuple[float, ...]


def sequence(values: Sequence[float] | Floats, bounds: tuple[float, float], *, level: float = 0.95, grid: int = 400) -> Band:
    """A confidence sequence for the mean of items within `bounds`, by betting on either side of every candidate mean."""
    least, most = bounds
    value_N = (_within(values, bounds) - least) / (most - least)
    mean_G = (np.arange(grid) + 0.5) / grid
    gap_GN = value_N[None, :] - mean_G[:, None]
    up_GN = _wealth(gap_GN, 1 / mean_G)
    down_GN = _wealth(-gap_GN, 1 / (1 - mean_G))
    refuted_GN = np.maximum.accumulate(np.maximum(up_GN, down_GN) - math.log(2), axis=1) >= -math.log(1 - level)
    low, high = least, most
    lows, highs = list[float](), list[float]()
    for n in range(len(value_N)):
        left = np.flatnonzero(~refuted_GN[:, n])
        if len(left):  # none is left only where the items are no sample of one mean: the last interval then stands
            reach = max(0.0, left[0] - 0.5) / grid, min(grid, left[-1] + 1.5) / grid  # the limits lie between two candidates: the outer one is told
            low, high = least + (most - least) * reach[0], least + (most - least) * reach[1]
        lows.append(float(low))
        highs.append(float(high))
    return Band(tuple(lows), tuple(highs))


def evidence(batches: Sequence[Sequence[float]], bound: float) -> list[float]:
    """The logarithm of the wealth after each batch of items in [-bound, bound], against "the mean was never below 0 so far".

    It exceeds ln(1 / alpha) at any time with probability at most alpha as long as every batch's mean, given what was before, is at least 0.
    """
    growth_TS = np.array([np.log1p(-np.outer(_within(batch, (-bound, bound)) / bound, STAKES)).sum(axis=0) for batch in batches])
    growth_TS = growth_TS.reshape(len(batches), len(STAKES))
    told = list[float]()
    for t in range(len(batches)):
        since_TS = growth_TS[t::-1].cumsum(axis=0)[::-1]  # the growth of a bettor who began at each batch up to now
        share_T = np.array([1 / ((j + 1) * (j + 2)) for j in range(t + 1)])
        begun_TS = since_TS + np.log(share_T / len(STAKES))[:, None]
        idle = math.log(1 - float(share_T.sum()))
        told.append(float(np.logaddexp.reduce(np.append(begun_TS.ravel(), idle))))
    return told


def spent(alpha: float, look: int) -> float:
    """The error that look number `look` (from 1) may use, so that all looks together use at most alpha: alpha x 6 / (pi look)^2."""
    return alpha * 6 / (math.pi * look) ** 2


def winsorised(values: Sequence[float] | Floats, bound: float) -> list[float]:
    """The values, those beyond +-bound moved to it."""
    if not bound > 0:
        raise ValueError(f"a bound on items is positive, seen {bound:g}")
    return [float(x) for x in np.clip(np.asarray(values, dtype=np.float64), -bound, bound)]


def _wealth(gap_GN: Floats, largest_G: Floats) -> Floats:
    """The logarithm of the mean wealth over all stakes, after each item."""
    parts = [np.log1p(stake * largest_G[:, None] * gap_GN).cumsum(axis=1) for stake in STAKES]
    return np.logaddexp.reduce(np.stack(parts), axis=0) - math.log(len(STAKES))


def _within(values: Sequence[float] | Floats, bounds: tuple[float, float]) -> Floats:
    value_N = np.asarray(values, dtype=np.float64)
    if value_N.size and (value_N.min() < bounds[0] - 1e-12 or value_N.max() > bounds[1] + 1e-12):
        seen = f"{value_N.min():g} to {value_N.max():g}"
        raise ValueError(f"betting needs items within [{bounds[0]:g}, {bounds[1]:g}], seen {seen}; winsorise them first")
    return np.clip(value_N, *bounds)
