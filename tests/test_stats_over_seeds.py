"""Does an interval over seeds count both what the items and what the seeds leave open?"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from alignwright.stats.intervals import mean_interval
from alignwright.stats.over_seeds import over_seeds

T2, T1 = 4.302652729749464, 12.706204736432095  # Student's t at 97.5 %, with 2 and 1 degrees of freedom


def test_seeds_that_agree_have_the_interval_of_the_items_on_both_sides() -> None:
    pool = over_seeds([0.02] * 3, [0.0] * 3, [0.11] * 3)
    assert (pool.value, pool.sd) == (pytest.approx(0.02), 0.0)
    assert (pool.low, pool.high) == (pytest.approx(0.0), pytest.approx(0.11))


@pytest.mark.parametrize(("values", "critical"), [([0.1, 0.2, 0.6], T2), ([0.1, 0.2], T1)])
def test_items_without_spread_leave_students_t_over_the_seeds(values: list[float], critical: float) -> None:
    pool = over_seeds(values, values, values)
    half = critical * np.std(values, ddof=1) / len(values) ** 0.5
    assert (pool.low, pool.high) == (pytest.approx(pool.value - half), pytest.approx(pool.value + half))


def test_of_seeds_alone_p_is_that_of_students_t_test() -> None:
    pool = over_seeds([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    assert pool.p == pytest.approx(0.07417990022744853)  # t = 3.464 with 2 degrees of freedom


def test_p_is_of_the_test_whose_interval_it_stands_beside() -> None:
    draw = random.Random(1)
    sides = {True: 0, False: 0}
    for _ in range(400):
        values = [draw.gauss(0.5, 0.3) for _ in range(draw.choice([2, 3, 5]))]
        below, above = draw.uniform(0, 0.8), draw.uniform(0, 0.8)
        pool = over_seeds(values, [v - below for v in values], [v + above for v in values])
        shown = not pool.low <= 0 <= pool.high
        sides[shown] += 1
        assert (pool.p < 0.05) == shown
    assert min(sides.values()) > 50


def measured(rng: np.random.Generator, items: float, seeds: float, rest: float, k: int = 3, n: int = 40) -> np.ndarray:
    """Scores of k seeds on the same n items about a true mean of 0: what items share, what a seed
    shares, and what neither does."""
    return items * rng.normal(size=n) + seeds * rng.normal(size=(k, 1)) + rest * rng.normal(size=(k, n))


@pytest.mark.parametrize(("items", "seeds", "rest"), [(1, 0.3, 1), (1, 0, 0.2), (0.3, 1, 0.3)])
def test_it_covers_the_truth_as_often_as_it_says_whatever_varies(items: float, seeds: float, rest: float) -> None:
    covers, rng = dict.fromkeys(("both", "items alone", "seeds alone"), 0), np.random.default_rng(7)
    trials = 800
    for _ in range(trials):
        scores_KN = measured(rng, items, seeds, rest)
        values, own = list(scores_KN.mean(1)), [interval(row) for row in scores_KN]
        pool = over_seeds(values, [low for low, _ in own], [high for _, high in own])
        alone = over_seeds(values, values, values)
        covers["both"] += pool.low <= 0 <= pool.high
        covers["items alone"] += own[0][0] <= 0 <= own[0][1]
        covers["seeds alone"] += alone.low <= 0 <= alone.high
    shares = {name: count / trials for name, count in covers.items()}
    assert shares["both"] >= 0.94, shares
    if seeds == 1:
        assert shares["items alone"] < 0.5  # the control: one seed knows nothing of the others
    if seeds == 0:
        assert shares["seeds alone"] < 0.7  # the control: seeds on the same items know nothing of others


def interval(row: Sequence[float]) -> tuple[float, float]:
    estimate = mean_interval([float(value) for value in row]).interval
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


def test_one_seed_has_no_interval_over_seeds() -> None:
    with pytest.raises(ValueError, match="needs two of them"):
        over_seeds([0.5], [0.4], [0.6])
