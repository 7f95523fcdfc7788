"""Is best-of-n what the formulas say: divergence, the unbiased curve against all subsets,
hedging, quantilizers?"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import laplace, norm
from scipy.stats import t as student

from alignwright.stats.best_of_n import (
    bon_estimate,
    bon_kl,
    bon_pmf,
    bop_kl,
    hedge_best_of_n,
    hedge_poisson,
    quantilizer_kl,
    quantilizer_of_n,
    quantilizer_of_n_kl,
    quantilizer_pmf,
)
from alignwright.stats.tilting import kl


@pytest.mark.parametrize(
    ("n", "nats"), [(1, 0.0), (2, 0.1931), (4, 0.6363), (16, 1.8351), (64, 3.1745), (1024, 5.9324)]
)
def test_the_divergence_of_a_choice(n: int, nats: float) -> None:
    assert bon_kl(n) == pytest.approx(nats, abs=5e-5)


@pytest.mark.parametrize(("outputs", "nats"), [(10, 2.2935), (100, 3.1576), (10_000, 3.1745)])
def test_the_divergence_among_few_outputs_is_less(outputs: int, nats: float) -> None:
    def exact(p: list[float], n: int) -> float:
        return kl(bon_pmf(p, n), p)

    assert exact([1 / outputs] * outputs, 64) == pytest.approx(nats, abs=5e-5)
    assert exact([1 / outputs] * outputs, 64) <= bon_kl(64)
    assert exact([0.2, 0.3, 0.5], 1) == pytest.approx(0.0, abs=1e-12)
    assert exact([0.9, 0.1], 10_000) == pytest.approx(math.log(10), abs=1e-6)  # never more than finding the rarest
    with pytest.raises(ValueError, match="sum to 1"):
        bon_pmf([0.5, 0.6], 2)


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_the_estimate_is_the_mean_over_all_subsets(n: int) -> None:
    generator = np.random.default_rng(0)
    proxy, gold = generator.normal(size=7), generator.normal(size=7)
    subsets = list(itertools.combinations(range(7), n))
    brute = np.mean([gold[max(subset, key=lambda i: proxy[i])] for subset in subsets])
    assert bon_estimate(proxy, gold, n) == pytest.approx(float(brute), abs=2e-15)
    assert bon_estimate(gold, gold, n) > float(brute) + 0.1 or n in (
        1,
        7,
    )  # the control: chosen by gold itself it is another number


def test_equal_proxies_share_and_large_samples_do_not_overflow() -> None:
    proxy, gold = [0.0, 1.0, 1.0, 1.0], [9.0, 1.0, 2.0, 6.0]
    subsets = list(itertools.combinations(range(4), 2))
    brute = np.mean([np.mean([gold[i] for i in s if proxy[i] == max(proxy[j] for j in s)]) for s in subsets])
    assert bon_estimate(proxy, gold, 2) == pytest.approx(float(brute), abs=1e-13)
    assert bon_estimate(proxy[::-1], gold[::-1], 2) == pytest.approx(float(brute), abs=1e-13)
    rank = list(range(12_600))
    assert bon_estimate(rank, rank, 6000) == pytest.approx(
        6000 * 12_601 / 6001 - 1, rel=1e-9
    )  # the mean maximum of n ranks
    with pytest.raises(ValueError, match="at least 5 samples"):
        bon_estimate(proxy, gold, 5)


@pytest.mark.parametrize(
    ("n", "mean"), [(2, 0.5642), (4, 1.0294), (16, 1.7660), (64, 2.3437), (256, 2.8269), (1024, 3.2482)]
)
def test_gaussian_gold_rises_by_its_correlation_and_never_turns(n: int, mean: float) -> None:
    """E[best of n normals] = m_n, and gold that correlates by rho with the proxy gains rho m_n:
    regressional Goodhart."""
    x = np.linspace(-9, 9, 20_001)
    top = float(np.trapezoid(x * n * np.exp(-x * x / 2) / math.sqrt(2 * math.pi) * ndtr(x) ** (n - 1), x))
    assert top == pytest.approx(mean, abs=5e-5)
    generator = np.random.default_rng(n)
    proxy = generator.normal(size=40_000)
    gold = 0.6 * proxy + 0.8 * generator.normal(size=40_000)
    assert bon_estimate(proxy, proxy, n) == pytest.approx(mean, abs=0.1)
    assert bon_estimate(proxy, gold, n) / bon_estimate(proxy, proxy, n) == pytest.approx(0.6, abs=0.08)


def test_heavy_tailed_error_turns_and_light_tailed_does_not() -> None:
    """Gold N(0, 1) plus an error: under Student-t(3) gold peaks at n in [8, 64] and falls; under
    a normal error it rises to 2.00 at 256."""
    sizes, generator = (1, 4, 16, 64, 256, 1024), np.random.default_rng(0)
    gold = generator.normal(size=400_000)
    heavy = [bon_estimate(gold + generator.standard_t(3, size=400_000), gold, n) for n in sizes]
    lighter = [bon_estimate(gold + generator.standard_t(5, size=400_000), gold, n) for n in sizes]
    light = [bon_estimate(gold + generator.normal(size=400_000), gold, n) for n in sizes]
    assert heavy == pytest.approx([0, 0.61, 0.87, 0.79, 0.55, 0.35], abs=0.06)
    assert light == pytest.approx([0, 0.73, 1.25, 1.66, 2.00, 2.30], abs=0.06)
    assert lighter == pytest.approx([0, 0.66, 1.03, 1.15, 1.06, 0.87], abs=0.06)
    assert light == sorted(light)
    assert heavy != sorted(heavy)


def test_the_mean_quantile_of_the_best() -> None:
    rank = np.arange(1, 1001) / 1001
    for n in (1, 2, 8, 64):
        assert bon_estimate(rank, rank, n) == pytest.approx(n / (n + 1), abs=1e-12)


def hump(c: float, m: int, samples: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Gold u - c u^m at proxy quantile u. E under best-of-n is n / (n + 1) - c n / (n + m):
    highest at n = (m - s) / (s - 1), s = sqrt(c m)."""
    u = (np.arange(samples) + 0.5) / samples
    return u, u - c * u**m


