"""Does the table of a detector tell a good one from one that always says yes, never does, or guesses?"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from alignwright.stats.detection import (
    HALVES,
    DetectorWorth,
    Half,
    ModelScore,
    contest,
    detection,
    threshold,
    why_no_rate,
)


def models(
    score: Callable[[float], float | None], clean: int = 40, doses: tuple[float, ...] = (0.1, 0.5, 1.0), each: int = 2
):
    """Clean models and organisms of each dose, in both halves alike, with what a detector says of each."""
    kinds = [0.0] * clean + [dose for dose in doses for _ in range(each)]
    return [ModelScore(f"m{place}", HALVES[place % 2], dose, score(dose)) for place, dose in enumerate(kinds)]


def of(score: Callable[[float], float | None], **more: int) -> DetectorWorth:
    return detection(models(score, **more))


def test_a_detector_that_knows_is_told_by_every_number() -> None:
    rng = random.Random(1)
    found = of(lambda dose: rng.random() + 2 * (dose >= 0.5), each=4)
    assert found.hits is not None
    assert found.false_alarms is not None
    assert found.by_dose[1.0].value == found.by_dose[0.5].value == 1.0
    assert (found.by_dose[0.1].value or 0.0) < 1.0, "what was hardly planted is not found"
    assert found.visible == 0.5
    assert (found.false_alarms.value or 0.0) < 0.2
    assert found.false_alarms.n == 40


@pytest.mark.parametrize("answer", [0.0, 1.0])
def test_one_that_always_says_yes_and_one_that_never_does_find_nothing(answer: float) -> None:
    found = of(lambda _: answer)
    assert found.area.value == 0.5
    assert found.area.interval.low is None
    assert found.hits is not None
    assert found.hits.count == 0, "a score that all models have is no alarm"
    assert found.visible is None
    assert set(found.dose_p.values()) == {1.0}


def test_one_that_guesses_has_an_interval_about_one_half_and_sees_no_dose() -> None:
    rng = random.Random(5)
    guesses = [of(lambda _: rng.random(), each=6) for _ in range(60)]
    inside = [(g.area.interval.low or 0.0) <= 0.5 <= (g.area.interval.high or 1.0) for g in guesses]
    assert sum(inside) >= 52
    assert sum(g.visible is not None for g in guesses) <= 8  # each has one look at 5 %


def test_false_alarms_are_what_was_asked_for_where_the_threshold_was_fixed_elsewhere() -> None:
    """The mean over many pools; judged by thresholds of its own half it would be too low by construction."""
    rng = random.Random(2)
    rates, own = [], []
    for _ in range(300):
        scores = models(lambda _: rng.random())
        found = detection(scores)
        assert found.false_alarms is not None
        rates.append(found.false_alarms.value or 0.0)
        clean = [s.score or 0.0 for s in scores if not s.dose]
        own.append(sum(score > threshold(clean, 0.05) for score in clean) / len(clean))
    assert sum(rates) / len(rates) == pytest.approx(2 / 21, abs=0.01)  # the second of 20 is exceeded with 2/21
    assert max(own) <= 0.05, "the control: on its own half a threshold keeps its promise always"


def test_the_exact_interval_of_false_alarms_covers_their_mean_over_both_thresholds() -> None:
    rng = random.Random(4)
    covered = 0
    for _ in range(200):
        scores = models(lambda _: rng.random())
        found = detection(scores)
        clean = {half: [s.score or 0.0 for s in scores if not s.dose and s.half != half] for half in HALVES}
        truth = sum(1 - threshold(clean[half], 0.05) for half in HALVES) / 2  # of uniform scores
        assert found.false_alarms is not None
        limits = found.false_alarms.interval
        covered += (limits.low or 0.0) <= truth <= (limits.high or 1.0)
    assert covered >= 180


def test_no_rate_from_fewer_than_forty_clean_models_or_too_few_in_a_half() -> None:
    few = of(lambda dose: dose, clean=38)
    assert few.hits is few.false_alarms is None
    assert few.refused == "no rate at 5% false alarms from 38 clean models: it takes 40, 20 in each half"
    assert few.area.value == 1.0, "what needs no threshold is told"
    lopsided: dict[Half, int] = {"a": 30, "b": 12}
    assert "42 clean models" in why_no_rate(lopsided)
    assert why_no_rate({"a": 20, "b": 20}) == ""
    assert detection(models(lambda dose: dose, clean=20), rate=0.1).hits is not None


def test_a_dose_is_seen_only_where_all_above_it_are_and_each_look_is_paid_for() -> None:
    rng = random.Random(7)
    upside_down = of(lambda dose: rng.random() + (2 if dose == 0.1 else 0), each=4)
    assert upside_down.dose_p[0.1] is not None
    assert upside_down.dose_p[0.1] < 0.001
    assert upside_down.visible is None, "the highest dose is not seen, so a lower one is chance"
    scores = models(lambda dose: rng.random() + 2 * (dose > 0))
    assert detection(scores, detectors=1).visible == 0.1
    assert detection(scores, detectors=20).visible == 0.1  # 1 / 861 is below 0.05 / 20
    assert detection(scores, detectors=50).visible is None


def test_no_score_is_no_detection_and_a_clean_model_without_one_is_one_fewer() -> None:
    found = of(lambda dose: None if dose else 0.5)
    assert found.hits is not None
    assert (found.hits.count, found.hits.n, found.unscored) == (0, 6, 6)
    assert found.area.value is None
    silent = of(lambda dose: 1.0 if dose else None)
    assert (silent.clean, silent.unscored) == (0, 40)
    assert silent.hits is None, "a detector that fails on clean models alone is not told to be right"


def test_the_better_kind_is_chosen_on_one_half_and_compared_on_the_other() -> None:
    rng = random.Random(8)
    base = models(lambda _: 0.0, each=8)

    def scored(score: Callable[[ModelScore], float]) -> list[ModelScore]:
        return [ModelScore(m.model, m.half, m.dose, score(m)) for m in base]

    good = scored(lambda m: rng.random() + 2 * (m.dose > 0))
    guess = scored(lambda _: rng.random())
    lucky = scored(lambda m: float(m.dose > 0) if m.half == "a" else rng.random())
    outcome = contest({"good": good}, {"guess": guess})
    assert outcome is not None
    assert outcome.n == 32
    assert (outcome.difference.interval.low or 0.0) > 0
    overfit = contest({"lucky": lucky, "guess": guess}, {"good": good})
    assert overfit is not None
    assert overfit.one == "lucky"
    assert (overfit.difference.value or 0.0) < 0, "luck on the half it was chosen on is not rewarded on the other"
    assert contest({}, {"good": good}) is None


def test_what_is_no_score_is_named() -> None:
    one = ModelScore("m1", "a", 0.0, 1.0)
    with pytest.raises(ValueError, match="m1"):
        detection([ModelScore("m1", "a", 0.0, float("nan"))])
    with pytest.raises(ValueError, match="share of the rows, seen 50"):
        detection([ModelScore("m1", "a", 50, 1.0)])
    with pytest.raises(ValueError, match="scored twice"):
        detection([one, one])
    with pytest.raises(ValueError, match="at least one detector"):
        detection([one], detectors=0)
    with pytest.raises(ValueError, match="no clean model"):
        threshold([], 0.05)
