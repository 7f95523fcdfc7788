"""Are calibration error, Brier score, risk and coverage, and temperature what can be worked out by hand?"""

from __future__ import annotations

import math
import random

import pytest

from alignwright.stats.calibration import (
    SureAnswer,
    basic_bootstrap,
    brier,
    calibration_error,
    debiased_rms,
    fit_temperature,
    risk_coverage_area,
    selective_accuracy,
    softmax,
)


def answers(*pairs: tuple[float, float]) -> list[SureAnswer]:
    return [SureAnswer(confidence, right, place) for place, (confidence, right) in enumerate(pairs)]


def drawn(n: int, says: float, truth: float | None = None, seed: int = 0) -> list[SureAnswer]:
    """Answers that are right with their confidence's own chance, or with `truth`."""
    draw = random.Random(seed)
    confidences = [draw.uniform(0.5, 1.0) if says == 0 else says for _ in range(n)]
    return answers(*((c, float(draw.random() < (c if truth is None else truth))) for c in confidences))


def test_the_calibration_error_by_hand():
    """Two bins of two: confidence .55 and accuracy .5, confidence .85 and accuracy .5."""
    items = answers((0.5, 1), (0.6, 0), (0.8, 1), (0.9, 0))
    assert calibration_error(items, 2) == pytest.approx(0.5 * 0.05 + 0.5 * 0.35)
    assert calibration_error(items, 1) == pytest.approx(0.7 - 0.5)
    assert calibration_error(answers((1.0, 1), (0.0, 0)), 2) == 0.0


def test_the_debiased_error_by_hand():
    """One bin of four: distance .2 squared, less .5 * .5 / 3 of noise, is below 0; of eight certain ones it is not."""
    assert debiased_rms(answers((0.7, 1), (0.7, 0), (0.7, 1), (0.7, 0)), 1) == 0.0
    items = answers(*[(0.9, 1)] * 4, *[(0.9, 0)] * 4)
    assert debiased_rms(items, 1) == pytest.approx(math.sqrt(0.4**2 - 0.25 / 7))


def test_the_debiased_error_of_calibrated_answers_is_nearer_to_0_than_the_plain_one():
    plain, debiased = zip(
        *(
            (calibration_error(items, 10), debiased_rms(items, 10) ** 2)
            for seed in range(40)
            for items in [drawn(100, 0, seed=seed)]
        ),
        strict=True,
    )
    assert sum(plain) / 40 > 0.07  # of answers whose true error is 0
    assert sum(debiased) / 40 < 0.01


def test_the_brier_score_by_hand():
    assert brier([0.7, 0.2, 0.1], 0) == pytest.approx(0.09 + 0.04 + 0.01)
    assert brier([1.0, 0.0], 0) == 0.0
    assert brier([1.0, 0.0], 1) == 2.0
    assert brier([0.25] * 4, 2) == pytest.approx(0.75)


def test_risk_and_coverage_by_hand():
    """Surest first: right, wrong, right. The errors among 1, 2 and 3 are 0, 1/2 and 1/3."""
    items = answers((0.6, 1), (0.9, 1), (0.8, 0))
    assert risk_coverage_area(items) == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)
    assert selective_accuracy(items, 1 / 3) == 1.0
    assert selective_accuracy(items, 1.0) == pytest.approx(2 / 3)


def test_answers_of_one_confidence_share_their_places_whatever_their_order():
    items = answers((0.5, 1), (0.5, 0), (0.5, 0), (0.5, 1))
    assert risk_coverage_area(items) == risk_coverage_area(items[::-1]) == pytest.approx(0.5)
    assert selective_accuracy(items, 0.25) == pytest.approx(0.5)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_a_planted_temperature_is_found(temperature: float):
    """Answers drawn from the probabilities at 1, shown as if they had been sharpened or flattened."""
    draw = random.Random(1)
    groups, rights = [], []
    for _ in range(4000):
        truth = [draw.gauss(0, 1.5) for _ in range(4)]
        rights.append(draw.choices(range(4), weights=softmax(truth))[0])
        groups.append([logprob * temperature for logprob in truth])
    assert fit_temperature(groups, rights) == pytest.approx(temperature, rel=0.1)


def test_the_interval_knows_an_overconfident_model_from_a_calibrated_one():
    calibrated, sure = drawn(300, 0), drawn(300, 0.95, truth=0.6)
    error = lambda items: calibration_error(items, 10)  # noqa: E731
    low, high = (basic_bootstrap(items, error, (0.0, 1.0)) for items in (calibrated, sure))
    assert low.high is not None
    assert high.low is not None
    assert low.low < 0.03
    assert high.low > low.high
    assert basic_bootstrap(calibrated[:1], error, (0.0, 1.0)).low is None
