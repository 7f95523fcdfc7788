"""Does the mixture over raters find planted groups, and say so where there is one alone?"""

from __future__ import annotations

import numpy as np
import pytest

from alignwright.stats.k_means import k_means, silhouette
from alignwright.stats.rater_mixture import RaterVotes, group_count, rater_mixture

UTILITY = np.linspace(-3, 3, 8)


def planted(seed: int, minority: int = 15, raters: int = 60, labels: int = 30) -> RaterVotes:
    """Raters who each compare random pairs by Bradley-Terry; the first `minority` want the reverse."""
    rng = np.random.default_rng(seed)
    rater_N = np.repeat(np.arange(raters), labels)
    one_N = rng.integers(8, size=len(rater_N))
    two_N = (one_N + rng.integers(1, 8, size=len(rater_N))) % 8
    sign_N = np.where(rater_N < minority, -1.0, 1.0)
    first_N = rng.random(len(rater_N)) < 1 / (1 + np.exp(-sign_N * (UTILITY[one_N] - UTILITY[two_N])))
    winner_N, loser_N = np.where(first_N, one_N, two_N), np.where(first_N, two_N, one_N)
    return RaterVotes(rater_N, winner_N, loser_N, np.ones(len(rater_N)), raters, 8)


def test_the_pooled_model_speaks_against_the_minority_and_the_mixture_for_both():
    votes = planted(0)
    minority_N = votes.rater_N < 15
    pooled = rater_mixture(votes, 1)
    all_in_one = np.zeros(len(votes.rater_N), dtype=np.int64)
    major, minor = votes.part(np.flatnonzero(~minority_N)), votes.part(np.flatnonzero(minority_N))
    assert pooled.accuracy(major, all_in_one[~minority_N]) > 0.8
    assert pooled.accuracy(minor, all_in_one[minority_N]) < 0.2
    mixed = rater_mixture(votes, 2)
    group_R = mixed.member_RG.argmax(axis=1)
    assert (group_R == (np.arange(60) < 15)).all()
    assert mixed.share_G == pytest.approx([0.75, 0.25], abs=1e-3)
    assert mixed.accuracy(major, group_R[major.rater_N]) > 0.8
    assert mixed.accuracy(minor, group_R[minor.rater_N]) > 0.8
    assert np.corrcoef(mixed.utility_GI[0], UTILITY)[0, 1] > 0.99
    assert np.corrcoef(mixed.utility_GI[1], -UTILITY)[0, 1] > 0.97
    assert group_count(votes, 3).groups == 2


def test_one_group_is_said_to_be_one():
    counts = [group_count(planted(seed, minority=0, raters=30), 2) for seed in range(6)]
    assert sum(count.groups == 1 for count in counts) >= 5  # the interval errs in 1 of 40
    assert "does not surely predict" in counts[0].note


def test_the_order_of_votes_and_raters_is_no_information():
    votes = planted(1)
    order = np.random.default_rng(0).permutation(len(votes.rater_N))
    assert rater_mixture(votes.part(order), 2).member_RG == pytest.approx(rater_mixture(votes, 2).member_RG, abs=1e-6)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="4 raters with votes cannot be 5 groups"):
        rater_mixture(planted(0, raters=4), 5)
    with pytest.raises(ValueError, match="none can be held out"):
        group_count(planted(0, labels=1), 2)


def test_k_means_finds_clouds_and_the_silhouette_prefers_their_number():
    rng = np.random.default_rng(0)
    truth_N = np.repeat(np.arange(3), 40)
    point_ND = np.array([[0, 0], [6, 0], [0, 6]])[truth_N] + rng.normal(size=(120, 2))
    score = {k: silhouette(point_ND, k_means(point_ND, k)) for k in (2, 3, 4, 5)}
    assert max(score, key=lambda k: score[k]) == 3
    group_N = k_means(point_ND, 3)
    assert len({(int(a), int(b)) for a, b in zip(truth_N, group_N, strict=True)}) == 3
    line = np.array([[0.0], [1.0], [10.0], [11.0]])
    by_hand = np.mean([1 - 1 / 10.5, 1 - 1 / 9.5, 1 - 1 / 9.5, 1 - 1 / 10.5])
    assert silhouette(line, np.array([0, 0, 1, 1])) == pytest.approx(by_hand)
    with pytest.raises(ValueError, match="1 different points cannot be 2 groups"):
        k_means(np.zeros((5, 2)), 2)
