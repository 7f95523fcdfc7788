"""Is the p of the rank-sum test the share of choices that are as extreme, counted?"""

from __future__ import annotations

import itertools
import random

import pytest

from alignwright.stats.rank_sum import rank_sum_p


def by_counting(few: list[float], many: list[float]) -> float:
    """Over all choices of so many: how often pairs in order, ties half, come to as much."""

    def in_order(chosen: tuple[int, ...]) -> float:
        rest = [scores[i] for i in range(len(scores)) if i not in chosen]
        return sum((scores[i] > other) + (scores[i] == other) / 2 for i in chosen for other in rest)

    scores = few + many
    seen = in_order(tuple(range(len(few))))
    choices = list(itertools.combinations(range(len(scores)), len(few)))
    return sum(in_order(chosen) >= seen - 1e-9 for chosen in choices) / len(choices)


@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_share_of_choices_with_ties_and_without(seed: int) -> None:
    rng = random.Random(seed)
    few = [float(rng.randint(0, 4)) for _ in range(rng.randint(1, 4))]
    many = [float(rng.randint(0, 3)) for _ in range(rng.randint(2, 7))]
    assert rank_sum_p(few, many) == pytest.approx(by_counting(few, many))


def test_two_above_forty_and_what_says_nothing() -> None:
    many = [float(place) for place in range(40)]
    assert rank_sum_p([50.0, 60.0], many) == pytest.approx(1 / 861)
    assert rank_sum_p([-1.0, -2.0], many) == pytest.approx(1.0)
    assert rank_sum_p([3.0, 3.0], [3.0] * 40) == 1.0
    assert rank_sum_p([], many) is None
    assert rank_sum_p([1.0], []) is None


def test_under_no_difference_it_is_below_a_level_no_more_often_than_that() -> None:
    rng = random.Random(3)
    ps = [rank_sum_p([rng.random() for _ in range(2)], [rng.random() for _ in range(20)]) or 0.0 for _ in range(400)]
    assert sum(p <= 0.05 for p in ps) <= 32  # 20 expected; more than 32 has a probability of 0.3 %
    shifted = [rank_sum_p([rng.random() + 1], [rng.random() for _ in range(20)]) or 0.0 for _ in range(50)]
    assert all(p <= 0.05 for p in shifted), "the control: what lies higher is seen"
