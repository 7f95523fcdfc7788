"""Does an interval cover the truth as often as it says, and does it refuse where nothing can be
said?"""

from __future__ import annotations

import math
import random
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from alignwright.stats.intervals import (
    Interval,
    bca,
    clustered,
    mean_interval,
    paired,
    share_interval,
    wilson,
)


def test_ignoring_clusters_covers_76_percent_and_the_clustered_interval_94():
    rng = np.random.default_rng(0)
    names = [item // 5 for item in range(300)]
    naive = with_z = with_t = 0
    repeats = 1000
    for _ in range(repeats):
        rates = rng.beta(0.7, 0.7, 60)
        values = (rng.random((60, 5)) < rates[:, None]).astype(float).ravel()
        estimate = clustered(values.tolist(), names)
        miss = abs(values.mean() - 0.5)
        naive += miss <= 1.96 * values.std() / math.sqrt(300)
        with_z += miss <= 1.96 * estimate.se
        with_t += estimate.interval.low <= 0.5 <= estimate.interval.high
    assert naive / repeats == pytest.approx(0.761, abs=0.03)
    assert with_z / repeats == pytest.approx(0.937, abs=0.02)
    assert with_z <= with_t <= 0.965 * repeats


def test_one_item_per_cluster_is_the_textbook_error():
    values = [0.2, 0.9, 0.4, 0.7, 0.1]
    estimate, plain = clustered(values, list("abcde")), mean_interval(values)
    assert estimate.se == pytest.approx(stats.sem(values), rel=1e-12)  # with n - 1
    assert estimate.se != pytest.approx(np.std(values) / math.sqrt(5), rel=0.1)  # with n it would be 11% too small
    assert (plain.interval.low, plain.interval.high) == pytest.approx(
        stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    )
    assert (plain.interval.low, plain.interval.high) == (estimate.interval.low, estimate.interval.high)
    assert plain.clusters is None
    assert "items independent" in plain.interval.method
    assert plain.interval.high - plain.value == pytest.approx(stats.t.ppf(0.975, 4) * plain.se)


def test_copying_every_item_within_its_cluster_adds_no_certainty():
    values, names = [1.0, 0.0, 1.0, 1.0], [0, 1, 2, 3]
    assert clustered(values * 10, names * 10).se == pytest.approx(clustered(values, names).se)
    assert mean_interval(values * 10).se < 0.4 * mean_interval(values).se


def test_order_of_items_does_not_matter():
    rows = [(random.Random(i).random(), i % 7) for i in range(40)]
    mixed = random.Random(1).sample(rows, len(rows))
    assert clustered(*zip(*rows, strict=True)).se == pytest.approx(clustered(*zip(*mixed, strict=True)).se)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (1, 29), (15, 148), (81, 263), (10, 10), (500, 1000)])
def test_wilson_is_scipy_wilson(successes, n):
    expected = stats.binomtest(successes, n).proportion_ci(method="wilson")
    interval = wilson(successes, n)
    assert interval.low == pytest.approx(expected.low, abs=1e-12)
    assert interval.high == pytest.approx(expected.high, abs=1e-12)


def test_wilson_is_the_published_table():
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3
    for successes, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert (round(wilson(successes, n).low, 4), round(wilson(successes, n).high, 4)) == (low, high)


def test_nothing_is_pretended_where_nothing_can_be_estimated():
    assert wilson(0, 0) == Interval(None, None, "no scored items")
    for estimate in (clustered([], []), paired([], []), paired([], [], [])):
        assert (estimate.value, estimate.se, estimate.interval.low, estimate.n) == (None, None, None, 0)
    one = clustered([1.0, 0.0, 1.0], ["same"] * 3)
    assert one.value == pytest.approx(2 / 3)
    assert (one.se, one.interval.low, one.interval.high) == (None, None, None)
    assert "one cluster" in one.interval.method
    assert "single item" in mean_interval([0.5]).interval.method
    assert "equal" in clustered([1.7] * 6, [0, 0, 1, 1, 2, 2]).interval.method
    balanced = clustered([0.0, 1.0, 0.0, 1.0], [0, 0, 1, 1])
    assert (balanced.interval.low, balanced.value) == (None, 0.5)
    assert bca([1.0, 2.0], ["same", "same"]).low is None
    assert bca([2.0, 2.0], [0, 1]).low is None


