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
    assert utilities(profile((3, "ABC"), (2, "BCA")), prior=0.0) == pytest.approx(
        (0.312, 0.617, -0.929), abs=5e-4
    )  # the Condorcet winner is A
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


@pytest.mark.parametrize(
    ("votes", "prior", "expected"), [(1, 0.5, 0.75), (5, 0.5, 11 / 12), (1, 1.0, 2 / 3), (1000, 0.5, 1000.5 / 1001)]
)
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
        assert {(p.chosen, p.rejected): p.strength for p in pooled([moved], min_strength=0.5)} == pytest.approx(
            expected
        )


def test_a_voter_counted_twice_counts_double():
    votes = [(0, 1, 1.0), (1, 2, 0.8), (2, 0, 0.7)]
    assert utilities(comparison("abc", *votes, *votes), prior=1.0) == pytest.approx(
        utilities(comparison("abc", *votes), prior=0.5)
    )


def test_weights_of_a_comparison_sum_to_one_and_the_unsure_are_left_out():
    ranking = [(i, j, 1.0) for i in range(4) for j in range(i + 1, 4)]
    made = pooled(
        [
            comparison("abcd", *ranking),
            comparison("ab", (0, 1, 1.0)),
            comparison("ab"),
            comparison("ab", (0, 1, 1.0), (1, 0, 1.0)),
        ]
    )
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


def test_hundreds_of_replies_and_thousands_of_votes_have_their_maximum():
    """At the maximum each reply has won as often as its chances say, and a pair that nobody
    voted on is believed by way of the others."""
    draw = np.random.default_rng(2)
    size, true = 300, np.linspace(-2, 2, 300)
    votes = []
    for _ in range(20_000):
        i, j = draw.choice(size, 2, replace=False)
        votes.append(
            (int(i), int(j), 1.0) if draw.random() < 1 / (1 + np.exp(true[j] - true[i])) else (int(j), int(i), 1.0)
        )
    texts = [f"reply {k}" for k in range(size)]
    cast = tuple(
        Vote(voter=f"v{k % 50}", prefers=i, over=j, strength=s, group="gh"[k % 2]) for k, (i, j, s) in enumerate(votes)
    )
    large = Comparison(prompt=PROMPT, replies=tuple(Reply(text=text, parent=PROMPT.id) for text in texts), votes=cast)
    fitted = np.array(utilities(large, prior=0.01))
    wins = np.full((size, size), 0.01) - 0.01 * np.eye(size)
    for i, j, _ in votes:
        wins[i, j] += 1
    chances = 1 / (1 + np.exp(fitted[None, :] - fitted[:, None]))
    assert (wins - (wins + wins.T) * chances).sum(axis=1) == pytest.approx(np.zeros(size), abs=1e-6)
    assert np.corrcoef(fitted, true)[0, 1] > 0.95
    made = pooled([large], prior=0.01, min_strength=0.97)
    expected = {(texts[i], texts[j]) for i, j in np.argwhere(chances >= 0.97)}
    assert {(p.chosen, p.rejected) for p in made} == expected
    assert len(expected) > 100
    assert sum(p.weight for p in made) == pytest.approx(1.0)
    assert {p.group for p in made} == {"", "g", "h"}  # pairs that one group alone has voted on, and the others


def test_replies_without_a_chain_of_wins_are_found_among_many():
    wins = np.zeros((200, 200))
    wins[np.arange(199), np.arange(1, 200)] = 1
    with pytest.raises(ValueError, match="use a prior above 0"):
        bradley_terry(wins)
    wins[199, 0] = 1  # the ring is closed
    assert bradley_terry(wins) == pytest.approx(np.zeros(200), abs=1e-9)


# ---- groups and principles -----------------------------------------------------------------------
def grouped(texts: str, *votes: tuple[int, int, str]) -> Comparison:
    cast = tuple(Vote(voter=f"v{k}", prefers=i, over=j, group=group) for k, (i, j, group) in enumerate(votes))
    return comparison(texts).with_votes(cast)


