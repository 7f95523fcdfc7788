"""Which groups do voters fall into by how they vote? Their votes, under the names of the groups that
were found.

- **mixture**: a Bradley-Terry mixture over voters (`stats.rater_mixture`), all comparisons together; how many
  groups there are is told by votes that were held out.
- **consensus**: the grouping of Polis (`stats.opinion_groups`) over a table of voters and pairs of replies, on
  each of which a voter has agreed that the first is better, disagreed, or sides_of nothing.

Names that votes had are left aside. Where votes speak for one group alone, or are too few to tell, that is
an error: no rule over groups can be fair to groups that are not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from alignwright.aggregate.knobs import AnyAggregate, Consensus, Mixture
from alignwright.core.records import Comparison
from alignwright.stats.opinion_groups import opinion_groups
from alignwright.stats.rater_mixture import RaterVotes, group_count, rater_mixture
from alignwright.stats.voices import by_voter, pair_sides

if TYPE_CHECKING:
    from alignwright.stats.arrays import Floats

_LARGEST = 20_000_000
"""Cells of the largest table of voters and pairs."""
_SHUFFLES = 19


def regrouped(stage: AnyAggregate, comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons, their votes under the groups that the stage finds; as they are where it looks for none.
    Raises ValueError where the votes are of one group, or too few."""
    if not any(comparison.votes for comparison in comparisons):
        return list(comparisons)
    if isinstance(stage, Mixture):
        return _under_groups(comparisons, _by_mixture(stage, comparisons))
    if isinstance(stage, Consensus) and stage.find == "votes":
        return _under_groups(comparisons, _by_opinions(stage, comparisons))
    return list(comparisons)


def _by_mixture(stage: Mixture, comparisons: Sequence[Comparison]) -> dict[str, str]:
    votes, voters = _rater_votes(comparisons)
    try:
        count = group_count(votes, stage.most_groups, prior=stage.prior)
    except ValueError as why:
        raise ValueError(f"mixture: {why}") from None
    if count.groups == 1:
        why = count.note if count.gains else f"only {len(voters)} voters have votes to tell by"
        raise ValueError(
            f"mixture: the votes of {len(voters)} voters are of one group only ({why}); aggregate {{by: pooled}}"
        )
    member_RG = rater_mixture(votes, count.groups, prior=stage.prior).member_RG
    return {voter: f"group {1 + int(member_RG[place].argmax())}" for voter, place in voters.items()}


def _rater_votes(comparisons: Sequence[Comparison]) -> tuple[RaterVotes, dict[str, int]]:
    """The votes of all comparisons, whose replies are items of their own, and the voters' places."""
    voters: dict[str, int] = {}
    rows: list[tuple[int, int, int, float]] = []
    first = 0
    for comparison in comparisons:
        for vote in comparison.votes:
            rater = voters.setdefault(vote.voter, len(voters))
            rows.append((rater, first + vote.prefers, first + vote.over, vote.strength))
        first += len(comparison.replies)
    raters, winners, losers, strengths = zip(*rows, strict=True)
    votes = RaterVotes(
        np.array(raters), np.array(winners), np.array(losers), np.array(strengths, dtype=np.float64), len(voters), first
    )
    return votes, voters


def _by_opinions(stage: Consensus, comparisons: Sequence[Comparison]) -> dict[str, str]:
    vote_VS, voters = _table(comparisons)
    try:
        groups = opinion_groups(
            vote_VS, least_votes=stage.least_votes, most_groups=stage.most_groups, shuffles=_SHUFFLES
        )
    except ValueError as why:
        raise ValueError(f"consensus: {why}") from None
    if groups.chance > 1 / (1 + _SHUFFLES):
        raise ValueError(
            f"consensus: the votes of {len(voters)} voters are of one group only (shuffled votes are as far apart in"
            f" {groups.chance:.0%} of tries); aggregate {{by: pooled}}, or give groups of your own and find: names"
        )
    return {
        voter: f"group {1 + int(groups.group_V[place])}"
        for voter, place in voters.items()
        if groups.group_V[place] >= 0  # who has too few votes to tell by is of no group
    }


def _table(comparisons: Sequence[Comparison]) -> tuple[Floats, dict[str, int]]:
    """What each voter says of each pair that was voted on: for or against its first reply, or nothing."""
    names = dict.fromkeys(vote.voter for comparison in comparisons for vote in comparison.votes)
    voters = {name: place for place, name in enumerate(names)}
    pairs = [sides for comparison in comparisons for sides in pair_sides(comparison.votes, by_voter).values()]
    if len(voters) * len(pairs) > _LARGEST:
        raise ValueError(
            f"consensus: {len(voters)} voters on {len(pairs)} pairs of replies are a table larger than {_LARGEST:,}"
            " cells; let voters compare fewer pairs, or name their groups and find: names"
        )
    vote_VS = np.full((len(voters), len(pairs)), np.nan)
    for column, sides in enumerate(pairs):
        for voter, side in sides.items():
            vote_VS[voters[voter], column] = np.sign(side - 0.5)
    return vote_VS, voters


def _under_groups(comparisons: Sequence[Comparison], group_of: Mapping[str, str]) -> list[Comparison]:
    return [
        Comparison(
            prompt=comparison.prompt,
            replies=comparison.replies,
            votes=tuple(vote.model_copy(update={"group": group_of.get(vote.voter, "")}) for vote in comparison.votes),
        )
        for comparison in comparisons
    ]
