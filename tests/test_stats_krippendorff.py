"""Is Krippendorff's alpha that of the published example, 1 for agreement and about 0 for chance?"""

from __future__ import annotations

import random

import pytest

from alignwright.stats.krippendorff import alpha

# Krippendorff (2011), "Computing Krippendorff's alpha-reliability", example C: 4 observers, 12 units; None is missing
EXAMPLE = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]


def test_it_is_the_published_value_for_interval_data_with_missing_ratings():
    units = [[float(v) for v in unit if v is not None] for unit in zip(*EXAMPLE, strict=True)]
    value, interval, n = alpha(units)
    assert value == pytest.approx(0.849, abs=5e-4)
    assert n == 11  # the last unit has one rating
    assert interval.low is not None
    assert interval.low < 0.849 < interval.high


def test_agreement_is_one_chance_is_about_zero_and_contradiction_is_below():
    draw = random.Random(1)
    assert alpha([[v, v] for v in (0.0, 1.0, 0.5, 1.0)])[0] == 1.0
    chance = alpha([[float(draw.random() < 0.5), float(draw.random() < 0.5)] for _ in range(2000)])[0]
    assert abs(chance) < 0.07
    assert alpha([[0.0, 1.0], [1.0, 0.0]] * 5)[0] < 0


def test_where_nothing_can_be_told_it_says_why():
    assert alpha([[1.0], [0.0]])[0] is None
    assert "no item has two ratings" in alpha([[1.0]])[1].method
    assert "all ratings are alike" in alpha([[1.0, 1.0], [1.0, 1.0]])[1].method
