"""Is a change called outside the drift of harmless training as often as the theory says, and no oftener?"""

from __future__ import annotations

import math

import numpy as np
import pytest

from alignwright.stats.harmless_drift import INSIDE, OUTSIDE, UNTOLD, Drift, drift_of


def test_one_more_harmless_training_lies_outside_as_often_as_two_in_n_plus_one_whatever_the_shape() -> None:
    rng = np.random.default_rng(5)
    for draw in (rng.standard_normal, rng.standard_cauchy, rng.exponential):
        changes = draw(size=(20_000, 40))
        outside = sum((row[-1] < row[:-1].min()) | (row[-1] > row[:-1].max()) for row in changes)
        assert outside / 20_000 == pytest.approx(2 / 40, abs=0.006)  # four standard errors
    assert Drift(0.0, 1.0, 39).coverage == 0.95


def test_ties_make_outside_rarer_and_never_oftener() -> None:
    changes = np.random.default_rng(6).integers(0, 3, size=(5_000, 40)).astype(float)
    seen = [Drift(min(row[:-1]), max(row[:-1]), 39).verdict(row[-1]) for row in changes]
    assert seen.count(OUTSIDE) / 5_000 < 0.001


def test_the_control_a_planted_change_is_outside() -> None:
    rng = np.random.default_rng(7)
    drift = drift_of(list(rng.standard_normal(40)))
    assert drift is not None
    assert drift.verdict(6.0) == drift.verdict(-6.0) == OUTSIDE
    assert drift.verdict(0.0) == drift.verdict(drift.high) == drift.verdict(drift.low) == INSIDE


def test_from_fewer_than_39_outside_is_not_said_and_inside_is() -> None:
    assert Drift(-1.0, 1.0, 38).verdict(9.0) == UNTOLD
    assert Drift(-1.0, 1.0, 39).verdict(9.0) == OUTSIDE
    assert Drift(-1.0, 1.0, 2).verdict(0.5) == INSIDE
    assert Drift(1.0, 1.0, 1).coverage == 0.0


def test_nothing_and_what_is_no_number() -> None:
    assert drift_of([]) is None
    with pytest.raises(ValueError, match="seen nan"):
        drift_of([0.0, math.nan])
    with pytest.raises(ValueError, match="seen inf"):
        Drift(0.0, 1.0, 40).verdict(math.inf)
