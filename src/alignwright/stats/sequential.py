"""Which test stays valid however often one looks? The anytime-valid one: testing by betting, with
e-values and alpha spending.

An interval that covers the truth with 95% at one look does not at the best of a hundred looks.
Betting does (Waudby-Smith and Ramdas 2021, arXiv 2010.09686): against the claim "the mean is m" one
bets a part of one's wealth on every item. If the claim is true the wealth is a martingale, so it
reaches 1 / alpha with probability alpha at most, ever, whenever one looks and whyever one stops
(Ville's inequality). Such wealth is called an e-value, and peeking at it costs nothing.

`log_e_value` is the logarithm of the wealth of a bettor who doubts that means which may change from batch to batch (a
policy in training) are all at least 0. Part of the wealth is kept for each batch at which the turn
may come, so early good batches do not pay for late bad ones.

It takes bounded items; who winsorises makes a claim about the winsorised mean, and must choose the
bound before seeing the items. Bets are fixed parts of wealth, averaged over a grid; nothing is
tuned on the data. An interval at all times at once is in `confidence_sequence`.

Shapes: `_N` items, `_S` stakes, `_T` batches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from alignwright.stats.arrays import Floats

STAKES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.7, 0.9)  # parts of the largest bet that cannot lose everything


def log_e_value(batches: Sequence[Sequence[float]], bound: float) -> list[float]:
    """The logarithm of the wealth after each batch of items in [-bound, bound], against "the mean
    was never below 0 so far".

    It exceeds ln(1 / alpha) at any time with probability at most alpha as long as every batch's
    mean, given what was before, is at least 0.
    """
    growth_TS = np.array(
        [np.log1p(-np.outer(_within(batch, (-bound, bound)) / bound, STAKES)).sum(axis=0) for batch in batches]
    )
    begun_S, log_wealth = np.full(len(STAKES), -math.inf), list[float]()
    for t, growth_S in enumerate(growth_TS.reshape(len(batches), len(STAKES))):
        share = 1 / ((t + 1) * (t + 2))  # begins to bet with this batch; 1 / (t + 2) is still kept for later ones
        begun_S = np.logaddexp(begun_S, math.log(share / len(STAKES))) + growth_S
        log_wealth.append(float(np.logaddexp(np.logaddexp.reduce(begun_S), -math.log(t + 2))))
    return log_wealth


def alpha_spending(alpha: float, look: int) -> float:
    """The error that look number `look` (from 1) may use, so that all looks together use at most
    alpha: alpha x 6 / (pi look)^2."""
    return alpha * 6 / (math.pi * look) ** 2


def winsorised(values: Sequence[float] | Floats, bound: float) -> list[float]:
    """The values, those beyond +-bound moved to it."""
    if not bound > 0:
        raise ValueError(f"a bound on items is positive, seen {bound:g}")
    return [float(x) for x in np.clip(np.asarray(values, dtype=np.float64), -bound, bound)]


def _within(values: Sequence[float] | Floats, bounds: tuple[float, float]) -> Floats:
    value_N = np.asarray(values, dtype=np.float64)
    if value_N.size and (value_N.min() < bounds[0] - 1e-12 or value_N.max() > bounds[1] + 1e-12):
        reach = f"{value_N.min():g} to {value_N.max():g}"
        raise ValueError(
            f"betting needs items within [{bounds[0]:g}, {bounds[1]:g}], seen {reach}; winsorise them first"
        )
    return np.clip(value_N, *bounds)