@pytest.mark.parametrize(("c", "m"), [(0.7, 6), (0.5, 10), (0.9, 3)])
def test_hedging_finds_the_turn_in_closed_form(c: float, m: int) -> None:
    s = math.sqrt(c * m)
    best = (m - s) / (s - 1)
    found = hedge_best_of_n([hump(c, m)], 64)
    assert found.turns
    assert found.at == pytest.approx(best, rel=2e-3)
    curve = [bon_estimate(*hump(c, m), n) for n in range(1, 33)]
    top = 1 + int(np.argmax(curve))
    assert abs(found.at - top) < 1  # the root lies beside the best whole number
    assert hedge_best_of_n([hump(c, m)] * 3, 64).at == pytest.approx(found.at)


def test_the_hump_whose_root_is_2_51_and_whose_best_whole_number_is_3() -> None:
    """c is solved from the closed form so that the turn is at 2.51; the root is also that of
    HedgeTune's own residual, E[r (1 / n + ln u)]."""
    root, m = 2.51, 6
    c = ((m + root) / (1 + root)) ** 2 / m
    found = hedge_best_of_n([hump(c, m, 20_000)], 64)
    assert (round(found.at, 2), found.turns) == (2.51, True)
    exact = [n / (n + 1) - c * n / (n + m) for n in range(1, 9)]
    assert 1 + int(np.argmax(exact)) == 3
    assert [bon_estimate(*hump(c, m), n) for n in range(1, 9)] == pytest.approx(exact, abs=1e-3)
    u = (np.arange(200_000) + 0.5) / 200_000

    def residual(n: float, gold: np.ndarray) -> float:
        return float((gold * n * u ** (n - 1) * (1 / n + np.log(u))).mean())

    assert residual(found.at, u - c * u**m) == pytest.approx(0.0, abs=1e-4)
    assert residual(2.2, u - c * u**m) > 1e-3 > -1e-3 > residual(2.9, u - c * u**m)
    assert residual(found.at, u) > 0.02  # the control: gold that is the proxy has no root


