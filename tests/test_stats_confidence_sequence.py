"""Does the sequence hold the truth at all looks together, where an ordinary interval does not?"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from alignwright.stats.confidence_sequence import confidence_sequence, log_wealth
from alignwright.stats.effective_sample_size import share_limits

TOPICS, SIZE, SETS = 120, 3, 200


def data_sets(rate, correlation=0.2, seed=0):
    """Hits by topic in many data sets whose topics have rates of their own."""
    dice, spread = np.random.default_rng(seed), (1 - correlation) / correlation
    return dice.binomial(SIZE, dice.beta(rate * spread, (1 - rate) * spread, (SETS, TOPICS)))


def items(hits):
    return [[1.0] * int(k) + [0.0] * (SIZE - int(k)) for k in hits]


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5])
def test_it_misses_the_truth_at_any_look_in_at_most_a_twentieth(rate):
    """Somebody looks after every topic, and stops as soon as the truth is left out. The control: an ordinary
    95 % interval, looked at after every fifth topic, leaves it out in far more."""
    hits_SC = data_sets(rate)
    missed = sum(max(log_wealth(items(hits), SIZE, rate)) >= math.log(20) for hits in hits_SC)
    assert missed / SETS <= 0.05
    ordinary = np.zeros(SETS, dtype=bool)
    for topics in range(5, TOPICS + 1, 5):
        low_S, high_S, _ = share_limits(hits_SC[:, :topics].astype(float), np.full(topics, float(SIZE)))
        ordinary |= (low_S > rate) | (high_S < rate)
    assert np.mean(ordinary) > 0.1
    assert np.mean(ordinary) > 3 * missed / SETS


def test_its_limits_are_those_shares_that_no_bet_made_rich():
    values = items(data_sets(0.3)[0][:40])
    limits = confidence_sequence(values, SIZE)
    assert len(limits) == 40
    assert all(a[0] <= b[0] <= b[1] <= a[1] for a, b in itertools.pairwise(limits)), "it only narrows"
    low, high = limits[-1]
    assert 0.05 < low < np.mean([v for topic in values for v in topic]) < high < 0.6
    for outside in (low - 0.01, high + 0.01):
        assert max(log_wealth(values, SIZE, outside)) >= math.log(20)


def test_it_ends_up_narrow_and_bounds_nothing_at_first():
    none = confidence_sequence([[0.0]] * 300, 1)
    assert none[0][1] - none[0][0] > 0.98
    assert none[-1][0] == 0.0
    assert none[-1][1] < 0.04
    assert none[35][1] < 0.25


def test_a_topic_beyond_what_was_said_before_is_an_error():
    with pytest.raises(ValueError, match="a topic has 1 to 2 items from 0 to 1"):
        confidence_sequence([[0.0] * 3], 2)
    with pytest.raises(ValueError, match="a topic has 1 to 2 items from 0 to 1"):
        confidence_sequence([[1.5]], 2)
