"""How does success grow with the number of tries: the rate within k of n tries, a power law, a forecast?

- Rate within k tries: of n tries of a request, s succeeded; a random k of them hold a success with
  1 - C(n - s, k) / C(n, k), which is unbiased (Chen et al. 2021, arXiv 2107.03374). The rate is its mean
  over requests.
- Power law: -ln(rate within N) = a N^(-b) (Hughes et al. 2024, arXiv 2412.03556), a line over ln N of
  y = ln(-ln(rate)), fitted by least squares at 1, 2, 4 ... tries.
- Interval: y at any N is a sum over requests to first order (delta method), so its interval is that of
  a mean, clustered by topic (`intervals.clustered`), put back into a rate.
- Check: the law fitted up to a quarter of the tries must foretell the rate within all of them. Where the
  95% interval of what it misses by leaves out 0, the law does not hold, and there is no forecast.

The interval is of sampling alone: that the law goes on beyond the tries that were made is assumed.

Shapes: `_R` requests, `_K` numbers of tries.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from alignwright.stats.arrays import Floats
from alignwright.stats.intervals import Interval, clustered

AHEAD = 4
"""The check foretells so many times as many tries as it is fitted on."""
LEAST_SIZES = 3
"""Numbers of tries that a line is fitted on, at least."""


@dataclass(frozen=True)
class TriesLaw:
    """-ln(rate within N tries) = a N^(-b)."""

    a: float
    b: float

    def rate(self, tries: float) -> float:
        return math.exp(-self.a * tries**-self.b)


@dataclass(frozen=True)
class TriesForecast:
    """The rate within more tries than were made, by the law. `why_not`: why there is none; the law is
    there where it could be fitted, whether it holds or not."""

    at: int
    law: TriesLaw | None
    rate: float | None
    interval: Interval
    requests: int
    tries: int
    """Tries of each request."""
    why_not: str = ""
    check: str = ""
    """What the law, fitted on a quarter of the tries, foretold of all of them."""


def success_within(successes: int, tries: int, k: int) -> float:
    """The chance that k of these tries, drawn at random, hold a success."""
    if not 0 <= successes <= tries or not 1 <= k <= tries:
        raise ValueError(f"{successes} successes of {tries} tries within {k}: give 0 <= successes and 1 <= k <= tries")
    failures = tries - successes
    return 1.0 if k > failures else 1.0 - math.exp(math.fsum(math.log1p(-k / (tries - i)) for i in range(successes)))


def numbers_of_tries(most: int) -> list[int]:
    """1, 2, 4 ... and the most."""
    return [*(2**power for power in range(most.bit_length()) if 2**power < most), most]


def fit(sizes: Sequence[int], rates: Sequence[float]) -> TriesLaw:
    """The law through rates within these numbers of tries, each above 0 and below 1."""
    y_K = np.log(-np.log(np.asarray(rates, dtype=np.float64)))
    return TriesLaw(
        a=math.exp(float(_weights(sizes, 1) @ y_K)), b=float((_weights(sizes, 1) - _weights(sizes, math.e)) @ y_K)
    )


def forecast(counts: Sequence[tuple[int, int]], clusters: Sequence[Hashable], at: int) -> TriesForecast:
    """The rate within `at` tries, from (successes, tries) of each request."""
    most = min((tries for _, tries in counts), default=0)
    sizes = numbers_of_tries(most) if most else []
    rate_RK = np.array([[success_within(successes, tries, k) for k in sizes] for successes, tries in counts])
    rates = [float(rate) for rate in rate_RK.mean(axis=0)] if sizes else []
    near = [size for size in sizes if size * AHEAD <= most]

    def without(why: str, law: TriesLaw | None = None, check: str = "") -> TriesForecast:
        return TriesForecast(at, law, None, Interval(None, None, why), len(counts), most, why, check)

    # 1. What no line can be fitted to.
    if len(near) < LEAST_SIZES:
        least = AHEAD * 2 ** (LEAST_SIZES - 1)
        return without(f"{most} tries of each request are too few for the law; make {least} or more")
    if rates[-1] in (0.0, 1.0):
        return without(f"{'no' if rates[-1] == 0 else 'every'} request fell within {most} tries")
    law = fit(sizes, rates)
    # 2. Does the law, fitted on a quarter of the tries, foretell the rate within all of them?
    y_RK = _linear(rate_RK)
    error = clustered(list(y_RK[:, -1] - y_RK[:, : len(near)] @ _weights(near, most)), clusters)
    foretelling = fit(near, rates[: len(near)]).rate(most)
    check = (
        f"fitted up to {near[-1]} tries it foretells {foretelling:.1%} within {most}, where {rates[-1]:.1%} were seen"
    )
    if error.clusters == 1:
        return without("all requests are of one topic, so that the forecast can have no interval", law, check)
    low, high = error.interval.low, error.interval.high
    if low is not None and high is not None and not low <= 0.0 <= high:
        return without(f"the power law does not hold: {check}", law, check)
    # 3. The line at `at`, and its interval as that of a mean.
    ahead = clustered(list(y_RK @ _weights(sizes, at)), clusters)
    limits = ahead.interval
    interval = Interval(
        None if limits.high is None else _rate(limits.high),
        None if limits.low is None else _rate(limits.low),
        f"power law over {most} tries of each request; delta method, {limits.method}",
    )
    return TriesForecast(at, law, law.rate(at), interval, len(counts), most, check=check)


def _weights(sizes: Sequence[int], at: float) -> Floats:
    """What each y counts for the least-squares line at so many tries."""
    x_K = np.log(np.asarray(sizes, dtype=np.float64))
    middle = x_K.mean()
    return np.asarray(
        1 / len(x_K) + (math.log(at) - middle) * (x_K - middle) / np.square(x_K - middle).sum(), dtype=np.float64
    )


def _linear(rate_RK: Floats) -> Floats:
    """Each request's part of y = ln(-ln(mean rate)), to first order; their mean is y."""
    mean_K = rate_RK.mean(axis=0)
    slope_K = 1 / (mean_K * np.log(mean_K))
    return np.asarray(np.log(-np.log(mean_K)) + slope_K * (rate_RK - mean_K), dtype=np.float64)


def _rate(y: float) -> float:
    return math.exp(-math.exp(min(y, 700.0)))
