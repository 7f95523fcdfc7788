"""What are the KL divergence and the gain of best-of-n, best-of-Poisson and quantilizers, and at
which n is gold highest (HedgeTune)?

- Divergence: KL(best of n || policy) = ln n - (n - 1) / n where no two outputs score alike, less
  where outputs are few (Hilton 2023; Beirami et al. 2024, arXiv 2401.01879), where it is
  kl(bon_pmf(p, n), p) exactly.
- Gain: the unbiased estimate over all subsets of n of N scored samples (Nakano et al. 2021, arXiv
  2112.09332).
- Where to stop: gold under best-of-n rises throughout, falls throughout, or has one turn, down or
  up. HedgeTune (Khalaf et al. 2025, arXiv 2506.19248) finds it as the root of d/dn E[gold]: with u
  the proxy's quantile among the policy's replies, best-of-n has the cdf u^n, so that the derivative
  of a reply's weight is exact for any real n. Best-of-Poisson, for scripts of your own, draws 1 +
  Poisson(mu) replies: cdf u e^(mu (u - 1)), so that the pressure mu is any number at all and not a
  whole one.
- Quantilizer (Taylor 2016): a reply drawn from the best share q by proxy. KL = ln(1 / q) exactly,
  and a cost that is never negative is at most its mean under the policy over q, whatever the
  proxy's errors. From n samples it keeps a draw from the q n best of them, which is never likelier
  than 1 / q times what the policy says, so that both bounds hold; with q = 1 / n it is best-of-n.

Shapes: `_N` scored samples, `_M` possible outputs, from the lowest proxy to the highest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from alignwright.stats.arrays import Floats


@dataclass(frozen=True)
class Hedge:
    """How far to select: `at` is n, or mu of best-of-Poisson. `turns`: gold has its highest
    point there; else it still rises at the end that was looked at, or never rises (at the
    beginning). `slope` is d gold / d n at the end that was looked at."""

    at: float
    turns: bool
    slope: float


def bon_kl(n: int) -> float:
    """KL(best of n || policy) in nats where no two outputs score alike: ln n - (n - 1) / n. With
    ties or few outputs an upper bound."""
    return math.log(n) - (n - 1) / n


def bon_pmf(p_sorted: Sequence[float] | Floats, n: float) -> Floats:
    """The distribution of best-of-n over outputs of these probabilities, from the lowest score
    to the highest, no two alike."""
    p_M = np.asarray(p_sorted, dtype=np.float64)
    if not math.isclose(float(p_M.sum()), 1.0, abs_tol=1e-9) or p_M.min() < 0:
        raise ValueError(
            f"probabilities must be at least 0 and sum to 1; the lowest is {p_M.min():g} and they sum to {p_M.sum():g}"
        )
    return np.diff(np.minimum(p_M.cumsum(), 1.0) ** n, prepend=0.0)


def bon_estimate(proxy: Sequence[float] | Floats, gold: Sequence[float] | Floats, n: int) -> float:
    """The mean `gold` of the best of n by `proxy`, over all subsets of n of these samples:
    unbiased, unlike the best of one subset.

    Sample i of N, from the lowest proxy up and counted from 0, is the best of C(i, n - 1) of C(N,
    n) subsets. Samples with equal proxy share their weight.
    """
    if len(proxy) != len(gold) or not 1 <= n <= len(proxy):
        raise ValueError(
            f"the best of {n} needs at least {n} samples, each with a proxy and a gold score; there are {len(proxy)}"
            f" and {len(gold)}"
        )
    order_N, tied_N = _sorted(proxy)
    return float((_shared(_subsets(len(proxy), n), tied_N) * np.asarray(gold, dtype=np.float64)[order_N]).sum())


def bop_kl(mu: float) -> float:
    """KL(best-of-Poisson || policy) in nats where no two outputs score alike, by quadrature: its
    density is e^(mu (u - 1)) (1 + mu u)."""
    at_Q, weight_Q = np.polynomial.legendre.leggauss(400)
    u_Q = (np.asarray(at_Q, dtype=np.float64) + 1) / 2
    ln_Q = mu * (u_Q - 1) + np.log1p(mu * u_Q)
    return float((np.asarray(weight_Q, dtype=np.float64) / 2 * np.exp(ln_Q) * ln_Q).sum())


def hedge_best_of_n(samples: Sequence[tuple[Sequence[float], Sequence[float]]], most: int) -> Hedge:
    """The real n in [1, most] at which gold is highest. `samples`: (proxy, gold) of the policy's
    replies, prompt by prompt."""
    return _hedge(
        samples,
        1.0,
        float(most),
        lambda u, n: u**n,
        lambda u, n: np.where(u > 0, u**n * np.log(np.maximum(u, 1e-300)), 0.0),
    )


def hedge_poisson(samples: Sequence[tuple[Sequence[float], Sequence[float]]], most: float) -> Hedge:
    """The mu in [0, most] of best-of-Poisson at which gold is highest."""
    return _hedge(
        samples, 0.0, most, lambda u, mu: u * np.exp(mu * (u - 1)), lambda u, mu: u * (u - 1) * np.exp(mu * (u - 1))
    )


def quantilizer_kl(q: float) -> float:
    """KL(best share q || policy) in nats: ln(1 / q)."""
    return -math.log(_share(q))


def quantilizer_pmf(p_sorted: Sequence[float] | Floats, q: float) -> Floats:
    """The policy given the best share q by proxy; an output on the border is kept in part, so
    that the mass is q exactly."""
    p_M = np.asarray(p_sorted, dtype=np.float64)
    above_M = p_M.sum() - p_M.cumsum()  # mass that the proxy likes better
    return np.clip(_share(q) - above_M, 0.0, p_M) / q


def quantilizer_of_n(n: int, q: float) -> Floats:
    """The chance that each of n samples is kept, from the lowest proxy up: even over the best q n,
    the one on the border in part.

    Where q n is less than one sample the best is kept, as by best-of-n.
    """
    return quantilizer_pmf(np.full(n, 1 / n), max(_share(q), 1 / n))


def quantilizer_of_n_kl(n: int, q: float) -> float:
    """KL(quantilizer of n samples || policy) in nats where no two outputs score alike, by
    quadrature: at most ln(1 / q), and less by what n samples cannot tell. Its density at
    quantile u mixes those of the n order statistics."""
    at_Q, weight_Q = np.polynomial.legendre.leggauss(400)
    u_Q1, below_N = (np.asarray(at_Q, dtype=np.float64)[:, None] + 1) / 2, np.arange(n)
    ln_QN = (
        math.log(n)
        + _ln_choose(np.full(n, n - 1), below_N)
        + below_N * np.log(u_Q1)
        + (n - 1 - below_N) * np.log1p(-u_Q1)
    )
    density_Q = np.exp(ln_QN) @ quantilizer_of_n(n, q)
    likely_Q = density_Q > 0
    return float(
        (np.asarray(weight_Q, dtype=np.float64)[likely_Q] / 2 * density_Q[likely_Q] * np.log(density_Q[likely_Q])).sum()
    )


def _hedge(
    samples: Sequence[tuple[Sequence[float], Sequence[float]]],
    least: float,
    most: float,
    cdf: Callable[[Floats, float], Floats],
    slope: Callable[[Floats, float], Floats],
) -> Hedge:
    """Bisect the mean over prompts of d E[gold] / d n; `slope` is the derivative by n of the cdf
    at quantile u."""
    if not samples or most <= least:
        raise ValueError(
            f"hedging needs scored samples and a range; there are {len(samples)} prompts and the range is [{least:g},"
            f" {most:g}]"
        )
    sheets = [_by_quantile(proxy, gold) for proxy, gold in samples]

    def mean(of: Callable[[Floats, float], Floats], at: float) -> float:
        return float(np.mean([float((np.diff(of(u_N, at)) * gold_N).sum()) for u_N, gold_N in sheets]))

    def rising(at: float) -> float:
        return mean(slope, at)

    end = rising(most)
    if rising(least) <= 0:  # it may fall at first and rise later: then one of the ends is highest
        return Hedge(most if end > 0 and mean(cdf, most) > mean(cdf, least) else least, False, end)
    if end >= 0:
        return Hedge(most, False, end)
    low, high = least, most
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) > 0 else (low, middle)
    return Hedge((low + high) / 2, True, end)


def _by_quantile(proxy: Sequence[float], gold: Sequence[float]) -> tuple[Floats, Floats]:
    """The borders of the samples' quantiles, and gold from the lowest proxy up, equal proxies
    sharing theirs."""
    if len(proxy) != len(gold) or len(proxy) == 0:
        raise ValueError(f"each sample needs a proxy and a gold score; there are {len(proxy)} and {len(gold)}")
    order_N, tied_N = _sorted(proxy)
    return np.linspace(0.0, 1.0, len(proxy) + 1), _shared(np.asarray(gold, dtype=np.float64)[order_N], tied_N)


def _sorted(proxy: Sequence[float] | Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order from the lowest proxy up, and in that order the number of the tie that a sample
    belongs to."""
    proxy_N = np.asarray(proxy, dtype=np.float64)
    order_N = np.argsort(proxy_N, kind="stable")
    return order_N, np.unique(proxy_N[order_N], return_inverse=True)[1]


def _shared(value_N: Floats, tied_N: NDArray[np.int64]) -> Floats:
    """The values, those of a tie replaced by their mean."""
    return (np.bincount(tied_N, weights=value_N) / np.bincount(tied_N))[tied_N]


@cache
def _subsets(total: int, n: int) -> Floats:
    """The share of all subsets of n of which each sample is the best, from the lowest proxy up."""
    weight_N = np.zeros(total)
    weight_N[n - 1 :] = np.exp(_ln_choose(np.arange(n - 1, total), n - 1) - _ln_choose(np.asarray([total]), n))
    weight_N.setflags(write=False)
    return weight_N


def _ln_choose(total: NDArray[np.int64], part: int | NDArray[np.int64]) -> Floats:
    return np.asarray(gammaln(total + 1) - gammaln(part + 1) - gammaln(total - part + 1), dtype=np.float64)


def _share(q: float) -> float:
    if not 0.0 < q <= 1.0:
        raise ValueError(f"the best share must lie in (0, 1], seen {q:g}")
    return q