def test_unanimous_passes_still_leave_doubt():
    alone, together = share_interval([1.0] * 40), share_interval([1.0] * 40, [item // 4 for item in range(40)])
    assert (alone.interval.low, alone.interval.high) == pytest.approx(
        (stats.binomtest(40, 40).proportion_ci().low, 1.0)
    )
    assert 0.8 < together.interval.low < alone.interval.low < together.interval.high == 1.0
    nothing_changed = paired([1.0, 0.0] * 20, [1.0, 0.0] * 20)
    assert (
        nothing_changed.interval.high
        == -nothing_changed.interval.low
        == pytest.approx(1 - stats.binomtest(40, 40).proportion_ci().low)
    )
    assert nothing_changed.p() == 1.0
    all_changed = paired([1.0] * 40, [0.0] * 40)
    assert 0.8 < all_changed.interval.low < all_changed.interval.high == 1.0


@pytest.mark.parametrize(("hits", "n"), [(0, 9), (3, 9), (7, 40), (40, 40)])
def test_a_share_of_independent_items_is_clopper_and_pearsons(hits, n):
    expected = stats.binomtest(hits, n).proportion_ci(method="exact")
    found = share_interval([1.0] * hits + [0.0] * (n - hits))
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_copies_of_an_item_within_its_topic_add_little_to_a_share():
    """Ten copies of forty items are worth about forty: what is left is the assumption about
    topics that agree in everything."""
    values, names = [1.0] * 8 + [0.0] * 32, list(range(40))
    one, ten = share_interval(values), share_interval(values * 10, names * 10)
    width, copied, free = (
        found.interval.high - found.interval.low for found in (one, ten, share_interval(values * 10))
    )
    assert copied == pytest.approx(width, rel=0.1)
    assert free < 0.5 * width  # the control


def test_interval_and_p_of_a_change_are_one_test():
    """At the limit of the 95% interval p is 0.05, of passes and fails as of other values; and 0
    is left out exactly where p is below 0.05."""
    rng = random.Random(4)
    names, both = [item // 4 for item in range(48)], set()
    for shift in (0.0, 0.1, 0.2, 0.3, 0.5):
        before = [float(rng.random() < 0.4) for _ in names]
        after = [max(b, float(rng.random() < shift)) if rng.random() < 0.9 else 1 - b for b in before]
        for found in (paired(after, before, names), paired([a + rng.random() for a in after], before, names)):
            assert found.p(found.interval.low) == pytest.approx(0.05, abs=1e-4)
            assert found.p(found.interval.high) == pytest.approx(0.05, abs=1e-4)
            assert (found.p() < 0.05) == (not found.interval.low <= 0 <= found.interval.high)
            both.add(found.p() < 0.05)
    assert both == {True, False}


def test_uneven_topics_weigh_by_their_items():
    """One topic with half of the items is worth less than many small ones."""
    values = [0.0] * 40
    even, uneven = [item // 4 for item in range(40)], [max(0, item - 19) // 2 for item in range(40)]
    assert share_interval(values, even).interval.high < share_interval(values, uneven).interval.high
    with pytest.raises(ValueError, match="40 values but 3 cluster names"):
        share_interval(values, [1, 2, 3])


def test_bounds_keep_a_share_a_share():
    values = [1.0] * 9 + [0.0]
    assert clustered(values, range(10)).interval.high > 1
    assert clustered(values, range(10), bounds=(0.0, 1.0)).interval.high == 1.0


def test_variance_of_a_paired_difference_is_a_plus_b_minus_twice_the_covariance():
    rng = np.random.default_rng(3)
    before = rng.normal(size=200)
    after = 0.8 * before + rng.normal(size=200) * 0.3 + 0.1
    seen = paired(after.tolist(), before.tolist())
    a, b = clustered(after.tolist(), range(200)).se, clustered(before.tolist(), range(200)).se
    assert seen.correlation == pytest.approx(np.corrcoef(after, before)[0, 1])
    assert seen.se**2 == pytest.approx(a**2 + b**2 - 2 * seen.correlation * a * b)
    swapped = paired(before.tolist(), after.tolist())
    assert (swapped.value, swapped.interval.low) == pytest.approx((-seen.value, -seen.interval.high))
    assert paired([1.0, 1.0], [0.0, 1.0]).correlation is None


def test_bca_is_scipy_bca_for_single_items_and_moves_whole_clusters():
    values = np.random.default_rng(5).exponential(size=60)
    mine = bca(values.tolist(), range(60), resamples=4000)
    theirs = stats.bootstrap(
        (values,), np.mean, method="BCa", n_resamples=4000, rng=np.random.default_rng(1)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), abs=0.06 * width)
    assert mine.high - values.mean() > values.mean() - mine.low  # the tail is on the right, and the interval knows it
    copied = bca(np.repeat(values, 3).tolist(), np.repeat(np.arange(60), 3).tolist(), resamples=4000)
    assert (copied.low, copied.high) == pytest.approx((mine.low, mine.high))
    median = bca(values.tolist(), range(60), statistic=lambda x: float(np.median(x)), resamples=500)
    assert median.low < np.median(values) < median.high
    assert bca(values.tolist(), range(60), seed=1, resamples=200) == bca(
        values.tolist(), range(60), seed=1, resamples=200
    )


def test_wrong_inputs_point():
    with pytest.raises(ValueError, match="2 values but 1 cluster names"):
        clustered([1.0, 0.0], ["a"])
    with pytest.raises(ValueError, match="finite"):
        clustered([math.nan, 1.0], ["a", "b"])
    with pytest.raises(ValueError, match="same items"):
        paired([1.0], [])
    with pytest.raises(ValueError, match="3 successes of 2"):
        wilson(3, 2)


def test_importing_it_loads_no_numpy():
    code = (
        "import sys, alignwright.stats.intervals, alignwright.core.promises;"
        " sys.exit(bool({'numpy', 'scipy', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
