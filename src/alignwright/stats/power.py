"""What can so many items show, before anything is asked? Statistical power of a share and of a paired
change at the interval that they will be given.

A promise is kept when its whole interval satisfies the bound, so it can only be kept where the truth
leaves room for the interval's width. For items in topics of given sizes, data sets are drawn (a rate of
its own for each topic, beta with correlation `PRIOR` within topics, which the interval assumes itself
where it knows nothing better), each is given the interval in use (`effective_sample_size`), and the
share of them whose interval satisfies the bound is the power. What is returned is the truth nearest the
bound at which that is POWER: a rate that is any nearer will as a rule end as undecided.

A gain is taken at its best, with no item becoming worse: where some do, more is needed. Left out on
purpose: what a grader's errors cost, and unscored items; both make it harder.

Shapes: S data sets, C topics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from alignwright.stats.arrays import Floats
from alignwright.stats.effective_sample_size import PRIOR, change, share_limits

POWER = 0.8
DATA_SETS = 2000
_DRAWS = 400_000  # topics drawn in all at most, so that thousands of topics take no longer
_STEPS = 20  # of bisection


def largest_share_shown(sizes: Sequence[int], bound: float) -> float | None:
    """The largest true share of which items in topics of these sizes show, with POWER, that it is below
    `bound`; None where they cannot, whatever the truth is."""

    def power(truth: float) -> float:
        hit_SC = _drawn(sizes, truth)
        _, high_S, _ = share_limits(hit_SC, np.asarray(sizes, dtype=np.float64))
        return float(np.mean(high_S < bound))

    return _nearest(power, 0.0, bound)


def smallest_gain_shown(sizes: Sequence[int], bound: float) -> float | None:
    """The smallest true gain of which they show, with POWER, that it is above `bound`, where no item
    becomes worse; None where they cannot."""

    def power(truth: float) -> float:
        better_SC = _drawn(sizes, truth)
        low_S, _ = change(better_SC, np.zeros_like(better_SC), np.asarray(sizes, dtype=np.float64)).limits()
        return float(np.mean(low_S > bound))

    return _nearest(power, 1.0, max(bound, 0.0))


def limit_without_hits(sizes: Sequence[int]) -> float:
    """Where the interval of a share ends of which no item is a hit."""
    _, high_S, _ = share_limits(np.zeros((1, len(sizes))), np.asarray(sizes, dtype=np.float64))
    return float(high_S[0])


def _drawn(sizes: Sequence[int], truth: float) -> Floats:
    """Hits by topic in many data sets, the same draws for every truth of the same sizes."""
    size_C = np.asarray(sizes)
    count = max(200, min(DATA_SETS, _DRAWS // len(sizes)))
    if truth <= 0.0 or truth >= 1.0:
        return np.repeat(size_C[None, :] * float(truth >= 1.0), count, axis=0)
    rng = np.random.default_rng(0)
    spread = (1 - PRIOR) / PRIOR
    rate_SC = rng.beta(truth * spread, (1 - truth) * spread, (count, len(sizes)))
    rate_SC = np.where(size_C > 1, rate_SC, truth)
    return rng.binomial(size_C, rate_SC).astype(np.float64)


def _nearest(power: Callable[[float], float], best: float, bound: float) -> float | None:
    """Between the truth that is easiest to show and the bound, the last at which the power is enough."""
    if power(best) < POWER:
        return None
    if power(bound) >= POWER:
        return bound
    shown, open_end = best, bound
    for _ in range(_STEPS):
        middle = (shown + open_end) / 2
        shown, open_end = (middle, open_end) if power(middle) >= POWER else (shown, middle)
    return shown
