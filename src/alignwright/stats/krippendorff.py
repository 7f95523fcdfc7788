"""How far do raters agree beyond chance, whoever rated what? Krippendorff's alpha.

1 less the observed disagreement within items over the disagreement of any two ratings of the study:
1 is agreement, 0 what ratings dealt out at random would show, below 0 less than that. Items may have any
number of raters; those with a single one say nothing and are left out (Krippendorff 2011, "Computing
Krippendorff's alpha-reliability"). Disagreement is the squared distance of two values (interval data: a
tie lies between the two sides), which is half of the variance's sum. The interval is a percentile bootstrap over
items.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from alignwright.stats.intervals import Interval

_RESAMPLES = 2000


def alpha(items: Sequence[Sequence[float]], level: float = 0.95, seed: int = 0) -> tuple[float | None, Interval, int]:
    """(alpha, its interval, how many items had two ratings or more); None where all ratings are alike."""
    rows = [list(item) for item in items if len(item) > 1]
    if not rows:
        return None, Interval(None, None, "no item has two ratings"), 0
    value = _alpha(*_sums(rows))
    if value is None:
        return None, Interval(None, None, "all ratings are alike, so chance cannot be told from agreement"), len(rows)
    if len(rows) < 2:
        return value, Interval(None, None, "no interval: a single item"), 1
    import numpy as np  # reading a report needs none

    table = np.array([_item(row) for row in rows])
    draws = np.random.default_rng(seed).integers(0, len(rows), (_RESAMPLES, len(rows)))
    drawn = [v for sums in table[draws].sum(axis=1) if (v := _alpha(*map(float, sums))) is not None]
    low, high = (float(limit) for limit in np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]))
    return value, Interval(low, high, f"percentile bootstrap {level:.0%} over {len(rows)} items"), len(rows)


def _item(row: Sequence[float]) -> tuple[float, float, float, float]:
    """Of an item: within, and number, sum and sum of squares of its ratings."""
    count, total, squares = len(row), math.fsum(row), math.fsum(value * value for value in row)
    return 2 * (count * squares - total * total) / (count - 1), float(count), total, squares


def _sums(rows: Sequence[Sequence[float]]) -> tuple[float, float, float, float]:
    columns = list(zip(*map(_item, rows), strict=True))
    return math.fsum(columns[0]), math.fsum(columns[1]), math.fsum(columns[2]), math.fsum(columns[3])


def _alpha(within: float, count: float, total: float, squares: float) -> float | None:
    overall = 2 * (count * squares - total * total) / (count - 1)
    return None if overall <= 1e-12 * max(1.0, count * squares) else 1 - within / overall
