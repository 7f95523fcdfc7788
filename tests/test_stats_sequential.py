"""Does an interval that is looked at again and again still hold, where one made for a single
look does not?"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from alignwright.stats.sequential import alpha_spending, log_e_value, winsorised


def test_peeking_is_harmless_to_a_bettor_and_not_to_an_interval_for_one_look() -> None:
    """Mean exactly 0 (the border of the hypothesis), 2,000 looks: ever wrong at most 5% of the
    time, and naive peeking far more often."""
    generator, wrong, naive = np.random.default_rng(0), 0, 0
    for _ in range(200):
        items = generator.uniform(-1, 1, size=2000)
        wrong += max(log_e_value(list(items.reshape(100, 20)), 1.0)) >= math.log(20)
        count = np.arange(1, 2001)
        mean, spread = (
            items.cumsum() / count,
            np.sqrt(np.maximum((items**2).cumsum() / count - (items.cumsum() / count) ** 2, 1e-12)),
        )
        naive += bool((mean + 1.645 * spread / np.sqrt(count) < 0)[20:].any())
    assert wrong / 200 <= 0.05
    assert naive / 200 > 0.2


def test_the_wealth_is_a_fair_game_and_villes_bound_holds_over_every_path() -> None:
    """All 1,024 paths of 10 fair items, exactly: the mean wealth is 1 at every look, and 1 /
    alpha is ever reached by a share alpha at most."""
    paths = [np.exp(log_e_value([[x] for x in path], 1.0)) for path in itertools.product((-1.0, 1.0), repeat=10)]
    assert np.mean(paths, axis=0) == pytest.approx(np.ones(10), abs=1e-12)
    best = np.max(paths, axis=1)
    for reached in (1.2, 1.5, 2.0, 5.0, 20.0):
        assert (best >= reached).mean() <= 1 / reached
    unfair = [np.exp(log_e_value([[x] for x in path], 1.0)) for path in itertools.product((-1.0, -1.0, 1.0), repeat=6)]
    assert np.mean(unfair, axis=0)[-1] > 1.2  # the control: a mean below 0 makes it grow


def test_ten_thousand_peeks() -> None:
    generator, wrong, naive = np.random.default_rng(6), 0, 0
    for _ in range(8):
        items = generator.choice((-1.0, 1.0), size=10_000)
        wrong += max(log_e_value(list(items[:, None]), 1.0)) >= math.log(20)
        mean = items.cumsum() / np.arange(1, 10_001)
        naive += bool((mean < -1.645 / np.sqrt(np.arange(1, 10_001)))[20:].any())
    assert wrong == 0
    assert naive >= 3


def test_a_turn_is_found_however_good_it_was_before() -> None:
    generator = np.random.default_rng(1)
    good, bad = (list(np.clip(generator.normal(mean, 0.5, size=(30, 50)), -1, 1)) for mean in (0.3, -0.3))
    told = log_e_value([*good, *bad], 1.0)
    assert max(told[:30]) < math.log(20)
    assert min(told[35:]) > math.log(20)
    assert max(log_e_value([*good, *good], 1.0)) < math.log(20)
    one_start = np.log1p(
        -0.32 * np.concatenate([*good, *bad])
    ).cumsum()  # the control: a single bettor from the start has lost it all before
    assert one_start[35 * 50 - 1] < 0


def test_bounds_and_spending() -> None:
    assert sum(alpha_spending(0.05, look) for look in range(1, 100_000)) <= 0.05
    assert winsorised([-9.0, 0.5, 9.0], 2.0) == [-2.0, 0.5, 2.0]
    with pytest.raises(ValueError, match="winsorise them first"):
        log_e_value([[3.0]], 1.0)
    assert log_e_value([], 1.0) == []
