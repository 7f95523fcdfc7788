"""Do the meters read what is known: (n - 1) / (n + 1), the correlation, 1 without a shift, 1 for
a proxy that is gold?"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from alignwright.measure.goodhart.trilemma import Move, Scored, apart, best_of, least_regret, move, ratio, trilemma
from alignwright.stats.tilting import covariance_under, mean_under, tilted


def start(rho: float, prompts: int = 60, samples: int = 128, seed: int = 0, error: str = "normal") -> list[Scored]:
    generator = np.random.default_rng(seed)
    gold = generator.normal(size=(prompts, samples))
    noise = generator.normal(size=gold.shape) if error == "normal" else generator.standard_t(2, size=gold.shape)
    proxy = rho * gold + np.sqrt(1 - rho**2) * noise
    return [Scored(list(p), list(g)) for p, g in zip(proxy, gold, strict=True)]


def moves(scored: list[Scored], n: int, units: tuple[float, float] = (1.0, 1.0)) -> list[Move]:
    return [best_of(one, n, units, i) for i, one in enumerate(scored)]


@pytest.mark.parametrize("n", [2, 8, 64])
def test_the_optimisation_of_best_of_n(n: int) -> None:
    found = trilemma(moves(start(0.6), n))
    assert found.optimization.value == pytest.approx((n - 1) / (n + 1), abs=1e-12)
    assert found.capture.value == pytest.approx(0.6, abs=0.05)  # jointly Gaussian: the correlation, at every n
    assert found.capture.interval.low < 0.6 < found.capture.interval.high  # type: ignore[operator]


def test_heavy_tails_lose_the_value_and_a_hacked_proxy_is_below_zero() -> None:
    heavy = [trilemma(moves(start(0.6, error="t", seed=2), n)).capture.value for n in (2, 16, 128)]
    assert heavy[0] > 2.5 * heavy[-1] > 0  # type: ignore[operator]
    hacked = [Scored(one.proxy, [-p for p in one.proxy]) for one in start(0.6)]
    assert trilemma(moves(hacked, 8)).capture.value == pytest.approx(-1.0)


def test_a_proxy_that_is_gold_captures_everything_at_every_strength() -> None:
    same = [Scored(one.proxy, one.proxy) for one in start(0.6)]
    for n in (2, 8, 64):
        found = trilemma(moves(same, n), moves([Scored(one.proxy, one.proxy) for one in start(0.6, seed=9)], n))
        assert found.capture.value == pytest.approx(1.0)
        assert found.capture.interval.low == pytest.approx(1.0, abs=1e-6)
        assert found.gap.value == pytest.approx(0.0)
        assert found.generalization is not None
        assert found.generalization.value == pytest.approx(1.0, abs=0.1)


def test_generalisation_is_one_without_a_shift_and_less_with_one() -> None:
    covered = 0
    for seed in range(60):
        inside, outside = moves(start(0.6, 30, 32, seed), 8), moves(start(0.6, 30, 32, seed + 500), 8)
        found = trilemma(inside, outside).generalization
        assert found is not None
        covered += (found.interval.low or 0) <= 1.0 <= (found.interval.high or 0)
    assert 53 <= covered <= 60
    shifted = trilemma(moves(start(0.6), 8), moves(start(0.1, seed=3), 8))
    assert shifted.generalization is not None
    assert shifted.generalization.interval.high < 0.5  # type: ignore[operator]
    assert shifted.worst is not None
    assert shifted.worst[1] < 0.1


def test_another_model_is_placed_among_the_replies_of_the_start() -> None:
    begun = start(0.5, 40, 50)
    raised = [Scored([p + 1.0 for p in one.proxy], [g + 0.25 for g in one.gold]) for one in begun]
    found = trilemma([move(b, r, (2.0, 0.5), i) for i, (b, r) in enumerate(zip(begun, raised, strict=True))])
    assert found.capture.value == pytest.approx((0.25 / 0.5) / (1.0 / 2.0))
    assert found.optimization.value == pytest.approx(2 * 0.7602 - 1, abs=0.04)  # P(N + 1 > N') = Phi(1 / sqrt 2)
    still = trilemma([move(b, b, (1.0, 1.0), i) for i, b in enumerate(begun)])
    assert still.optimization.value == pytest.approx(0.0)
    assert still.capture.value is None  # nothing was gained, so nothing can have been captured
    assert "nothing was surely gained" in still.capture.interval.method


def test_fieller_covers_a_ratio_where_the_divisor_is_weak() -> None:
    generator, covered, told = np.random.default_rng(4), 0, 0
    for _ in range(300):
        x = generator.normal(1.0, 2.0, size=25)
        found = ratio(list(0.5 * x + 0.5 * generator.normal(size=25)), list(x), list(range(25)))
        if found.interval.low is not None:
            told += 1
            covered += found.interval.low <= 0.5 <= found.interval.high  # type: ignore[operator]
    assert told > 150
    assert covered / told >= 0.92
    assert apart([1.0, 2.0], ["a", "b"], [0.0, 0.1], ["c", "d"]).value is None


def test_the_gap_grows_by_the_variance_less_the_covariance() -> None:
    generator = np.random.default_rng(5)
    p, proxy, gold = generator.dirichlet(np.ones(30)), generator.normal(size=30), generator.normal(size=30)

    def gap(strength: float) -> float:
        return mean_under(tilted(p, proxy, strength), proxy - gold)

    q = tilted(p, proxy, 0.5)
    variance, together = covariance_under(q, proxy, proxy), covariance_under(q, gold, proxy)
    assert (gap(0.5 + 1e-5) - gap(0.5 - 1e-5)) / 2e-5 == pytest.approx(variance - together, abs=1e-8)
    assert abs(variance - together) > 0.1
    assert variance == pytest.approx(
        covariance_under(q, proxy, proxy - gold) + together
    )  # it is the covariance of the gap itself


@pytest.mark.parametrize(("labels", "seen", "least"), [(50, 0.330, 0.167), (200, 0.186, 0.049), (1000, 0.022, 0.0001)])
def test_no_learner_beats_the_least_regret_and_an_oracle_needs_fewer_labels(
    labels: int, seen: float, least: float
) -> None:
    """The best guess (the majority of the labels that tell) loses more than the bound; a tenth
    of the labels, all on hard contexts, do as well."""
    generator = np.random.default_rng(labels)

    def loses(hard: np.ndarray) -> float:
        right = generator.binomial(hard, 0.6)
        return float((2 * right < hard).mean() + 0.5 * (2 * right == hard).mean())

    assert least_regret(labels, 0.1, 0.1) == pytest.approx(least, abs=6e-4)
    assert loses(generator.binomial(labels, 0.1, size=100_000)) == pytest.approx(seen, abs=0.006)
    assert seen >= least_regret(labels, 0.1, 0.1)
    oracle = loses(np.full(100_000, labels // 10))
    assert oracle == pytest.approx(seen, abs=0.03)
    assert oracle >= least_regret(labels // 10, 1.0, 0.1)
    with pytest.raises(ValueError, match="hard share"):
        least_regret(10, 0.0, 0.1)


def test_there_is_no_single_number() -> None:
    with pytest.raises(TypeError, match="three meters"):
        float(trilemma(moves(start(0.6, 4, 8), 2)))
    with pytest.raises(ValueError, match="at least one prompt"):
        trilemma([])


def test_over_a_divisor_that_never_varies_fieller_s_interval_is_the_textbook_one() -> None:
    values = [0.2, 0.9, 0.4, 0.7, 0.1, 0.8]
    found = ratio(values, [1.0] * 6, range(6))
    expected = stats.t.interval(0.95, 5, np.mean(values), stats.sem(values))  # with n - 1
    assert (found.interval.low, found.interval.high) == pytest.approx(expected)
    doubled = ratio(values * 2, [1.0] * 12, [*range(6)] * 2)  # copies within their clusters add no certainty
    assert (doubled.interval.low, doubled.interval.high) == pytest.approx(expected)
