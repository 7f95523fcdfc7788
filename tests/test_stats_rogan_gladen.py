"""Does the corrected rate recover a planted truth, with an interval that carries all three
doubts, and is it absent where nothing can be told?"""

from __future__ import annotations

import math

import numpy as np
import pytest

from alignwright.stats.intervals import clustered, wilson
from alignwright.stats.rogan_gladen import BinomialCount, corrected_change, corrected_rate, new_source_quantiles

SURE = [BinomialCount(90_000, 100_000)] * 30, [BinomialCount(80_000, 100_000)] * 30


def logit(share):
    return math.log(share / (1 - share))


def share(number):
    return 1 / (1 + np.exp(-number))


@pytest.mark.parametrize("truth", [0.0, 0.05, 0.3, 0.8, 1.0])
def test_with_known_errors_the_formula_gives_back_the_truth(truth):
    """Sensitivity .9 and specificity .8, known without doubt: the interval is the rate's own,
    stretched by 1 / (s + c - 1)."""
    seen = truth * 0.9 + (1 - truth) * 0.2
    found = corrected_rate((seen, seen - 0.01, seen + 0.01), *SURE)
    assert found.value == pytest.approx(truth, abs=2e-3)
    assert found.low == pytest.approx(max(0.0, truth - 0.01 / 0.7), abs=3e-3)
    assert found.high == pytest.approx(min(1.0, truth + 0.01 / 0.7), abs=3e-3)


def test_a_rate_that_no_share_could_give_is_clipped():
    assert corrected_rate((0.1, 0.05, 0.15), *SURE).value == 0.0, "fewer yes than the false ones alone"
    assert corrected_rate((0.99, 0.95, 1.0), *SURE).value == 1.0


def test_a_change_is_stretched_and_its_sign_kept():
    found = corrected_change((-0.21, -0.28, -0.14), *SURE)
    assert (found.value, found.low, found.high) == pytest.approx((-0.3, -0.4, -0.2), abs=5e-3)


def test_a_grader_that_may_be_no_better_than_chance_corrects_nothing():
    rate = (0.4, 0.3, 0.5)
    for sensitivity, specificity in (
        ([BinomialCount(50, 100)] * 4, [BinomialCount(50, 100)] * 4),
        ([BinomialCount(6, 10)], [BinomialCount(6, 10)]),
        ([BinomialCount(30, 40)], []),
    ):
        found = corrected_rate(rate, sensitivity, specificity)
        assert (found.value, found.low, found.high) == (None, None, None)
        assert found.method.startswith("no correction: ")
    assert "specificity was not measured" in corrected_rate(rate, [BinomialCount(30, 40)], []).method
    with pytest.raises(ValueError, match="right calls"):
        BinomialCount(3, 2)


def test_each_of_the_three_doubts_widens_the_interval():
    def width(rate=(0.4, 0.38, 0.42), right=((900, 1000),) * 6, of=None):
        found = corrected_rate(
            rate, [BinomialCount(*calls) for calls in right], [BinomialCount(*calls) for calls in of or right]
        )
        assert found.value is not None
        return found.high - found.low

    sure = width()
    assert width(rate=(0.4, 0.3, 0.5)) > 2 * sure, "the rate's own interval"
    assert width(right=((90, 100),) * 6) > 1.2 * sure, "few labels"
    assert width(right=((800, 1000), (870, 1000), (900, 1000), (930, 1000), (960, 1000), (980, 1000))) > 1.5 * sure, (
        "sources that differ"
    )
    assert width(right=((900, 1000),) * 2) > 2 * sure, "few sources: how far they differ is not known"


def test_a_new_source_is_as_far_from_the_known_ones_as_they_are_from_each_other():
    """With many labels of many sources the quantiles are those of the sources' own normal
    distribution."""
    rng = np.random.default_rng(1)
    drawn = rng.standard_normal(400)
    rights = share(1.5 + 0.8 * (drawn - drawn.mean()) / drawn.std())
    quantiles = new_source_quantiles(
        [BinomialCount(int(1e6 * right), 1_000_000) for right in rights], np.array([0.025, 0.5, 0.975])
    )
    assert quantiles == pytest.approx(share(np.array([1.5 - 1.96 * 0.8, 1.5, 1.5 + 1.96 * 0.8])), abs=0.01)


@pytest.mark.parametrize(
    ("sources", "spread", "least"), [(1, 0.5, 0.95), (3, 0.0, 0.95), (3, 1.0, 0.92), (6, 0.5, 0.94)]
)
def test_the_interval_covers_the_truth_on_a_source_that_nobody_labelled(sources, spread, least):
    """Planted: every source draws its own sensitivity and specificity, the run is one more source,
    and its items come in topics.

    The control corrects by the pooled shares alone, as if they held exactly: where sources differ
    it covers far less than it says.
    """
    rng, covered, naive, made = np.random.default_rng(7), 0, 0, 0
    for number in range(200):
        truth = (0.05, 0.2, 0.5, 0.85)[number % 4]
        own = share(logit(0.93) + spread * rng.standard_normal((2, sources + 1)))
        calls = [[BinomialCount(int(rng.binomial(80, right)), 80) for right in side[1:]] for side in own]
        says_yes = truth * own[0, 0] + (1 - truth) * (1 - own[1, 0])
        topics = np.repeat(rng.beta(9 * says_yes, 9 * (1 - says_yes), size=20), 8)
        seen = (rng.random(160) < topics).astype(float)
        estimate = clustered(seen.tolist(), np.repeat(np.arange(20), 8).tolist(), bounds=(0.0, 1.0))
        limits = estimate.interval
        found = corrected_rate((estimate.value, limits.low, limits.high), *calls)
        if found.value is None:
            continue
        made += 1
        covered += found.low <= truth <= found.high
        right, held = (sum(c.right for c in side) / sum(c.of for c in side) for side in calls)
        naive += (limits.low + held - 1) / (right + held - 1) <= truth <= (limits.high + held - 1) / (right + held - 1)
    assert made > 120
    assert covered / made >= least
    if spread == 1.0:
        assert naive / made < 0.75


def test_an_unsure_rate_is_not_made_surer():
    limits = wilson(0, 12)
    found = corrected_rate((0.0, limits.low, limits.high), [BinomialCount(96, 100)] * 5, [BinomialCount(98, 100)] * 5)
    assert found.low == 0.0
    assert found.high > limits.high * 0.9
