"""What does a count of successes say of the rate behind it, exactly (Clopper-Pearson)?

The limits are those rates at which so many successes, or more, or fewer, would just have a
probability of half the error (Clopper and Pearson 1934). They cover at least as often as they say
for every rate and every n, at 0 and at n too, and are wider than Wilson's for it: that is wanted
where a handful of models is all there is.
"""

from __future__ import annotations

import importlib
from typing import Any

from alignwright.stats.intervals import Interval, normal_critical


def clopper_pearson(successes: int, n: int, level: float = 0.95) -> Interval:
    """The exact two-sided interval of a share of independent trials."""
    if not 0 <= successes <= n:
        raise ValueError(f"clopper_pearson: {successes} successes of {n} trials cannot be; give 0 <= successes <= n")
    normal_critical(level)  # says what is wrong with a level
    if n == 0:
        return Interval(None, None, "no trials")
    special: Any = importlib.import_module("scipy.special")  # loaded here, so that reading a report needs no scipy
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(special.betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(special.betaincinv(successes + 1, n - successes, 1 - tail))
    return Interval(low, high, f"Clopper-Pearson {level:.0%}, trials independent")
