"""Is the planted peak of a training found by its law, with an interval, and is it said when
there is no law?"""

from __future__ import annotations

import math

import numpy as np
import pytest

from alignwright.measure.goodhart.scaling_law import Trajectory, law


def way(a: float, b: float, far: float = 6.0, points: int = 9, prompts: int = 40, seed: int = 0) -> Trajectory:
    """Gold d (a - b ln d) with noise by prompt, the start first."""
    generator = np.random.default_rng(seed)
    d_T = np.concatenate([[0.0], np.linspace(far / points, far, points)])
    gold_T = np.array([0.0, *(d * (a - b * math.log(d)) for d in d_T[1:])])
    level_P = generator.normal(size=prompts)
    return Trajectory(
        d_T[:, None] ** 2 * np.ones(prompts),
        gold_T[:, None] + level_P + 0.3 * generator.normal(size=(points + 1, prompts)),
        "looks of m",
    )


def test_the_planted_peak_is_found_within_its_interval() -> None:
    found = law("m", way(1.0, 0.7))
    peak = math.exp(1.0 / 0.7 - 1)
    assert found.value == pytest.approx(peak, rel=0.1)
    assert (found.low or 0) < peak < (found.high or 0)
    assert "reinforcement form" in found.method
    assert all(
        part in found.note
        for part in ("R2 0.9", "within the data", "it foretells the other", "9 of looks of m, 0 below")
    )
    rises = law("m", way(1.0, 0.2))
    assert "beyond the data, an extrapolation" in rises.note  # the control: a peak at e^4 was not seen
    assert rises.value is None or rises.value > 6


def test_without_three_points_far_enough_there_is_no_law_and_it_is_said() -> None:
    for few in (way(1.0, 0.7, far=0.6), way(1.0, 0.7, points=2)):
        found = law("m", few)
        assert (found.value, found.low, found.high) == (None, None, None)
        assert "no value" in found.method
        assert "at d >= 0.5" in found.method
    assert "too few points to foretell" in law("m", way(1.0, 0.7, points=3)).note
