"""Do rules find groups of voters that nobody named, seat juries, and say where there is one group only?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from alignwright.aggregate.knobs import Consensus, Jury, Mixture
from alignwright.aggregate.preferred import preferred
from alignwright.core.records import Comparison, Conversation, Prompt, Reply, Vote


def planted(seed: int, minority: int, voters: int = 30, questions: int = 16, named: bool = False) -> list[Comparison]:
    """A and B on every question; voters prefer A but for the first ones, who prefer B; on the last four questions
    everybody prefers B. Each voter slips on one question; where there is no minority, on one of ten by chance."""
    rng = np.random.default_rng(seed)
    ballots: list[Comparison] = []
    for question in range(questions):
        prompt = Prompt(conversation=Conversation.user(f"Q{question}"))
        votes: list[Vote] = []
        for voter in range(voters):
            wants_b = voter < minority or question >= questions - 4
            slips = voter % questions == question if minority else rng.random() < 0.1
            says_b = wants_b != slips
            group = ("few" if voter < minority else "many") if named else ""
            votes.append(Vote(voter=f"v{voter}", prefers=int(says_b), over=1 - int(says_b), group=group))
        replies = (Reply(text="A", parent=prompt.id), Reply(text="B", parent=prompt.id))
        ballots.append(Comparison(prompt=prompt, replies=replies, votes=tuple(votes)))
    return ballots


def chosen(stage: Mixture | Jury | Consensus, ballots: Sequence[Comparison], questions: range) -> list[tuple[str, str]]:
    names = {f"Q{question}" for question in questions}
    rows = [p for p in preferred(stage, ballots) if p.prompt.conversation.last.content in names]
    return [(p.group, p.chosen) for p in rows]


def test_a_mixture_names_the_groups_that_nobody_did():
    ballots = planted(0, minority=10)
    apart = chosen(Mixture(by="mixture"), ballots, range(12))
    assert apart == [pair for _ in range(12) for pair in (("group 2", "B"), ("group 1", "A"))]
    assert chosen(Mixture(by="mixture", rule="maximin", min_strength=0.9), ballots, range(12, 16)) == [("", "B")] * 4
    with pytest.raises(ValueError, match=r"30 voters are of one group only .*does not surely predict"):
        preferred(Mixture(by="mixture"), planted(0, minority=0))


def test_a_jury_says_what_its_seats_say():
    ballots = planted(0, minority=10, named=True)
    many = Jury(by="jury", seats={"many": 9, "few": 3}, min_strength=0.5)
    assert chosen(many, ballots, range(12)) == [("", "A")] * 12
    assert (
        chosen(Jury(by="jury", seats={"many": 3, "few": 9}, min_strength=0.5), ballots, range(12)) == [("", "B")] * 12
    )
    assert preferred(many, ballots) == preferred(many, ballots)
    with pytest.raises(ValueError, match="no pair has votes of every group with a seat"):
        preferred(Jury(by="jury", seats={"others": 12}), ballots)
    with pytest.raises(ValueError, match="no group has a seat"):
        Jury(by="jury", seats={"many": 0})


def test_a_consensus_decides_what_groups_share_and_not_what_divides_them():
    ballots = planted(0, minority=10, questions=20)
    for stage, votes in (
        (Consensus(by="consensus", min_strength=0.7), ballots),
        (Consensus(by="consensus", min_strength=0.7, find="names"), planted(0, minority=10, questions=20, named=True)),
    ):
        assert chosen(stage, votes, range(16)) == []
        assert chosen(stage, votes, range(16, 20)) == [("", "B")] * 4
    with pytest.raises(ValueError, match="none of 600 votes names a group"):
        preferred(Consensus(by="consensus", find="names"), ballots)
    with pytest.raises(ValueError, match=r"one group only|have 7 votes or more"):
        preferred(Consensus(by="consensus"), planted(1, minority=0, questions=20))
    with pytest.raises(ValueError, match="0 of 30 voters have 7 votes or more"):
        preferred(Consensus(by="consensus"), planted(0, minority=10, questions=6))


def test_the_consensus_of_one_pair_by_hand():
    """Three of four of one group and one of two of the other are for A: 4/6 and 2/4 against 2/6 and 2/4."""
    prompt = Prompt(conversation=Conversation.user("Q"))
    sides = [("x", 0), ("x", 0), ("x", 0), ("x", 1), ("y", 0), ("y", 1)]
    votes = tuple(Vote(voter=f"v{k}", group=g, prefers=a, over=1 - a) for k, (g, a) in enumerate(sides))
    replies = (Reply(text="A", parent=prompt.id), Reply(text="B", parent=prompt.id))
    (pair,) = preferred(
        Consensus(by="consensus", find="names", min_strength=0.5),
        [Comparison(prompt=prompt, replies=replies, votes=votes)],
    )
    up, down = (4 / 6 * 2 / 4) ** 0.5, (2 / 6 * 2 / 4) ** 0.5
    assert (pair.chosen, pair.strength) == ("A", pytest.approx(up / (up + down)))