@pytest.mark.parametrize(
    ("error", "known"),
    [
        (norm, (0, 0.7279, 1.2487, 1.6573, 1.9989, 2.2968)),
        (student(5), (0, 0.6597, 1.0325, 1.1499, 1.0648, 0.8712)),
        (student(3), (0, 0.6122, 0.8710, 0.7908, 0.5501, 0.3467)),
        (student(2), (0, 0.5555, 0.6876, 0.4671, 0.2378, 0.1179)),
        (laplace, (0, 0.6309, 0.9251, 0.9937, 0.9998, 1.0)),
    ],
    ids=["normal", "t5", "t3", "t2", "laplace"],
)
def test_gold_under_an_error_of_known_tail(error: Any, known: tuple[float, ...]) -> None:
    """Gold N(0, 1), proxy gold + error, by quadrature: m_n / sqrt 2 under a normal error, a peak
    under Student's t, a plateau at 1 under Laplace's.

    Simulations of the same give 1.16, 1.08, .90 under t(5) and .80, .57, .36 under t(3) at n = 64,
    256, 1024: off by up to .03 far out, where few samples decide; 24 million draws for each n agree
    with the quadrature, within 1.5 standard errors.
    """
    x = 0.05 * np.sinh(14 * np.linspace(-1, 1, 8001))  # fine in the middle, and out to 30,000
    gold = np.linspace(-8, 8, 161)
    joint = error.pdf(x[:, None] - gold) * norm.pdf(gold) * (gold[1] - gold[0])
    seen = joint.sum(1) > 1e-280
    density = joint.sum(1)[seen]
    mass, value = density * np.gradient(x[seen]), joint[seen] @ gold / density
    assert mass.sum() == pytest.approx(1.0, abs=1e-5)
    curve = [float(bon_pmf(mass / mass.sum(), n) @ value) for n in (1, 4, 16, 64, 256, 1024)]
    assert curve == pytest.approx(known, abs=6e-4)
    assert (curve == sorted(curve)) == (error in (norm, laplace))


def test_hedging_says_when_there_is_no_turn() -> None:
    u, _ = hump(0.5, 4)
    rising, falling = hedge_best_of_n([(u, u)], 64), hedge_best_of_n([(u, -u)], 64)
    assert (rising.at, rising.turns) == (64.0, False)
    assert (falling.at, falling.turns) == (1.0, False)
    assert rising.slope > 0 > falling.slope


def test_best_of_poisson() -> None:
    """Its density e^(mu (u - 1)) (1 + mu u) is that of 1 + Poisson(mu) draws, and its hedge is
    the highest point of gold."""
    mu, u = 3.0, np.linspace(0, 1, 200_001)
    density = np.exp(mu * (u - 1)) * (1 + mu * u)
    drawn = sum(math.exp(-mu) * mu**k / math.factorial(k) * (k + 1) * u**k for k in range(60))
    assert np.abs(density / drawn - 1).max() < 2e-15
    assert np.trapezoid(density, u) == pytest.approx(1.0, abs=1e-9)
    assert bop_kl(mu) == pytest.approx(float(np.trapezoid(density * np.log(density), u)), abs=1e-8)
    assert bop_kl(0.0) == pytest.approx(0.0, abs=1e-12)
    found = hedge_poisson([hump(0.7, 6)], 50.0)
    grid = np.linspace(0, 20, 2001)
    gold = [float(np.trapezoid(np.exp(m * (u - 1)) * (1 + m * u) * (u - 0.7 * u**6), u)) for m in grid[::20]]
    assert found.turns
    assert found.at == pytest.approx(grid[::20][int(np.argmax(gold))], abs=0.11)


