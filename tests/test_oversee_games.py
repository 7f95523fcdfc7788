"""Games of oversight whose answer is known: chains, ladders, helpers; the gap that a method closes."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from alignwright.oversee.chain_debate import chain_debate, consultancy_detection, most_checks, values_of
from alignwright.oversee.nested_oversight import nested_oversight
from alignwright.oversee.recursive_judging import Helpers, leaf_accuracy, leaves, simulate, whole_accuracy
from alignwright.stats.performance_gap import performance_gap


def chain(n: int, seed: int) -> tuple[list, list[int]]:
    chance = random.Random(seed)
    factors = [(chance.randrange(2, 9), chance.randrange(9)) for _ in range(n)]
    steps = [lambda x, a=a, b=b: (x * a + b) % 997 for a, b in factors]
    return steps, values_of(chance.randrange(997), steps)


def liar(truth: list[int], place: int, seed: int) -> list[int]:
    """Says the truth up to a place, and anything but the truth from there on."""
    chance = random.Random(seed)
    return [x if at < place else (x + chance.randrange(1, 997)) % 997 for at, x in enumerate(truth)]


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 1000])
def test_the_honest_debater_always_wins_in_log_many_checks(n: int) -> None:
    for seed in range(40):
        steps, truth = chain(n, seed)
        false = liar(truth, 1 + seed % n, seed)
        for honest_first in (True, False):
            one, two = (truth, false) if honest_first else (false, truth)
            verdict = chain_debate(one.__getitem__, two.__getitem__, steps, lambda at, x, s=steps: s[at](x))
            assert verdict.first_wins == honest_first
            assert verdict.checks <= most_checks(n)
    assert (most_checks(1), most_checks(2), most_checks(1000), most_checks(1024)) == (1, 2, 11, 11)


def test_a_judge_that_errs_at_a_step_errs_as_often_in_the_debate() -> None:
    chance, wins = random.Random(1), 0
    for seed in range(2000):
        steps, truth = chain(100, seed)
        false = liar(truth, 1 + seed % 100, seed)
        verdict = chain_debate(
            truth.__getitem__,
            false.__getitem__,
            steps,
            lambda at, x, s=steps, f=false: f[at + 1] if chance.random() < 0.2 else s[at](x),
        )
        wins += verdict.first_wins
    assert wins / 2000 == pytest.approx(0.8, abs=0.03)


def test_without_a_debate_as_many_checks_find_almost_nothing() -> None:
    """The control: a consultant's chain with one wrong step."""
    assert consultancy_detection(1000, 1, most_checks(1000)) == pytest.approx(11 / 1000)
    assert consultancy_detection(10, 10, 1) == 1.0
    assert consultancy_detection(10, 0, 10) == 0.0
    with pytest.raises(ValueError, match="cannot be"):
        consultancy_detection(10, 11, 1)


def test_two_debaters_who_agree_have_nothing_to_debate() -> None:
    steps, truth = chain(8, 0)
    with pytest.raises(ValueError, match="differ where it ends"):
        chain_debate(truth.__getitem__, truth.__getitem__, steps, lambda at, x: steps[at](x))


@pytest.mark.parametrize(
    ("slopes", "steps", "success"),
    [
        ((400, 1, 1, 0), 1, 0.09091), ((500, 1, 1, -200), 2, 0.18364), ((400, 2, 1, 0), 2, 0.12013),
        ((1200, 2, 1, 0), 7, 0.08042), ((1200, 1, 1, -400), 6, 0.19232),
    ],
)  # fmt: skip
def test_the_table_of_nested_oversight(slopes: tuple[float, float, float, float], steps: int, success: float) -> None:
    ladder = nested_oversight(*slopes)
    assert (ladder.steps, round(ladder.success, 5)) == (steps, success)
    assert ladder.by_steps[ladder.steps - 1] == max(ladder.by_steps) == ladder.success


def test_one_step_over_500_elo_and_ladders_that_help_nobody() -> None:
    assert nested_oversight(500, offset=-200).by_steps[0] == pytest.approx(0.15098, abs=5e-6)
    even = nested_oversight(400)
    assert all(more < fewer for fewer, more in pairwise(even.by_steps[:10]))
    with pytest.raises(ValueError, match="must be above 0"):
        nested_oversight(0)


@pytest.mark.parametrize(("branching", "depth"), [(3, 1), (2, 3), (4, 2), (1, 5), (5, 0)])
def test_helpers_on_the_parts_bring_a_to_the_power_of_the_leaves(branching: int, depth: int) -> None:
    helpers = Helpers(0.9)
    expected = whole_accuracy(helpers, branching, depth)
    assert expected == pytest.approx(0.9 ** leaves(branching, depth))
    # errors that cancel add less than one in VALUES of what is lost
    mean = simulate(helpers, branching, depth, 4000, seed=3).mean()
    assert expected - 0.03 < mean < expected + 0.03 + 0.1 * (1 - expected)


def test_a_panel_helps_where_its_members_err_apart_and_not_where_they_err_as_one() -> None:
    alone, apart, as_one = Helpers(0.8), Helpers(0.8, panel=5), Helpers(0.8, panel=5, common=1.0)
    assert leaf_accuracy(apart) == pytest.approx(0.94208)
    assert leaf_accuracy(as_one) == leaf_accuracy(alone) == 0.8
    means = [simulate(helpers, 2, 3, 4000, seed=5).mean() for helpers in (alone, apart, as_one)]
    assert means[1] - means[0] > 0.3
    assert abs(means[2] - means[0]) < 0.04
    with pytest.raises(ValueError, match="odd panel"):
        Helpers(0.8, panel=2)


def test_the_gap_recovered_and_its_interval_cover() -> None:
    """Planted: weak .6, assisted .75, ceiling .9, so that half of the gap is closed."""
    covered, chance = 0, np.random.default_rng(0)
    for _ in range(400):
        draw_N = chance.random(200)  # one draw an item: whom it stumps
        gap = performance_gap(*((draw_N < share).astype(float).tolist() for share in (0.6, 0.75, 0.9)))
        covered += (gap.low or 0.0) <= 0.5 <= (gap.high or 0.0)
    assert covered / 400 > 0.92


def test_a_gap_in_the_noise_is_undefined_and_the_three_scores_stand() -> None:
    chance = np.random.default_rng(1)
    weak, other, ceiling = ((chance.random(40) < 0.5).astype(float).tolist() for _ in range(3))
    gap = performance_gap(weak, other, ceiling)
    assert gap.value is None
    assert "undefined" in gap.method
    assert gap.weak == pytest.approx(np.mean(weak))
    below = performance_gap([1.0] * 10, [0.5] * 10, [0.0] * 10)
    assert below.value is None
    exact = performance_gap([0.0] * 10, [0.5] * 10, [1.0] * 10)
    assert (exact.value, exact.low, exact.high) == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="the same items"):
        performance_gap([1.0], [], [1.0])


def test_items_of_one_topic_widen_the_interval() -> None:
    chance = np.random.default_rng(2)
    draw_C = chance.random(20).repeat(10)
    scores = [(draw_C < share).astype(float).tolist() for share in (0.3, 0.6, 0.95)]
    gaps = [performance_gap(*scores, clusters=of) for of in (None, np.arange(20).repeat(10).tolist())]
    apart, topics = ((gap.high or 0.0) - (gap.low or 0.0) for gap in gaps)
    assert topics > 2 * apart
