"""Is what a number of items can show what the interval in use shows, and is it never more?"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from alignwright.stats.effective_sample_size import PRIOR
from alignwright.stats.intervals import paired, share_interval
from alignwright.stats.power import POWER, largest_share_shown, limit_without_hits, smallest_gain_shown


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