def test_quantilizers() -> None:
    generator = np.random.default_rng(1)
    assert quantilizer_kl(0.1) == pytest.approx(2.3026, abs=5e-5)
    p = np.full(1000, 1e-3)
    assert kl(quantilizer_pmf(p, 0.1), p) == pytest.approx(quantilizer_kl(0.1))
    for _ in range(50):
        p, cost, q = generator.dirichlet(np.ones(12)), generator.exponential(size=12), float(generator.uniform(0.02, 1))
        kept = quantilizer_pmf(p, q)
        assert kept.sum() == pytest.approx(1.0)
        assert kl(kept, p) <= quantilizer_kl(q) + 1e-12
        assert kept @ cost <= p @ cost / q + 1e-12
    best_of = bon_pmf(
        np.full(1000, 1e-3), 10
    )  # the control: best-of-10 goes to the very top, and no such bound holds for it
    spike = np.zeros(1000)
    spike[-1] = 1.0
    assert best_of @ spike > 0.9 * spike.mean() / 0.1
    assert quantilizer_pmf(np.full(1000, 1e-3), 0.1) @ spike <= spike.mean() / 0.1 + 1e-12
    with pytest.raises(ValueError, match="best share"):
        quantilizer_kl(0.0)


def test_a_quantilizer_of_n_samples() -> None:
    assert quantilizer_of_n(8, 0.25).tolist() == [0] * 6 + [0.5, 0.5]
    assert quantilizer_of_n(8, 0.3) == pytest.approx([0] * 5 + [0.4 / 2.4, 1 / 2.4, 1 / 2.4])
    assert quantilizer_of_n(3, 0.1).tolist() == [0, 0, 1]  # too few replies were scored: the best of them
    for n in (2, 8, 64):
        assert quantilizer_of_n_kl(n, 1 / n) == pytest.approx(bon_kl(n), abs=1e-6)
        assert quantilizer_of_n_kl(n, 1.0) == pytest.approx(0.0, abs=1e-9)
    seen = [quantilizer_of_n_kl(n, 0.1) for n in (10, 40, 200)]
    assert seen == sorted(seen)
    assert seen[-1] < quantilizer_kl(0.1) < seen[-1] + 0.25  # it tends to the quantilizer of the whole policy


def test_a_harm_that_the_proxy_likes_is_multiplied_by_no_more_than_one_over_q() -> None:
    """A thousandth of the replies are harmful and have the highest proxy, the planted worst
    case: draws of 20, the best 10 % or the best one."""
    generator = np.random.default_rng(2)
    u = np.sort(generator.random((200_000, 20)), axis=1)
    harm = (u > 0.999).astype(float)
    kept, best = float((harm @ quantilizer_of_n(20, 0.1)).mean()), float(harm[:, -1].mean())
    assert kept <= 0.001 / 0.1
    assert kept == pytest.approx(0.01, abs=1e-3)
    assert best > 1.5 * 0.001 / 0.1  # the control: best-of-20 breaks that bound


def test_gold_that_falls_first_and_rises_later_is_hedged_at_its_better_end() -> None:
    """The second best replies are bad, the very best are good: the slope at the beginning alone
    would have stopped there."""
    proxy, gold = [float(i) for i in range(100)], [0.0] * 60 + [-1.0] * 30 + [1.2] * 10
    ends = [bon_estimate(proxy, gold, n) for n in (1, 2, 30)]
    assert ends[1] < ends[0] < ends[2]
    assert (hedge_best_of_n([(proxy, gold)], 30).at, hedge_best_of_n([(proxy, gold)], 30).turns) == (30.0, False)
    assert hedge_poisson([(proxy, gold)], 30).at == 30.0
    worse = [0.0] * 60 + [-1.0] * 30 + [-0.5] * 10  # the control: it rises in the end, and not far enough
    assert hedge_best_of_n([(proxy, worse)], 30).at == 1.0
