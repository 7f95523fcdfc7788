"""Are the two laws fitted back, is the peak where it is, and is an extrapolation called one?"""

from __future__ import annotations

import math

import numpy as np
import pytest

from alignwright.measure.goodhart.overoptimisation import Law, fit, forecast, peak, standardised
from alignwright.stats.best_of_n import bon_estimate, bon_kl

D = np.sqrt([bon_kl(n) for n in (2, 4, 8, 16, 32, 64, 128, 256, 512)])


def law(kind: Law, d: np.ndarray, a: float = 1.3, b: float = 0.4) -> np.ndarray:
    return d * (a - b * (d if kind == "best_of_n" else np.log(d)))


@pytest.mark.parametrize(
    ("kind", "top", "height"),
    [("best_of_n", 1.3 / 0.8, 1.3**2 / 1.6), ("reinforcement", math.exp(2.25), 0.4 * math.exp(2.25))],
)
def test_a_law_is_recovered_exactly(kind: Law, top: float, height: float) -> None:
    found = fit(D, law(kind, D), kind)
    assert (found.a, found.b, found.r2) == pytest.approx((1.3, 0.4, 1.0))
    assert (found.peak, found.height) == pytest.approx((top, height))
    assert found.at(0.0) == 0.0
    assert forecast(D, law(kind, D), kind).rmse == pytest.approx(0.0, abs=1e-9)
    other: Law = "reinforcement" if kind == "best_of_n" else "best_of_n"
    assert fit(D, law(kind, D), other).r2 < 0.999  # the control: the forms are told apart
    assert forecast(D, law(kind, D), other).rmse > 0.01


def test_reinforcement_in_rounds_is_the_same_law_with_a_raised_by_b_ln_k() -> None:
    """k rounds, each from where the last one ended, divide the way: k R(d / k) = d (a - b ln d +
    b ln k), so that the peak is k times as far."""
    once = fit(D, law("reinforcement", D), "reinforcement")
    for k in (2, 4):
        found = fit(k * D, k * law("reinforcement", D), "reinforcement")
        assert (found.a, found.b) == pytest.approx((1.3 + 0.4 * math.log(k), 0.4))
        assert found.peak == pytest.approx(k * (once.peak or 0.0))
        assert found.height == pytest.approx(k * (once.height or 0.0))


def test_the_reinforcement_form_is_never_fitted_near_the_start() -> None:
    near = np.array([0.05, 0.2, 0.49])
    d = np.concatenate([near, D])
    gold = np.concatenate([np.full(3, -5.0), law("reinforcement", D)])
    found = fit(d, gold, "reinforcement")
    assert (found.a, found.b) == pytest.approx((1.3, 0.4))
    assert found.left_out == 3 + int((D < 0.5).sum())
    with pytest.raises(ValueError, match="needs 3 different points with d >="):
        fit(near, [0.0, 0.1, 0.2], "reinforcement")
    with pytest.raises(ValueError, match="finite gold for each"):
        fit(D, [*law("best_of_n", D)[:-1], math.nan], "best_of_n")


def test_a_hump_from_heavy_tails_peaks_within_the_data() -> None:
    """t(2) error on Gaussian gold peaks near n = 16 and falls (the form is not exact for it); a
    Gaussian error has no peak within the data."""
    generator, sizes = np.random.default_rng(3), (2, 4, 8, 16, 32, 64)
    d = np.sqrt([bon_kl(n) for n in sizes])

    def curves(error: np.ndarray, gold: np.ndarray) -> np.ndarray:
        return np.array([[bon_estimate(g + e, g, n) for n in sizes] for g, e in zip(gold, error, strict=True)])

    gold = generator.normal(size=(200, 128))
    heavy = peak(d, curves(generator.standard_t(2, size=(200, 128)), gold), "best_of_n", seed=1)
    light = peak(d, curves(generator.normal(size=(200, 128)) * 0.5, gold), "best_of_n", seed=1)
    assert heavy.low is not None
    assert heavy.high is not None
    assert math.sqrt(bon_kl(6)) < heavy.low < heavy.high < math.sqrt(bon_kl(24))
    assert not heavy.beyond
    assert heavy.high < light.low  # type: ignore[operator]
    assert light.value is None or light.beyond


def test_a_curve_that_bends_upwards_has_no_peak() -> None:
    found = fit(D, D**2, "best_of_n")
    assert found.peak is None
    assert found.height is None
    without = peak(D, np.stack([D**2, 1.1 * D**2, 0.9 * D**2]), "best_of_n")
    assert (without.value, without.high, without.without) == (None, None, 1.0)
    falling = peak(D, np.stack([-D + 0.1 * D**2, -D + 0.05 * D**2, -1.2 * D]), "best_of_n")
    assert (falling.value, falling.low, falling.high) == (
        0.0,
        0.0,
        0.0,
    )  # below the start as far as was measured, whichever way it bends
    assert peak(D, law("best_of_n", D)[None], "best_of_n").method == "no interval: a single prompt"
    assert fit(D, -D, "best_of_n").at(1.0) == pytest.approx(-1.0)


def test_the_bootstrap_covers_the_peak_as_often_as_it_says() -> None:
    generator, hits = np.random.default_rng(5), 0
    for trial in range(60):
        a = 1.3 + 0.4 * generator.normal(size=(40, 1))
        curves = D * (a - 0.4 * D) + 0.2 * generator.normal(size=(40, len(D)))
        found = peak(D, curves, "best_of_n", resamples=200, seed=trial)
        hits += found.low is not None and found.high is not None and found.low <= 1.625 <= found.high
    assert 50 <= hits <= 60


def test_scores_without_spread_have_no_unit() -> None:
    assert standardised([1.0, 3.0], 1.0, 2.0) == [0.0, 1.0]
    with pytest.raises(ValueError, match="no spread"):
        standardised([1.0], 1.0, 0.0)
