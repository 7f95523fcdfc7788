"""Between which values does the median lie? The exact interval of order statistics, by the binomial law, which
asks nothing of the distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence

from alignwright.stats.intervals import Interval


def median_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The narrowest symmetric pair of order statistics that holds the median with at least this probability; none of
    fewer values than it takes (six at 95 %)."""
    n, below, rank = len(values), 0.0, 0
    while rank < n:
        below += math.comb(n, rank) / 2**n
        if below > (1 - level) / 2:
            break
        rank += 1
    if rank == 0:
        return Interval(None, None, f"no interval: {n} values are too few for one of order statistics")
    ordered = sorted(values)
    return Interval(ordered[rank - 1], ordered[n - rank], f"order statistics {rank} and {n - rank + 1} of {n}, exact")
