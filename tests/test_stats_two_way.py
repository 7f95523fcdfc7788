"""Is two-way clustering one-way where one way is trivial, and does it hold the truth where prompts and
raters are drawn?"""

from __future__ import annotations

import numpy as np
import pytest

from alignwright.stats.intervals import clustered
from alignwright.stats.two_way import crossed


def test_where_each_value_has_a_rater_of_its_own_only_prompts_count():
    rng = np.random.default_rng(0)
    prompts = [i // 3 for i in range(60)]
    values = [float(p % 2) / 2 + v / 2 for p, v in zip(prompts, rng.random(60), strict=True)]
    one, two = clustered(values, prompts), crossed(values, prompts, range(60))
    assert two.value == pytest.approx(one.value)
    assert two.se == pytest.approx(one.se, rel=1e-9)
    assert two.interval.low == pytest.approx(one.interval.low, rel=1e-6)


def test_it_is_the_same_whichever_kind_is_named_first_and_weights_are_repetitions():
    rng = np.random.default_rng(1)
    values, prompts, raters = list(rng.random(40)), [i // 4 for i in range(40)], [i % 4 for i in range(40)]
    one, other = crossed(values, prompts, raters), crossed(values, prompts, raters, weights=[7.0] * 40)
    assert one.interval == other.interval
    weighted = crossed([0.0, 1.0, 1.0], ["p", "q", "q"], ["r", "r", "s"], weights=[1.0, 0.5, 0.5])
    assert weighted.value == pytest.approx(0.5)


def test_raters_who_differ_widen_the_interval_as_no_number_of_prompts_can_mend():
    few, many = ([float(i % 2) for i in range(2 * n)] for n in (20, 200))
    widths = []
    for values in (few, many):
        interval = crossed(values, [i // 2 for i in range(len(values))], [i % 2 for i in range(len(values))]).interval
        assert interval.low is not None
        assert interval.high is not None
        widths.append(interval.high - interval.low)
    assert widths[1] >= 0.99 * widths[0]


def test_a_single_cluster_is_an_error_and_equal_values_have_no_interval():
    with pytest.raises(ValueError, match="at least two of each; there are 2 and 1"):
        crossed([1.0, 0.0], ["a", "b"], ["r", "r"])
    assert crossed([1.0, 1.0], ["a", "b"], ["r", "s"]).interval.low is None
    assert crossed([], [], []).value is None


def test_the_interval_holds_the_truth_and_one_over_prompts_alone_does_not():
    rng = np.random.default_rng(2)
    hits, alone, repeats, prompts, raters = 0, 0, 300, 30, 5
    for _ in range(repeats):
        severity, quality = rng.normal(0, 0.1, raters), rng.normal(0, 0.1, prompts)
        values = 0.5 + quality[:, None] + severity[None, :] + rng.normal(0, 0.1, (prompts, raters))
        rows = [(v, i, r) for i, row in enumerate(values) for r, v in enumerate(row)]
        flat, items, names = zip(*rows, strict=True)
        both, one = crossed(flat, items, names, bounds=(-9, 9)).interval, clustered(flat, items).interval
        hits += both.low <= 0.5 <= both.high
        alone += one.low <= 0.5 <= one.high
    assert hits / repeats > 0.9
    assert alone / repeats < 0.75
