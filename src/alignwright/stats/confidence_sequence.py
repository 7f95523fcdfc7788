"""Which interval of a share holds at every look, however long one goes on and whyever one stops? A
confidence sequence by betting, over items in topics.

An interval that covers the truth with 95 % at one look misses it at some look far more often, where one
looks after every topic and stops when one likes what one sees. A confidence sequence covers it at all
looks together (Waudby-Smith and Ramdas 2023, JRSS B 86; arXiv 2010.09686): against each share m one bets
that the items are above it, and that they are below it; if m is the truth both wealths are martingales, so
their mean reaches 1 / alpha with probability alpha at most, ever (Ville's inequality). What holds m are all
shares that no bet has made so rich.

Items of one topic are not independent, so a topic is one round: what is bet on is the sum of its items'
deviations from m, over the size of the largest topic, which is known before. Topics are taken in an order
that the results do not change, each when it is whole. Stakes are fixed parts of wealth, averaged over a
grid; nothing is tuned on the data. The price is width: after 24 topics about half as wide again.

Shapes: `_M` shares, `_K` stakes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from alignwright.stats.arrays import Floats

STAKES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
"""Parts of the largest bet that cannot lose everything."""
GRID = 500
"""Shares that are tried; limits are rounded outwards to them."""


def confidence_sequence(
    topics: Sequence[Sequence[float]], largest: int, level: float = 0.95
) -> list[tuple[float, float]]:
    """The limits of a share after each topic. `topics` holds the items of each, from 0 to 1, in the order in
    which they were looked at, `largest` the most items that a topic may have."""
    share_M = (np.arange(GRID) + 0.5) / GRID
    held_M = np.ones(GRID, dtype=bool)
    limits: list[tuple[float, float]] = []
    for wealth_M in _wealths(topics, largest, share_M):
        held_M &= wealth_M < math.log(1 / (1 - level))
        places = np.flatnonzero(held_M)
        if not places.size:  # the truth changed, or chance had it: the last that was held stays
            limits.append(limits[-1])
            break
        limits.append((float(places[0]) / GRID, float(places[-1] + 1) / GRID))
    return limits + limits[-1:] * (len(topics) - len(limits))


def log_wealth(topics: Sequence[Sequence[float]], largest: int, share: float) -> list[float]:
    """The logarithm of the wealth against this share after each topic."""
    return [float(wealth_M[0]) for wealth_M in _wealths(topics, largest, np.array([share]))]


def _wealths(topics: Sequence[Sequence[float]], largest: int, share_M: Floats) -> list[Floats]:
    stake_K = np.array(STAKES)
    above_MK, below_MK = stake_K / share_M[:, None], stake_K / (1 - share_M)[:, None]
    up_MK = down_MK = np.zeros((len(share_M), len(STAKES)))
    wealths: list[Floats] = []
    for values in topics:
        if not 0 < len(values) <= largest or not all(0.0 <= value <= 1.0 for value in values):
            raise ValueError(f"a topic has 1 to {largest} items from 0 to 1, seen {list(values)[:5]}")
        gap_M1 = ((math.fsum(values) - len(values) * share_M) / largest)[:, None]
        up_MK, down_MK = up_MK + np.log1p(above_MK * gap_M1), down_MK + np.log1p(-below_MK * gap_M1)
        both_MK = np.concatenate([up_MK, down_MK], axis=1)
        wealths.append(np.logaddexp.reduce(both_MK, axis=1) - math.log(2 * len(STAKES)))
    return wealths
