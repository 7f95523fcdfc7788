"""Is the rate within k tries that of all subsets, are a and b found again where the law was planted, does the forecast
cover the truth, and is there none where the law does not hold?"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import nnls

from alignwright.stats.tries_law import TriesLaw, fit, forecast, numbers_of_tries, success_within

LAW = TriesLaw(2.5, 0.25)


def lawful_chances():
    """Chances of success of one try, with weights, whose rate within N tries is that of LAW for N up to 2000."""
    chance_P = np.concatenate([[0.0], np.logspace(-6, -0.01, 150)])
    tries_N = np.unique(np.round(np.logspace(0, math.log10(2000), 80)))
    rate_NP = np.stack([1 - (1 - chance_P) ** n for n in tries_N])
    of_law = [LAW.rate(n) for n in tries_N]
    weight_P, _ = nnls(np.vstack([rate_NP, 1000 * np.ones_like(chance_P)]), np.append(of_law, 1000.0))
    assert np.abs(rate_NP @ weight_P - of_law).max() < 1e-8
    return chance_P, weight_P / weight_P.sum()


def counts(chances, tries, rng):
    return [(int(successes), tries) for successes in rng.binomial(tries, chances)]


def test_the_rate_within_k_is_that_of_all_subsets_of_k():
    for tries in range(1, 8):
        for successes in range(tries + 1):
            for k in range(1, tries + 1):
                hits = [min(subset) < successes for subset in combinations(range(tries), k)]
                assert success_within(successes, tries, k) == pytest.approx(sum(hits) / len(hits))
    with pytest.raises(ValueError, match="3 successes of 2 tries within 1"):
        success_within(3, 2, 1)
    assert [numbers_of_tries(most) for most in (1, 6, 8)] == [[1], [1, 2, 4, 6], [1, 2, 4, 8]]


@pytest.mark.parametrize(("a", "b"), [(2.5, 0.25), (5.0, 0.4), (0.7, 0.05)])
def test_a_law_without_noise_is_found_exactly(a, b):
    law, sizes = TriesLaw(a, b), numbers_of_tries(100)
    found = fit(sizes, [law.rate(k) for k in sizes])
    assert (found.a, found.b) == pytest.approx((a, b))
    assert found.rate(10_000) == pytest.approx(math.exp(-a * 10_000**-b))


def test_a_planted_law_is_found_and_its_forecast_covers_the_truth():
    chance_P, weight_P = lawful_chances()
    rng, truth, held, covered, laws = np.random.default_rng(0), LAW.rate(640), 0, 0, []
    for _ in range(120):
        drawn = rng.choice(chance_P, size=48, p=weight_P)
        ahead = forecast(counts(drawn, 64, rng), range(48), 640)
        if ahead.rate is not None:
            held += 1
            covered += ahead.interval.low <= truth <= ahead.interval.high
            laws.append((ahead.law.a, ahead.law.b))
    assert held >= 108, "a check at 95 % takes a true law for none about once in twenty"
    assert covered / held > 0.89
    assert np.median(laws, axis=0) == pytest.approx((LAW.a, LAW.b), rel=0.05)


@pytest.mark.parametrize("chances", [np.where(np.arange(48) % 2, 0.3, 0.0), np.full(48, 0.02)], ids=["half", "alike"])
def test_where_the_law_does_not_hold_there_is_no_forecast(chances):
    """Half of them fall soon and the others never; or all are alike, so that all fall soon."""
    ahead = forecast(counts(chances, 64, np.random.default_rng(0)), range(48), 640)
    assert (ahead.rate, ahead.interval.low) == (None, None)
    assert ahead.law is not None
    assert ahead.why_not.startswith("the power law does not hold: fitted up to 16 tries it foretells ")


def test_topics_widen_the_interval():
    chance_P, weight_P = lawful_chances()
    rng = np.random.default_rng(3)
    twelve = counts(rng.choice(chance_P, size=12, p=weight_P), 64, rng)
    alone, together = (forecast(twelve * 4, clusters, 640) for clusters in (range(48), list(range(12)) * 4))
    assert alone.rate == together.rate
    assert together.interval.high - together.interval.low > 1.5 * (alone.interval.high - alone.interval.low)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([(1, 8)] * 9, "8 tries of each request are too few for the law; make 16 or more"),
        ([], "0 tries of each request are too few"),
        ([(0, 16)] * 9, "no request fell within 16 tries"),
        ([(1, 16)] * 9, "every request fell within 16 tries"),
    ],
)
def test_what_no_law_can_be_fitted_to_says_so(given, words):
    ahead = forecast(given, range(len(given)), 160)
    assert (ahead.law, ahead.rate) == (None, None)
    assert words in ahead.why_not


def test_requests_of_one_topic_have_no_interval_and_so_no_forecast():
    ahead = forecast([(3, 16), (0, 16), (1, 16)], ["t"] * 3, 160)
    assert ahead.rate is None
    assert "one topic" in ahead.why_not
