"""Is what a number of items can show what the interval in use shows, and is it never more?"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from alignwright.stats.calibration import SureAnswer, basic_bootstrap, calibration_error
from alignwright.stats.effective_sample_size import PRIOR
from alignwright.stats.intervals import clustered, paired, share_interval
from alignwright.stats.power import (
    POWER,
    deviations_shown,
    largest_share_shown,
    limit_where_calibrated,
    limit_without_hits,
    smallest_gain_shown,
)


@pytest.mark.parametrize(("items", "bound"), [(36, 0.2), (100, 0.1), (24, 0.5)])
def test_of_independent_items_it_is_the_exact_binomial_s(items, bound):
    """The most hits whose interval ends below the bound, and the rate at which there are as a rule no more."""
    most = max(k for k in range(items) if share_interval([1.0] * k + [0.0] * (items - k)).interval.high < bound)
    exact = stats.beta.ppf(1 - POWER, most + 1, items - most)  # P(at most so many hits) is POWER there
    assert largest_share_shown([1] * items, bound) == pytest.approx(exact, abs=0.006)


def test_thirty_six_prompts_in_twelve_topics_hardly_show_a_fifth():
    singles, topics = [1] * 36, [3] * 12
    assert 0.03 < largest_share_shown(singles, 0.2) < 0.06
    assert 0.0 < largest_share_shown(topics, 0.2) < largest_share_shown(singles, 0.2)
    assert largest_share_shown(topics, 0.1) is None, "not even if none of them fails"
    assert limit_without_hits(topics) == share_interval([0.0] * 36, [i // 3 for i in range(36)]).interval.high > 0.1
    assert largest_share_shown([3] * 120, 0.1) > 0.04, "ten times as many do"


def test_a_rate_as_foretold_is_shown_as_often_as_foretold():
    """Data drawn anew, and the interval as a run makes it: the control is the bound itself, shown in 5 % at most."""
    sizes, bound, dice = [4] * 15, 0.3, np.random.default_rng(7)
    topics = [t for t, size in enumerate(sizes) for _ in range(size)]

    def shown(truth):
        spread = (1 - PRIOR) / PRIOR
        hits = 0
        for _ in range(300):
            rates = dice.beta(truth * spread, (1 - truth) * spread, len(sizes))
            values = [float(dice.random() < rates[topic]) for topic in topics]
            hits += share_interval(values, topics).interval.high < bound
        return hits / 300

    assert shown(largest_share_shown(sizes, bound)) == pytest.approx(POWER, abs=0.07)
    assert shown(bound) <= 0.05


def test_a_gain_is_shown_from_where_its_interval_leaves_the_bound():
    items, bound = 40, 0.1
    least = min(
        k
        for k in range(items + 1)
        if paired([1.0] * k + [0.0] * (items - k), [0.0] * items).interval.low > bound  # so many became better
    )
    exact = stats.beta.ppf(POWER, least, items - least + 1)  # P(at least so many) is POWER there
    assert smallest_gain_shown([1] * items, bound) == pytest.approx(exact, abs=0.01)
    assert smallest_gain_shown([2, 2], 0.5) is None
    assert smallest_gain_shown([5] * 8, bound) > smallest_gain_shown([1] * 40, bound)
    assert smallest_gain_shown([1] * 200, -0.1) == 0.0, (
        "that it does not fall by a tenth is shown where nothing changes"
    )


@pytest.mark.parametrize("sizes", [[1] * 12, [6] * 24])
def test_means_that_lie_so_many_deviations_beyond_a_bound_are_shown_as_often_as_is_said(sizes):
    deviations = deviations_shown(sizes)
    rng, topics = np.random.default_rng(5), [place for place, size in enumerate(sizes) for _ in range(size)]

    def power(truth):
        shown = 0
        for _ in range(300):
            values = rng.normal(truth, 1.0, len(sizes))[topics]  # all items of a topic are as one
            shown += clustered([float(value) for value in values], topics).interval.low > 0.0
        return shown / 300

    assert power(deviations) == pytest.approx(POWER, abs=0.07)
    assert power(deviations / 2) < 0.5, "a control"
    assert deviations_shown([5]) is None


def test_a_calibrated_model_ends_below_its_limit_as_often_as_is_said():
    sizes, bins = [2] * 100, 10
    limit = limit_where_calibrated(sizes, bins)
    rng = np.random.default_rng(6)

    def below(sharper):
        ends = []
        for _ in range(60):
            sure = rng.uniform(0.25, 1.0, 200)
            right = rng.random(200) < (sure - 0.15 * sharper)
            items = [SureAnswer(float(c), float(r), i // 2) for i, (c, r) in enumerate(zip(sure, right, strict=True))]
            error = basic_bootstrap(items, lambda those: calibration_error(those, bins), (0.0, 1.0), resamples=60)
            ends.append(error.high < limit)
        return sum(ends) / len(ends)

    assert below(0) == pytest.approx(POWER, abs=0.16)
    assert below(1) < 0.2, "a control: a model that is surer than right by .15 does not"
    assert limit_where_calibrated([9], bins) is None
    assert limit_where_calibrated([2] * 20, bins) > limit, "few items show less"
