"""Does an interval that is looked at again and again still hold, where one made for a single look does not?"""

from __future__ import annotations

import math

import numpy as np
import pytest

from alignwright.core.anytime import evidence, sequence, spent, winsorised


def test_peeking_is_harmless_to_a_bettor_and_not_to_an_interval_for_one_look() -> None:
    """Mean exactly 0 (the border of the hypothesis), 2,000 looks: ever wrong at most 5% of the time, and naive peeking far more often."""
    generator, wrong, naive = np.random.default_rng(0), 0, 0
    for _ in range(200):
        items = generator.uniform(-1, 1, size=2000)
        wrong += max(evidence(list(items.reshape(100, 20)), 1.0)) >= math.log(20)
        count = np.arange(1, 2001)
        mean, spread = items.cumsum() / count, np.sqrt(np.maximum((items**2).cumsum() / count - (items.cumsum() / count) ** 2, 1e-12))
        naive += bool((mean + 1.645 * spread / np.sqrt(count) < 0)[20:].any())
    assert wrong / 200 <= 0.05
    assert naive / 200 > 0.2


def test_a_turn_is_found_however_good_it_was_before() -> None:
    generator = np.random.default_rng(1)
    good, bad = (list(np.clip(generator.normal(mean, 0.5, size=(30, 50)), -1, 1)) for mean in (0.3, -0.3))
    told = evidence([*good, *bad], 1.0)
    assert max(told[:30]) < math.log(20)
    assert min(told[35:]) > math.log(20)
    assert max(evidence([*good, *good], 1.0)) < math.log(20)
    one_start = np.log1p(-0.32 * np.concatenate([*good, *bad])).cumsum()  # the control: a single bettor from the start has lost it all before
    assert one_start[35 * 50 - 1] < 0


def test_a_confidence_sequence_holds_at_all_times_at_once_and_narrows() -> None:
    generator, covered, naive = np.random.default_rng(2), 0, 0
    for _ in range(100):
        items = generator.beta(2, 5, size=200)
        found = sequence(items, (0.0, 1.0), grid=60)
        covered += all(low <= 2 / 7 <= high for low, high in zip(found.low, found.high, strict=True))
        count = np.arange(1, 201)
        half = 1.96 * items.std() / np.sqrt(count)
        naive += bool((np.abs(items.cumsum() / count - 2 / 7) < half)[5:].all())
    assert covered >= 95
    assert naive < 85
    assert found.high[-1] - found.low[-1] < 0.2
    assert list(found.low) == sorted(found.low)
    coarse, fine = (sequence(items, (0.0, 1.0), grid=grid) for grid in (20, 2000))  # few candidates make it wider, never narrower
    assert all(a <= b + 1 / 2000 for a, b in zip(coarse.low, fine.low, strict=True))
    assert all(a >= b - 1 / 2000 for a, b in zip(coarse.high, fine.high, strict=True))


def test_bounds_and_spending() -> None:
    assert sum(spent(0.05, look) for look in range(1, 100_000)) <= 0.05
    assert winsorised([-9.0, 0.5, 9.0], 2.0) == [-2.0, 0.5, 2.0]
    with pytest.raises(ValueError, match="winsorise them first"):
        evidence([[3.0]], 1.0)
    assert evidence([], 1.0) == []
    low, high = sequence([4.0] * 200, (0.0, 10.0)).low[-1], sequence([4.0] * 200, (0.0, 10.0)).high[-1]
    assert 3.3 < low <= 4.0 <= high < 4.7
