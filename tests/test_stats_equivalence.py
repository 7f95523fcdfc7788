"""Does "no tax beyond two points" keep its error rates, and is it never said where nothing was
seen?"""

from __future__ import annotations

import math

import numpy as np
import pytest

from alignwright.stats.equivalence import describe_equivalence, equivalence
from alignwright.stats.intervals import paired


def lost(share, n, rng, swing=0.2):
    """Paired passes and fails: `swing` of the items flip either way, and `share` more are lost
    than won."""
    u = rng.random(n)
    before = (rng.random(n) < 0.5).astype(float)
    flips = np.where(before == 1, u < swing + share, u < swing - share)
    return np.where(flips, 1 - before, before).tolist(), before.tolist()


def rate(share, n, repeats=1500, seed=0, margin=0.02):
    rng = np.random.default_rng(seed)
    answers = [equivalence(*lost(share, n, rng), margin=margin).answer for _ in range(repeats)]
    return answers.count("within") / repeats


def test_a_loss_of_exactly_the_margin_is_cleared_five_times_in_a_hundred():
    assert rate(0.02, 400, repeats=800) == pytest.approx(0.05, abs=0.02)
    assert rate(0.04, 2000, repeats=100) < 0.03  # beyond the margin: hardly ever
    assert rate(0.0, 8000, repeats=30) > 0.9  # the control: with items enough, no loss is cleared


def test_absence_of_evidence_is_no_evidence_of_absence():
    """Sixty items: the usual test finds no drop nearly always, and would call it tax-free; this
    one says that it cannot tell."""
    rng = np.random.default_rng(1)
    runs = [lost(0.05, 60, rng) for _ in range(300)]
    silent = sum(
        (low := paired(*run).interval.low) is not None and low <= 0 <= paired(*run).interval.high for run in runs
    )
    cleared = sum(equivalence(*run, margin=0.02).answer == "within" for run in runs)
    assert silent / 300 > 0.85
    assert cleared / 300 < 0.05


def test_the_answer_is_the_textbook_rule_on_both_one_sided_p_values():
    rng = np.random.default_rng(2)
    for shift in (-0.3, 0.0, 0.1, 0.3):
        before = rng.normal(size=80)
        after = before + rng.normal(shift, 0.4, size=80)
        found = equivalence(after.tolist(), before.tolist(), margin=0.1)
        delta, se = float(np.mean(before - after)), float(np.std(before - after, ddof=1)) / math.sqrt(80)
        from scipy import stats

        assert found.p_worse == pytest.approx(stats.t.cdf((delta - 0.1) / se, 79))
        assert found.p_better == pytest.approx(stats.t.cdf((-delta - 0.1) / se, 79))
        assert (found.answer == "within") == (found.p_worse < 0.05)
        assert found.equivalent == (found.p < 0.05)


def test_lower_is_better_is_the_mirror():
    rng = np.random.default_rng(3)
    before, after = rng.normal(size=50).tolist(), rng.normal(size=50).tolist()
    one = equivalence(after, before, margin=0.2)
    other = equivalence([-x for x in after], [-x for x in before], margin=0.2, higher_is_better=False)
    assert (one.answer, one.low, one.high) == (other.answer, pytest.approx(other.low), pytest.approx(other.high))


def test_a_shown_loss_within_the_margin_is_both():
    before = [1.0, 0.0] * 2000
    after = list(before)
    for i in range(0, 80, 2):
        after[i] = 0.0  # 40 of 4000 items lost and none won: one point, surely above 0, surely below 2
    found = equivalence(after, before, margin=0.02)
    assert (found.answer, found.loss) == ("within", True)
    assert "though its own 95% interval is above 0" in describe_equivalence(found)
    assert describe_equivalence(found).startswith("no tax beyond 2 points")
    assert equivalence(after, before, margin=0.01).answer == "beyond"


def test_copied_items_do_not_buy_a_verdict():
    rng = np.random.default_rng(4)
    after, before = lost(0.0, 120, rng)
    names = list(range(120)) * 40
    assert equivalence(after * 40, before * 40, names, margin=0.02).answer == "undecided"
    assert equivalence(after * 40, before * 40, margin=0.02).answer != "undecided"  # the control: as if independent


def test_nothing_can_be_said_of_nothing():
    for values in ([], [1.0]):
        found = equivalence(values, values, margin=0.02)
        assert (found.answer, found.low, found.p) == ("undecided", None, None)
        assert "undecided" in describe_equivalence(found)
    same = equivalence([1.0, 0.0] * 30, [1.0, 0.0] * 30, margin=0.02)
    assert same.answer == "undecided"  # sixty items that did not change leave room for more than two points
    assert equivalence([1.0, 0.0] * 300, [1.0, 0.0] * 300, margin=0.02).answer == "within"
    with pytest.raises(ValueError, match="above 0"):
        equivalence([1.0], [1.0], margin=0.0)
