"""Are pooled votes the Bradley-Terry fit, with its known answers and its known faults?"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from alignwright.aggregate.pooled import bradley_terry, pooled, utilities
from alignwright.core.records import Comparison, Conversation, Prompt, Reply, Vote

PROMPT = Prompt(conversation=Conversation.user("Q"))


def comparison(texts: str, *votes: tuple[int, int, float]) -> Comparison:
    replies = tuple(Reply(text=text, parent=PROMPT.id) for text in texts)
    cast = tuple(Vote(voter=f"v{k}", prefers=i, over=j, strength=s) for k, (i, j, s) in enumerate(votes))
    return Comparison(prompt=PROMPT, replies=replies, votes=cast)


def profile(*rankings: tuple[int, str]) -> Comparison:
    """Voters who rank everything: (how many, order from best to worst)."""
    texts = "".join(sorted(rankings[0][1]))
    ranked = [(a, b) for n, order in rankings for _ in range(n) for k, a in enumerate(order) for b in order[k + 1 :]]
    return comparison(texts, *((texts.index(a), texts.index(b), 1.0) for a, b in ranked))


def test_known_utilities():
    assert utilities(profile((3, "ABC"), (2, "BCA")), prior=0.0) == pytest.approx((0.312, 0.617, -0.929), abs=5e-4)  # the Condorcet winner is A
    assert utilities(profile((1, "ABC"), (1, "BCA"), (1, "CAB")), prior=0.0) == pytest.approx((0, 0, 0), abs=1e-12)
    a, b, c = utilities(profile((4, "ABC"), (3, "BCA"), (2, "CAB")), prior=0.0)
    assert a == pytest.approx(b)
    assert a > c
    assert np.ptp(utilities(profile((51, "AB"), (49, "BA")), prior=0.0)) == pytest.approx(np.log(51 / 49))


def test_bradley_terry_orders_as_borda_does_on_complete_profiles():
    draw = np.random.default_rng(0)
    compared = 0
    for _ in range(200):
        wins, borda = np.zeros((5, 5)), np.zeros(5)
        for _ in range(7):
            order = draw.permutation(5)
            for k, a in enumerate(order):
                wins[a, order[k + 1 :]] += 1
                borda[a] += 4 - k
        utility = bradley_terry(wins + 1e-9)  # a trace of a prior: some profiles have a reply that never loses
        gaps, ranks = np.subtract.outer(utility, utility), np.subtract.outer(borda, borda)
        compared += int((ranks != 0).sum())
        assert (np.sign(gaps)[ranks != 0] == np.sign(ranks)[ranks != 0]).all()
        assert np.abs(gaps[ranks == 0]).max() < 1e-6
    assert compared > 3000


def test_the_fit_is_the_maximum():
    """At the maximum expected wins equal wins, and no nearby utilities are likelier."""
    draw = np.random.default_rng(1)
    wins = draw.random((4, 4)) * 3
    np.fill_diagonal(wins, 0)
    utility = bradley_terry(wins)

    def likelihood(u):
        return float((wins * -np.log1p(np.exp(u[None, :] - u[:, None]))).sum())

    assert all(likelihood(utility) > likelihood(utility + 1e-3 * draw.standard_normal(4)) for _ in range(50))


@pytest.mark.parametrize(("votes", "prior", "expected"), [(1, 0.5, 0.75), (5, 0.5, 11 / 12), (1, 1.0, 2 / 3), (1000, 0.5, 1000.5 / 1001)])
def test_two_replies_have_the_closed_form(votes, prior, expected):
    [preference] = pooled([comparison("ab", *[(0, 1, 1.0)] * votes)], prior=prior)
    assert preference.strength == pytest.approx(expected, abs=1e-9)
    assert (preference.chosen, preference.rejected, preference.weight) == ("a", "b", 1.0)
    assert preference.parent == comparison("ab").key


def test_a_weak_vote_is_two_small_votes_and_a_vote_of_one_half_is_none():
    soft = utilities(comparison("ab", (0, 1, 0.8)))
    assert soft == pytest.approx(tuple(-u for u in utilities(comparison("ab", (0, 1, 0.2)))))
    assert soft[0] - soft[1] == pytest.approx(np.log(1.3 / 0.7))
    assert pooled([comparison("ab", (0, 1, 0.5))]) == []


def test_relabelling_replies_changes_nothing_else():
    votes = [(0, 1, 0.9), (1, 2, 0.7), (0, 2, 0.6), (2, 1, 0.8), (0, 3, 1.0)]
    expected = {(p.chosen, p.rejected): p.strength for p in pooled([comparison("abcd", *votes)], min_strength=0.5)}
    for order in permutations(range(4)):
        place = {old: new for new, old in enumerate(order)}
        moved = comparison("".join("abcd"[i] for i in order), *((place[i], place[j], s) for i, j, s in votes))
        assert {(p.chosen, p.rejected): p.strength for p in pooled([moved], min_strength=0.5)} == pytest.approx(expected)


def test_a_voter_counted_twice_counts_double():
    votes = [(0, 1, 1.0), (1, 2, 0.8), (2, 0, 0.7)]
    assert utilities(comparison("abc", *votes, *votes), prior=1.0) == pytest.approx(utilities(comparison("abc", *votes), prior=0.5))


def test_weights_of_a_comparison_sum_to_one_and_the_unsure_are_left_out():
    ranking = [(i, j, 1.0) for i in range(4) for j in range(i + 1, 4)]
    made = pooled([comparison("abcd", *ranking), comparison("ab", (0, 1, 1.0)), comparison("ab"), comparison("ab", (0, 1, 1.0), (1, 0, 1.0))])
    assert sum(p.weight for p in made) == pytest.approx(2.0)
    assert len(made) == 6 + 1
    assert pooled([comparison("ab", (0, 1, 1.0))], min_strength=0.76) == []


def test_without_a_prior_what_has_no_finite_answer_is_refused():
    with pytest.raises(ValueError, match="use a prior above 0"):
        utilities(comparison("ab", (0, 1, 1.0)), prior=0.0)
    with pytest.raises(ValueError, match="use a prior above 0"):
        utilities(comparison("abcd", (0, 1, 0.5), (2, 3, 0.5)), prior=0.0)


def test_a_long_chain_of_certain_votes_converges():
    chain = comparison("abcdefgh", *((i, i + 1, 1.0) for i in range(7) for _ in range(100)))
    fitted = utilities(chain, prior=0.01)
    assert list(fitted) == sorted(fitted, reverse=True)
    assert all(np.isfinite(fitted))
