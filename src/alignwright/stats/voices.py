"""Who wants what of one comparison? Its votes as a profile: one voice for each voter on each pair,
for all voters and for each group.

A voter that voted on a pair more than once (a model judging in both orders, a principle in several
readings) speaks with the mean of its votes, so that nobody counts for more by voting more often; the
pooled rule, which counts votes, does not read a profile. A vote of strength s is s of a voice for one
reply and 1 - s for the other. A pair on which a voter did not vote has no voice of that voter, and
which rule can do with that is said by the rule.

Voters whose votes name no group are a group where others name one; where nobody names any, a rule
that needs groups is an error (`grouped`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from alignwright.core.records import Comparison, Vote
from alignwright.stats.bradley_terry import bradley_terry, win_chances
from alignwright.stats.social_order import vote_shares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignwright.stats.arrays import Floats

Who = TypeVar("Who", bound=Hashable)


@dataclass(frozen=True)
class GroupVoices:
    """The groups that voted on a comparison: their names, how many voters each has, and their voices
    on every pair."""

    names: tuple[str, ...]
    voters_G: Floats
    votes_GKK: Floats

    def shares(self) -> Floats:
        """For each group and two replies: the share of its voices that the first has, 1/2 against
        itself and where the group said nothing."""
        return np.array([vote_shares(votes_KK) for votes_KK in self.votes_GKK])

    def utilities(self, prior: float) -> Floats:
        """For each group and reply: the mean chance that the reply wins against another in the eyes of
        this group, by the Bradley-Terry fit of its voices with `prior` imagined ones on either side of
        every pair. It is between 0 and 1 for every group, so that nobody gains by feeling more strongly."""
        size = self.votes_GKK.shape[1]
        prior_KK = np.full((size, size), prior)
        np.fill_diagonal(prior_KK, 0.0)
        chance_GKK = np.array([win_chances(bradley_terry(votes_KK + prior_KK)) for votes_KK in self.votes_GKK])
        return (chance_GKK.sum(axis=2) - 0.5) / (size - 1)


def voices(comparison: Comparison) -> Floats:
    """How many voices each reply has against each other one."""
    return _voices(len(comparison.replies), comparison.votes)


def pair_sides(votes: Sequence[Vote], who: Callable[[Vote], Who]) -> dict[tuple[int, int], dict[Who, float]]:
    """Of every pair (i < j) that was voted on, how far each who voted on it is for i: the mean of its votes."""
    votes_of: dict[tuple[int, int], dict[Who, list[float]]] = {}
    for vote in votes:
        pair = (min(vote.prefers, vote.over), max(vote.prefers, vote.over))
        for_first = vote.strength if vote.prefers == pair[0] else 1.0 - vote.strength
        votes_of.setdefault(pair, {}).setdefault(who(vote), []).append(for_first)
    return {
        pair: {one: sum(strengths) / len(strengths) for one, strengths in voters.items()}
        for pair, voters in votes_of.items()
    }


def by_voter(vote: Vote) -> str:
    """A voter is one who, whatever group its votes name."""
    return vote.voter


def agreement(comparison: Comparison) -> NDArray[np.bool_]:
    """Whether every voter of the comparison prefers the one reply to the other. Who has not voted on the two
    does not."""
    size, voters = len(comparison.replies), {vote.voter for vote in comparison.votes}
    agreed_KK = np.zeros((size, size), dtype=np.int64)
    for (i, j), sides in pair_sides(comparison.votes, by_voter).items():
        agreed_KK[i, j] += sum(side > 0.5 for side in sides.values())
        agreed_KK[j, i] += sum(side < 0.5 for side in sides.values())
    return (agreed_KK == len(voters)) & (len(voters) > 0)


def group_voices(comparison: Comparison) -> GroupVoices:
    """The voices of each group that voted on the comparison, in the order of their first votes."""
    votes_of: dict[str, list[Vote]] = {}
    for vote in comparison.votes:
        votes_of.setdefault(vote.group, []).append(vote)
    voters_G = np.array([len({vote.voter for vote in votes}) for votes in votes_of.values()], dtype=np.float64)
    return GroupVoices(
        tuple(votes_of), voters_G, np.array([_voices(len(comparison.replies), votes) for votes in votes_of.values()])
    )


def grouped(comparisons: Sequence[Comparison], rule: str) -> None:
    """Raises ValueError where a rule over groups has none to look at, or one alone."""
    groups = {vote.group for comparison in comparisons for vote in comparison.votes}
    votes = sum(len(comparison.votes) for comparison in comparisons)
    if votes and groups == {""}:
        raise ValueError(
            f"{rule}: none of {votes} votes names a group, so there are no groups to be fair to; give the voters"
            " groups (the column 'group'), or aggregate {by: pooled}"
        )
    if len(groups) == 1:
        raise ValueError(
            f"{rule}: all {votes} votes are of the one group {groups.pop()!r}, which no rule over groups can tell from"
            " everybody; aggregate {by: pooled}"
        )


def _voices(replies: int, votes: Sequence[Vote]) -> Floats:
    voices_KK = np.zeros((replies, replies))
    for (i, j), sides in pair_sides(votes, by_voter).items():
        for side in sides.values():
            voices_KK[i, j] += side
            voices_KK[j, i] += 1.0 - side
    return voices_KK
