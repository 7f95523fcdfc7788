"""Does each rule of social choice give its known answers, and say what it cannot do with incomplete votes?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from rankings import ranked
from scipy.optimize import linprog

from alignwright.aggregate.knobs import AnyAggregate
from alignwright.aggregate.pooled import pooled
from alignwright.aggregate.preferred import preferred
from alignwright.core.records import Comparison, Conversation, Preference, Prompt, Reply, Vote
from alignwright.experiment.check import check
from alignwright.files.errors import SpecError
from alignwright.files.votes import read_votes
from alignwright.stats.lotteries import maximal_lottery, maximin_lottery, proportional_lottery
from alignwright.stats.social_order import borda, condorcet_winner, copeland, ranked_pairs, vote_shares

PROMPT = Prompt(conversation=Conversation.user("Q"))
KINDS = {get_args(kind.model_fields["by"].annotation)[0]: kind for kind in get_args(AnyAggregate)}


def profile(*rankings: tuple[int, str, str]) -> Comparison:
    return ranked("Q", *rankings)


def votes_of(*rankings: tuple[int, str]) -> np.ndarray:
    size = len(rankings[0][1])
    votes_KK = np.zeros((size, size))
    for count, order in rankings:
        places = ["ABCDE".index(name) for name in order]
        for k, a in enumerate(places):
            votes_KK[a, places[k + 1 :]] += count
    return votes_KK


def rule(by: str, **knobs: object) -> AnyAggregate:
    features = {"features": ("words", "capitals", "word_length")} if by == "leximax_copeland" else {}
    return KINDS[by].model_validate({"by": by, **features, **knobs})


def told(preferences: Sequence[Preference]) -> dict[str, float]:
    return {f"{p.chosen}{p.rejected}": round(p.strength, 6) for p in preferences}


def test_three_against_two_where_borda_rejects_the_condorcet_winner():
    votes_KK = votes_of((3, "ABC"), (2, "BCA"))
    assert condorcet_winner(votes_KK) == 0
    assert borda(votes_KK) * 2 == pytest.approx([1.2, 1.4, 0.4])
    assert copeland(votes_KK).tolist() == [2, 1, 0]
    assert ranked_pairs(votes_KK).tolist() == [[False, True, True], [False, False, True], [False, False, False]]
    assert maximal_lottery(votes_KK - votes_KK.T) == pytest.approx([1, 0, 0])
    ballot = profile((3, "ABC", ""), (2, "BCA", ""))
    assert told(preferred(rule("copeland"), [ballot])) == {"AB": 1, "AC": 1, "BC": 1}
    assert told(preferred(rule("borda", min_strength=0.5), [ballot])) == {"BA": 0.55, "AC": 0.7, "BC": 0.75}
    assert told(preferred(rule("maximal_lottery"), [ballot])) == {"AB": 1, "AC": 1}
    assert told(preferred(rule("random_dictator"), [ballot])) == {"AB": 0.6, "AC": 0.6, "BC": 1}


def test_a_cycle_is_a_tie_and_a_lopsided_one_has_its_lottery():
    even = votes_of((1, "ABC"), (1, "BCA"), (1, "CAB"))
    assert maximal_lottery(even - even.T) == pytest.approx([1 / 3] * 3)
    assert not ranked_pairs(even).any()
    assert condorcet_winner(even) is None
    ballot = profile((1, "ABC", ""), (1, "BCA", ""), (1, "CAB", ""))
    for by in ("borda", "copeland", "ranked_pairs", "maximal_lottery"):
        assert preferred(rule(by), [ballot]) == []
    assert len(preferred(rule("random_dictator"), [ballot])) == 3  # which may draw a circle, and says so pair by pair
    lopsided = votes_of((4, "ABC"), (3, "BCA"), (2, "CAB"))
    assert maximal_lottery(lopsided - lopsided.T) == pytest.approx([5 / 9, 1 / 9, 1 / 3])
    assert ranked_pairs(lopsided)[0].tolist() == [False, True, True]  # the smallest majority closes the circle


def test_a_small_majority_takes_all_of_a_lottery_and_a_share_of_a_proportional_one():
    votes_KK = votes_of((51, "AB"), (49, "BA"))
    assert maximal_lottery(votes_KK - votes_KK.T) == pytest.approx([1, 0])
    assert proportional_lottery(np.eye(2), np.array([51.0, 49.0])) == pytest.approx([0.51, 0.49])
    assert vote_shares(votes_KK)[0, 1] == 0.51


def test_maximin_is_the_published_mixture_whatever_the_shares():
    utility_GK = np.array([[1.0, 0.7, 0.0], [0.0, 0.6, 1.0]])
    for share in (0.5, 0.7, 0.9):
        weight_G = np.array([share, 1 - share])
        lottery_K = maximin_lottery(utility_GK, weight_G)
        assert lottery_K == pytest.approx([0, 10 / 11, 1 / 11], abs=1e-6)
        assert (utility_GK @ lottery_K).min() == pytest.approx(7 / 11)
        assert "BAA"[(0.5, 0.7, 0.9).index(share)] == "ABC"[int((weight_G @ utility_GK).argmax())]  # utilitarian


@pytest.mark.parametrize("seed", range(20))
def test_lotteries_are_optimal_and_do_not_know_the_order_of_the_alternatives(seed: int):
    draw = np.random.default_rng(seed)
    size = int(draw.integers(2, 9))
    margin_KK = np.triu(draw.integers(-2, 3, (size, size)), 1).astype(float)
    margin_KK = margin_KK - margin_KK.T
    order = draw.permutation(size)
    lottery_K = maximal_lottery(margin_KK)
    assert (margin_KK.T @ lottery_K).min() > -1e-7
    assert maximal_lottery(margin_KK[np.ix_(order, order)]) == pytest.approx(lottery_K[order], abs=1e-6)
    utility_GK, weight_G = draw.integers(0, 4, (3, size)) / 3 + 0.05, draw.integers(1, 5, 3).astype(float)
    for lottery in (maximin_lottery, proportional_lottery):
        assert lottery(utility_GK[:, order], weight_G) == pytest.approx(lottery(utility_GK, weight_G)[order], abs=1e-4)
    worst = (utility_GK @ maximin_lottery(utility_GK, weight_G)).min()
    nash_K = proportional_lottery(utility_GK, weight_G)
    others_RK = draw.dirichlet(np.full(size, 0.3), 300)
    assert (utility_GK @ others_RK.T).min(axis=0).max() <= worst + 1e-9
    # of maximum Nash welfare: no other lottery gains the groups more than their weights, relative to it (the core)
    gain_R = ((utility_GK @ others_RK.T) / (utility_GK @ nash_K)[:, None]).T @ weight_G / weight_G.sum()
    assert gain_R.max() <= 1 + 1e-6


def test_a_narrow_optimum_of_many_replies_is_found():
    """Where four groups leave room for little but one lottery, least squares alone fails (SciPy 1.17.1)."""
    draw = np.random.default_rng(0)
    for _ in range(40):
        utility_GK, weight_G = draw.random((4, 40)), draw.integers(1, 60, 4).astype(float)
        lottery_K = maximin_lottery(utility_GK, weight_G)
        value = (utility_GK @ lottery_K).min()
        assert lottery_K.sum() == pytest.approx(1)
        # no weights on the groups promise less than what the worst has (the game's other side)
        dual = linprog(
            [*np.zeros(4), 1.0],
            A_ub=np.c_[utility_GK.T, -np.ones(40)],
            b_ub=np.zeros(40),
            A_eq=[[1.0] * 4 + [0.0]],
            b_eq=[1.0],
            bounds=[(0, None)] * 4 + [(None, None)],
        )
        assert value == pytest.approx(dual.fun, abs=1e-4)


def test_a_rule_over_groups_keeps_what_the_larger_group_outvotes():
    ballot = profile((7, "ABC", "many"), (2, "BAC", "many"), (2, "CBA", "few"), (1, "BCA", "few"))
    assert told(preferred(rule("pooled", min_strength=0.5), [ballot])).keys() == {"AB", "AC", "BC"}
    fair = preferred(rule("maximin"), [ballot])
    assert {"BA", "BC"} <= told(fair).keys()  # the compromise before either group's favourite
    assert sum(p.weight for p in fair) == pytest.approx(1)
    assert (
        told(preferred(rule("utilitarian", min_strength=0.5, weigh="groups"), [ballot])).keys()
        != told(preferred(rule("utilitarian", min_strength=0.5), [ballot])).keys()
    )


def test_what_a_rule_cannot_do_is_said():
    three = profile((3, "ABC", ""))
    partial = three.model_copy(update={"votes": tuple(v for v in three.votes if (v.prefers, v.over) != (1, 2))})
    with pytest.raises(ValueError, match=r"on 1 of 3 pairs nobody voted, such as \(1, 2\).*'Q', or aggregate by cope"):
        preferred(rule("borda"), [partial])
    assert told(preferred(rule("copeland"), [partial])) == {"AB": 1, "AC": 1}
    for by in ("utilitarian", "maximin", "proportional"):
        with pytest.raises(ValueError, match=f"{by}: none of 9 votes names a group"):
            preferred(rule(by), [three])
        with pytest.raises(ValueError, match=f"{by}: all 3 votes are of the one group 'g'"):
            preferred(rule(by), [profile((1, "ABC", "g"))])
    with pytest.raises(ValueError, match="a maximal lottery is of margins"):
        maximal_lottery(np.ones((2, 2)))


def test_one_voice_a_voter_however_often_it_votes():
    """Control: the pooled rule counts votes."""
    replies = tuple(Reply(text=text, parent=PROMPT.id) for text in "AB")
    loud = tuple(Vote(voter="loud", prefers=0, over=1) for _ in range(9))
    quiet = tuple(Vote(voter=f"q{k}", prefers=1, over=0) for k in range(3))
    ballot = Comparison(prompt=PROMPT, replies=replies, votes=(*loud, *quiet))
    assert told(preferred(rule("borda"), [ballot])) == {"BA": 0.75}
    assert told(pooled([ballot])).keys() == {"AB"}


def test_every_rule_is_fair_to_replies_and_says_nothing_of_all_ties():
    """Neutral: with the replies named otherwise the same pairs come out."""
    ballot = profile((4, "ABCD", "x"), (3, "BCAD", "y"), (2, "CABD", "y"), (2, "DACB", "x"))
    renamed = profile((4, "DCBA", "x"), (3, "CBDA", "y"), (2, "BDCA", "y"), (2, "ADBC", "x"))
    ties = ballot.model_copy(update={"votes": tuple(v.model_copy(update={"strength": 0.5}) for v in ballot.votes)})
    names = str.maketrans("ABCD", "DCBA")
    for by in KINDS.keys() - {"leximax_copeland", "mixture", "jury"}:  # which know texts, many comparisons, seats
        knobs = {"find": "names"} if by == "consensus" else {}
        strengths = told(preferred(rule(by, **knobs), [ballot]))
        assert strengths, by
        assert strengths == pytest.approx(
            {
                pair.translate(names): strength
                for pair, strength in told(preferred(rule(by, **knobs), [renamed])).items()
            },
            abs=1e-4,
        )
        assert preferred(rule(by, **knobs), [ties]) == [], by


@pytest.mark.parametrize(
    ("aggregate", "line"),
    [
        ("{by: bordo}", "there is no aggregate 'bordo'; did you mean 'borda'?"),
        ("{by: copeland, prior: 1}", "aggregate.copeland.prior: no such field"),
        ("{prior: -1}", "aggregate.pooled.prior: "),
        ("{by: maximin}", "aggregate.maximin: has no groups of voters to look at"),
        ("{by: leximax_copeland, features: [wordz]}", "there is no feature 'wordz'; there are words, lists"),
        ("borda", "a stage is a mapping that begins with 'by', saw the text 'borda'"),
    ],
)
def test_a_mistake_in_the_spec_is_told_in_one_line(tmp_path: Path, aggregate: str, line: str) -> None:
    pairs = {"prompt": "Q", "chosen": "a", "rejected": "b"}
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pairs | {"prompt": f"Q{k}"}) + "\n" for k in range(20)))
    spec = tmp_path / "spec.yaml"
    before, after = "name: x\nintent: {pairs: pairs.jsonl}\nfeedback: [{by: written}]\n", "\ntrain: [{by: dpo}]\n"
    spec.write_text(f"{before}aggregate: {aggregate}{after}")
    with pytest.raises(SpecError) as error:
        check(spec)
    (problem,) = [problem for problem in error.value.problems if "aggregate" in problem]
    assert f"spec.yaml:4: {line}" in problem or line in problem


def test_a_ballot_may_be_a_ranking(tmp_path: Path) -> None:
    rows = [
        {"prompt": "Q", "replies": ["x", "y", "z"], "choice": [2, 0, 1], "rater": "ann"},
        {"prompt": "Q", "replies": ["z", "y", "x"], "choice": [0, 2, 1], "rater": "bob"},  # the same, shown otherwise
        {"prompt": "Q", "replies": ["x", "y", "z"], "choice": 1, "rater": "cleo"},
    ]
    (tmp_path / "votes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (comparison,) = read_votes(tmp_path / "votes.jsonl").rows
    by_rater = {
        name: {(v.prefers, v.over) for v in comparison.votes if v.voter == name} for name in ("ann", "bob", "cleo")
    }
    assert by_rater["ann"] == by_rater["bob"] == {(2, 0), (2, 1), (0, 1)}
    assert by_rater["cleo"] == {(1, 0), (1, 2)}  # one reply chosen says nothing of the others
    (tmp_path / "bad.jsonl").write_text(json.dumps(rows[0] | {"choice": [2, 2, 1]}) + "\n")
    with pytest.raises(SpecError, match=r"each place from 0 to 2 once, best first"):
        read_votes(tmp_path / "bad.jsonl")
