"""What is the interval of a mean over training seeds, when every seed's model is measured on the same
items?

Two things vary: which items were asked, and what training made of a seed. Each seed's own interval
knows the first alone, and a t interval over the seeds' means knows the second alone, as all seeds
share the items. So both are taken, and the distances of their limits from the value are squared and
added, on either side by itself (Newcombe 1998; Zou and Donner 2008, as for a difference of two rates):
the items' part keeps its own shape near 0 and 1, and the seeds' part is Student's t with k - 1 degrees
of freedom. Of two seeds that differ its critical value is 12.7, and says so honestly.

What belongs to an item and a seed together is counted in both parts, so the interval is rather too
wide than too narrow: it covers the truth 95 to 99 times of 100 where items or seeds vary most, and
nearly always where it is each seed's own noise on each item.

Left out on purpose: a bootstrap over seeds (of three it says next to nothing), a mixed model (its
spread over three seeds would have to be assumed), and Satterthwaite's degrees of freedom for the
sum of both variances (of three seeds that vary it covers 92 times of 100, of two 89).
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import mean, variance
from typing import Any

from alignwright.stats.intervals import normal_critical

SMALLEST_P = 1e-12


@dataclass(frozen=True)
class OverSeeds:
    """A mean over seeds with its 95 % interval; `p` is of the same test, two-sided against 0."""

    value: float
    low: float
    high: float
    p: float
    sd: float
    """The standard deviation between the seeds."""


def over_seeds(values: Sequence[float], lows: Sequence[float], highs: Sequence[float]) -> OverSeeds:
    """The mean of each seed's value, each given with the limits of its own 95 % interval. Of at
    least two seeds."""
    if len(values) < 2:
        raise ValueError(f"an interval over seeds needs two of them, not {len(values)}")
    value, sd = mean(values), math.sqrt(variance(values))
    below = max(0.0, mean(v - low for v, low in zip(values, lows, strict=True)))
    above = max(0.0, mean(high - v for v, high in zip(values, highs, strict=True)))
    distance = partial(_distance, se=sd / math.sqrt(len(values)), df=len(values) - 1)
    return OverSeeds(
        value,
        value - distance(0.95, below),
        value + distance(0.95, above),
        _p(abs(value), partial(distance, items=below if value > 0 else above)),  # the side on which 0 lies
        sd,
    )


def _distance(level: float, items: float, *, se: float, df: int) -> float:
    """From the value to the limit at this level; `items`: the items' part of it at 95 %."""
    items_part = items * normal_critical(level) / normal_critical(0.95)
    return math.hypot(items_part, _t_critical(level, df) * se) if se else items_part


def _p(value: float, distance: Callable[[float], float]) -> float:
    """One less the level at which the limit reaches 0, by bisection of its logarithm."""
    if not distance(0.95):
        return float(value == 0)
    low, high = math.log(SMALLEST_P), 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if distance(-math.expm1(middle) or SMALLEST_P) < value else (middle, high)
    return math.exp((low + high) / 2)


def _t_critical(level: float, df: int) -> float:
    special: Any = importlib.import_module("scipy.special")  # loaded here, so that reading a report needs no scipy
    return float(-special.stdtrit(df, (1 - level) / 2))
