"""Does the benchmark of scale forecast what it should, and show an ability where one was planted alone?"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import scale
from scale import Language, Scores

SMALL = Language(facts=16, letters=4, length=3, layers=1, steps=240, batch=32)


def sizes(letters: list[float], length: int = 5) -> list[list[Scores]]:
    """Two models a size, whose letters are right as given, a hundredth less and more; a size is four times the last."""
    return [
        [Scores(4**place * 1000, p**length, p, math.log(p), 1.0) for p in (mean - 0.01, mean + 0.01)]
        for place, mean in enumerate(letters)
    ]


def test_a_line_says_what_least_squares_says_with_the_interval_of_a_prediction() -> None:
    assert scale.line([(0, 1), (1, 3), (2, 5)], 3, 1) == pytest.approx((7, 7, 7))
    value, low, high = scale.line([(0, 0), (1, 1), (2, 3)], 3, 1)  # slope 3/2, left over 1/6, one degree of freedom
    half = 12.7062 * math.sqrt(1 / 6 * (1 + 1 / 3 + 2))
    assert (value, high - value, value - low) == pytest.approx((13 / 3, half, half), rel=1e-4)
    assert scale.line([(0, 0), (1, 1), (2, 3)], 3, 4)[2] < high  # the mean of four is surer than one


def test_a_smooth_rise_forecasts_the_jump_that_the_sharp_metric_does_not_see() -> None:
    planted = sizes([0.3, 0.5, 0.7, 0.9])
    letters, _, alone, through = scale.forecasts(planted, 5)
    assert letters.error == pytest.approx(0, abs=1e-3)
    assert through.error == pytest.approx(0, abs=5e-3)
    assert alone.error < -0.3
    assert scale.last_step(planted, "letters") == pytest.approx(1 / 3)
    assert scale.last_step(planted, "exact") > 0.7
    control = sizes([1 / 8] * 4)
    language = Language()
    assert scale.missed(planted, control, language)[0].startswith("the sharp metric jumps")  # .17 at the third size
    assert scale.missed(sizes([0.3, 0.46, 0.62, 0.79]), control, language) == []
    ability = scale.missed(planted, planted, language)
    assert {what.split(",")[0] for what in ability} > {"without the ability", "and no forecast shows one"}


def test_the_answers_are_bits_that_only_the_table_tells() -> None:
    language = Language()
    assert (language.bits, language.vocabulary) == (512 * 5 * 3, 523)
    answers = language.table(0)
    ids = language.documents(torch.arange(512), answers)
    assert ids.shape == (512, 8)
    assert (ids[:, 2:7] - 513).equal(answers)
    assert ids[:, 7].equal(521 + answers[:, -1] % 2)  # the closing letter goes by the last one
    counts = answers.flatten().bincount(minlength=8) / answers.numel()
    assert float((counts - 1 / 8).abs().max()) < 0.03


def test_a_model_learns_the_answers_where_there_are_some_and_the_rest_in_any_case() -> None:
    knows, control = (scale.scored(scale.trained(SMALL, 16, 0, planted=planted), SMALL, 0) for planted in (True, False))
    assert knows.exact > 0.8
    assert control.exact < 0.1
    assert abs(control.letters - 1 / 4) < 0.15
    assert min(knows.closing, control.closing) > 0.95
    assert knows.parameters == control.parameters > SMALL.vocabulary * 16
