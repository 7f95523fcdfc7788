"""What can so many items show, before anything is asked? Statistical power of a share and of a paired
change at the interval that they will be given.

A promise is kept when its whole interval satisfies the bound, so it can only be kept where the truth
leaves room for the interval's width. For items in topics of given sizes, data sets are drawn (a rate of
its own for each topic, beta with correlation `PRIOR` within topics, which the interval assumes itself
where it knows nothing better), each is given the interval in use (`effective_sample_size`), and the
share of them whose interval satisfies the bound is the power. What is returned is the truth nearest the
bound at which that is POWER: a rate that is any nearer will as a rule end as undecided.

Of a mean that is no share the spread is not known beforehand, so what is returned is how many standard
deviations between topics it must lie beyond the bound, by the noncentral t distribution. The calibration
error of few items is above 0 even of a calibrated model, so of it the limit of such a model is drawn.

A gain is taken at its best, with no item becoming worse: where some do, more is needed. Left out on
purpose: what a grader's errors cost, and unscored items; both make it harder.

Shapes: S data sets, C topics.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from alignwright.stats.arrays import Floats
from alignwright.stats.calibration import SureAnswer, basic_bootstrap, calibration_error
from alignwright.stats.effective_sample_size import PRIOR, change, share_limits

POWER = 0.8
DATA_SETS = 2000
_DRAWS = 400_000  # topics drawn in all at most, so that thousands of topics take no longer
_STEPS = 20  # of bisection
_CALIBRATED = 40  # data sets of a calibrated model, each with resamples of its own


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


def deviations_shown(sizes: Sequence[int]) -> float | None:
    """How many standard deviations between topics a true mean must lie beyond a bound, so that they show it with
    POWER at Student's t; None where there is one topic. Topics count by their sizes."""
    items = sum(sizes)
    effective, degrees = items**2 / sum(size**2 for size in sizes), len(sizes) - 1
    if degrees < 1:
        return None
    special: Any = importlib.import_module("scipy.special")  # loaded here, as in `intervals`
    critical = float(special.stdtrit(degrees, 0.975))

    def power(deviations: float) -> float:
        return 1.0 - float(special.nctdtr(degrees, deviations * effective**0.5, critical))

    high = 1.0
    while power(high) < POWER:
        high *= 2
    low = 0.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def limit_where_calibrated(sizes: Sequence[int], bins: int) -> float | None:
    """Below which limit the interval of the calibration error of a model that is perfectly calibrated ends, with
    POWER, for confidences between a quarter and 1; None where there is one topic. The error of few items is above
    0 even of such a model."""
    if len(sizes) < 2:
        return None
    draw = random.Random(0)  # noqa: S311 - no secret
    ends: list[float] = []
    for _ in range(_CALIBRATED):
        sure = [(place, draw.uniform(0.25, 1.0)) for place, size in enumerate(sizes) for _ in range(size)]
        items = [SureAnswer(confidence, float(draw.random() < confidence), place) for place, confidence in sure]
        interval = basic_bootstrap(items, partial(calibration_error, bins=bins), (0.0, 1.0), resamples=100)
        ends.append(1.0 if interval.high is None else interval.high)
    return sorted(ends)[round(POWER * _CALIBRATED) - 1]


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
