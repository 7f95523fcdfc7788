"""What do all votes together prefer, when every vote counts alike? One Bradley-Terry model of the
pooled votes.

All votes of all voters on a comparison go into one pot: a vote of strength s for i over j adds s to
i's wins over j and 1 - s to j's. Bradley-Terry utilities are fitted to the pot by maximum
likelihood, with `prior` imagined wins either way on every two replies, which keeps them finite and
sends a pair without votes to 1/2. With two replies this is (prior + votes for) / (2 prior + votes),
and the prior of 1/2 is Jeffreys': one certain vote is believed to 3/4, five to 11/12.

Bradley-Terry ranks as Borda does where everybody compares everything (Siththaranjan, Laidlaw and
Hadfield-Menell 2023, arXiv 2312.08358): it may reject the reply that a majority prefers to each
other one, and a cycle of majorities comes out as a tie. In one pot a large group outvotes a small
one. With `by_group` each group of voters has a pot, and its preferences carry its name to the loss;
voters without a group are a group. Opposed groups then both teach, and neither is lost in an
average.

Every pair that is sure enough becomes a preference. They share a weight of 1 per comparison, so
that a prompt with many replies teaches no louder than one with two; groups that are sure of
something share it equally, however many votes each cast.

A comparison may have hundreds of replies and hundreds of thousands of votes (a conversation whose
statements are voted on): votes are looked at once each, and the fit solves one K by K system a
step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from alignwright.aggregate.sure_pairs import SurePair, preferences
from alignwright.core.records import Comparison, Preference, Vote
from alignwright.stats.bradley_terry import bradley_terry, win_chances

if TYPE_CHECKING:
    from alignwright.stats.arrays import Floats


def pooled(
    comparisons: Sequence[Comparison], *, prior: float = 0.5, min_strength: float = 0.6, by_group: bool = False
) -> list[Preference]:
    """The preferences, in order; comparisons without votes or without a sure enough pair give none."""
    if prior < 0 or not 0.5 <= min_strength <= 1:
        raise ValueError(f"pooled: prior {prior} must be 0 or more, and min_strength {min_strength} between 0.5 and 1")
    if by_group and not any(vote.group for comparison in comparisons for vote in comparison.votes):
        votes = sum(len(comparison.votes) for comparison in comparisons)
        raise ValueError(
            f"pooled by_group: none of {votes} votes names a group, so there are no groups to keep apart; leave"
            " 'by_group' out"
        )
    return [
        preference
        for comparison in comparisons
        for preference in _of_comparison(comparison, prior, min_strength, by_group)
    ]


def utilities(comparison: Comparison, prior: float = 0.5) -> tuple[float, ...]:
    """The replies' Bradley-Terry utilities in nats, summing to 0."""
    return tuple(bradley_terry(_wins(len(comparison.replies), comparison.votes, prior)).tolist())


def _wins(replies: int, votes: Sequence[Vote], prior: float) -> Floats:
    wins_KK = np.full((replies, replies), prior)
    np.fill_diagonal(wins_KK, 0.0)
    prefers, over = [vote.prefers for vote in votes], [vote.over for vote in votes]
    strength_V = np.array([vote.strength for vote in votes])
    np.add.at(wins_KK, (prefers, over), strength_V)
    np.add.at(wins_KK, (over, prefers), 1.0 - strength_V)
    return wins_KK


def sure_pairs(comparison: Comparison, prior: float, min_strength: float) -> list[tuple[int, int, float]]:
    """The pairs of one comparison that all its votes, in one pot, are sure enough of, the better reply first."""
    return _sure_pairs(len(comparison.replies), comparison.votes, prior, min_strength)


def _of_comparison(comparison: Comparison, prior: float, min_strength: float, by_group: bool) -> list[Preference]:
    # 1. One pot, or one for each group, whose preferences then stay apart.
    pots: dict[str, list[Vote]] = {}
    for vote in comparison.votes:
        pots.setdefault(vote.group if by_group else "", []).append(vote)
    # 2. Each pot has utilities of its own and the pairs that it is sure enough of.
    pairs_of = [(votes, _sure_pairs(len(comparison.replies), votes, prior, min_strength)) for votes in pots.values()]
    # 3. A weight of 1 for the comparison: shared by the groups, and in a group by its pairs.
    sure = [(votes, pairs) for votes, pairs in pairs_of if pairs]
    return [
        preference
        for votes, pairs in sure
        for preference in preferences(
            comparison, votes, [SurePair(*pair, 1.0 / (len(sure) * len(pairs))) for pair in pairs]
        )
    ]


def _sure_pairs(replies: int, votes: Sequence[Vote], prior: float, min_strength: float) -> list[tuple[int, int, float]]:
    """The pairs that these votes are sure enough of, the better reply first, with the chance
    that it is."""
    chance_KK = win_chances(bradley_terry(_wins(replies, votes, prior)))
    first_P, second_P = np.triu_indices(replies, 1)
    swap_P = chance_KK[first_P, second_P] < chance_KK[second_P, first_P]
    better_P, worse_P = np.where(swap_P, second_P, first_P), np.where(swap_P, first_P, second_P)
    strength_P = chance_KK[better_P, worse_P]
    sure_P = (strength_P >= min_strength) & (strength_P > 0.5)
    return list(zip(better_P[sure_P].tolist(), worse_P[sure_P].tolist(), strength_P[sure_P].tolist(), strict=True))