OPPOSED = grouped("ab", *[(0, 1, "many")] * 9, *[(1, 0, "few")] * 3)


def test_a_small_group_is_outvoted_in_one_pot_and_heard_in_its_own():
    [one] = pooled([OPPOSED])
    assert (one.chosen, one.group, one.weight) == ("a", "", 1.0)
    many, few = pooled([OPPOSED], by_group=True)
    assert (many.chosen, many.group, many.weight) == ("a", "many", 0.5)
    assert (few.chosen, few.group, few.weight) == ("b", "few", 0.5)
    assert many.strength == pytest.approx(9.5 / 10)
    assert few.strength == pytest.approx(3.5 / 4)
    assert many.voters == tuple(f"v{k}" for k in range(9))


def test_each_pot_is_what_pooling_its_group_alone_gives():
    mixed = grouped("abc", (0, 1, "g"), (1, 2, "g"), (2, 0, "h"), (2, 1, "h"), (0, 1, ""))
    for group in ("g", "h", ""):
        alone = mixed.model_copy(update={"votes": tuple(v for v in mixed.votes if v.group == group)})
        expected = {(p.chosen, p.rejected): p.strength for p in pooled([alone])}
        assert {
            (p.chosen, p.rejected): p.strength for p in pooled([mixed], by_group=True) if p.group == group
        } == pytest.approx(expected)
    assert sum(p.weight for p in pooled([mixed], by_group=True)) == pytest.approx(1.0)


def test_a_group_that_is_sure_of_nothing_takes_no_weight():
    torn = grouped("ab", (0, 1, "sure"), (0, 1, "torn"), (1, 0, "torn"))
    [preference] = pooled([torn], by_group=True)
    assert (preference.group, preference.weight) == ("sure", 1.0)


def test_a_group_is_kept_where_all_votes_on_the_pair_are_its_own():
    made = pooled([grouped("abc", (0, 1, "g"), (1, 2, "g"), (1, 2, "h"))], min_strength=0.5)
    assert {(p.chosen, p.rejected): p.group for p in made} == {
        ("a", "b"): "g",
        ("b", "c"): "",
        ("a", "c"): "",
    }  # nobody voted on a and c
    assert {p.group for p in pooled([grouped("abc", (0, 1, "g"), (1, 2, "g"))])} == {"g"}


def test_groups_that_nobody_names_cannot_be_kept_apart():
    with pytest.raises(ValueError, match="none of 1 votes names a group"):
        pooled([comparison("ab", (0, 1, 1.0))], by_group=True)


def test_a_preference_names_the_principles_that_taught_it():
    def vote(voter: str, i: int, j: int, reason: str, strength: float = 1.0) -> Vote:
        return Vote(voter=voter, prefers=i, over=j, reason=reason, strength=strength)

    votes = (
        vote("judge", 0, 1, "be_kind"),
        vote("contrast", 1, 0, "be_brief"),  # taught the opposite
        vote("contrast", 1, 0, "be_clear", 0.3),  # written from the other side
        vote("critique", 0, 1, "do_no_harm, be_kind"),
        vote("written", 0, 1, ""),
        vote("rules", 0, 1, "length:number_words"),  # a check, not a principle
        vote("anna", 0, 1, "I liked it, really"),  # prose
    )
    [preference] = pooled([comparison("ab").with_votes(votes)])
    assert preference.principles == ("be_kind", "be_clear", "do_no_harm")


def test_pairs_that_nobody_voted_on_name_the_principles_that_decided_them():
    votes = (Vote(voter="judge", prefers=0, over=1, reason="p"), Vote(voter="judge", prefers=1, over=2, reason="q"))
    made = {(p.chosen, p.rejected): p.principles for p in pooled([comparison("abc").with_votes(votes)])}
    assert made == {("a", "b"): ("p",), ("b", "c"): ("q",), ("a", "c"): ("p", "q")}
