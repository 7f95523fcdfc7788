"""Do a few scores lie higher than many others (exact Wilcoxon rank-sum test, one-sided)?

Under "all come from one source" every choice of so many of the scores is as likely to be the few as
the one that was seen. The p is the share of choices whose ranks add up to as much or more (Wilcoxon
1945), counted one by one over the ranks as they are, ties at their mean rank: exact for two against
forty, where a normal curve is not. Scores that are all equal give 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def rank_sum_p(few: Sequence[float], many: Sequence[float]) -> float | None:
    """One-sided exact p of "the few lie no higher than the many"; None without scores of either."""
    if not few or not many:
        return None
    doubled = _doubled_ranks([*few, *many])
    observed = sum(doubled[: len(few)])
    counts = np.zeros((len(few) + 1, observed))  # choices of k scores by the sum of their ranks, below what was seen
    counts[0, 0] = 1.0
    for rank in doubled:
        for k in range(len(few) - 1, -1, -1):
            if rank < observed:
                counts[k + 1, rank:] += counts[k, : observed - rank]
    below = float(counts[len(few), :observed].sum())
    return max(0.0, 1.0 - below / math.comb(len(doubled), len(few)))


def _doubled_ranks(scores: Sequence[float]) -> list[int]:
    """Twice the mean rank of each score, a whole number."""
    ordered = sorted(scores)
    first: dict[float, int] = {}
    last: dict[float, int] = {}
    for place, score in enumerate(ordered, start=1):
        first.setdefault(score, place)
        last[score] = place
    return [first[score] + last[score] for score in scores]
