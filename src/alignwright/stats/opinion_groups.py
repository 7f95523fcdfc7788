"""Which groups do people fall into by their votes on statements, what do all groups agree on, and what
sets one apart? The method of Polis, from its formulas.

Voters are placed by the two main axes of their votes: a vote is 1 for agree, -1 for disagree, 0 for pass
and NaN for a statement that was not seen, which counts as the mean of those who saw it; a voter's place
is drawn out by the root of (statements / votes), for few votes lie near the middle. K-means groups
them, with the number of groups that the silhouette prefers (Small et al. 2021, "Polis: Scaling deliberation").

- **Group-aware consensus** of a statement: the product over groups of (A + 1) / (S + 2), where A agree of S
  who saw it. One group that is against pulls it down, however small the group is.
- **A bridging statement** is one that most agree with in every group, each by the test of one share.
- **A representative statement** of a group passes two tests, z > 1.2816 each: of one share against a half,
  2 sqrt(n') (s'/n' - 1/2) with s' = s + 1 and n' = n + 1, and of the share in the group against the share outside.

A silhouette cannot say that there is one group, and two axes of noise have one as well: `chance` is how
often votes that were shuffled within each statement are grouped as well. Polis' own matrix writes agree as
-1, its exports as 1: `tests/test_stats_opinion_groups.py` holds both. Left out: Polis' first clustering to a
hundred points, and the smoothing of the number of groups over time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from alignwright.stats.k_means import k_means, silhouette

if TYPE_CHECKING:
    from alignwright.stats.arrays import Floats
    from alignwright.stats.k_means import Labels

SIGNIFICANT = 1.2816
"""The z above which Polis calls a share significant: 90 % one-sided."""


@dataclass(frozen=True)
class OpinionGroups:
    """The group of every voter (-1: too few votes to tell), their places, how apart the groups are for every
    number that was tried, and the share of shuffled votes that come out as far apart."""

    group_V: Labels
    place_VD: Floats
    silhouettes: dict[int, float]
    chance: float

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return int(self.group_V.max()) + 1


@dataclass(frozen=True)
class StatementCounts:
    """For every group and statement: how many agree, disagree, and saw it."""

    agree_GS: Floats
    disagree_GS: Floats
    seen_GS: Floats

    def consensus(self) -> Floats:
        """The group-aware consensus of every statement."""
        return np.prod((self.agree_GS + 1) / (self.seen_GS + 2), axis=0)

    def bridging(self) -> list[int]:
        """The statements that most of every group surely agree with, by their consensus."""
        sure_S = (share_z(self.agree_GS, self.seen_GS) > SIGNIFICANT).all(axis=0)
        consensus_S = self.consensus()
        return sorted(np.flatnonzero(sure_S).tolist(), key=lambda place: -consensus_S[place])


class Representative(NamedTuple):
    """A statement that sets a group apart: whether it agrees or disagrees, the share that does (smoothed), how many
    times the share outside that is, and the two tests."""

    statement: int
    agrees: bool
    share: float
    ratio: float
    share_z: float
    difference_z: float


def opinion_groups(
    vote_VS: Floats, *, least_votes: int = 7, most_groups: int = 5, shuffles: int = 9, seed: int = 0
) -> OpinionGroups:
    """The groups of the voters. Raises ValueError where too few have voted enough, or all alike."""
    told_V = (~np.isnan(vote_VS)).sum(axis=1) >= least_votes
    if told_V.sum() < 4:
        raise ValueError(
            f"{int(told_V.sum())} of {len(vote_VS)} voters have {least_votes} votes or more, too few to group;"
            " lower least_votes, or give more votes"
        )
    table_VS = vote_VS[told_V]
    place_VD = _places(table_VS)
    best, silhouettes, grouped_V = _grouping(place_VD, most_groups, seed)
    rng = np.random.default_rng(seed)
    shuffled = [_grouping(_places(_shuffled(table_VS, rng)), most_groups, seed)[0] for _ in range(shuffles)]
    group_V = np.full(len(vote_VS), -1, dtype=np.int64)
    group_V[told_V] = grouped_V
    all_VD = np.full((len(vote_VS), 2), np.nan)
    all_VD[told_V] = place_VD
    return OpinionGroups(group_V, all_VD, silhouettes, (1 + sum(s >= best for s in shuffled)) / (1 + shuffles))


def statement_counts(vote_VS: Floats, group_V: Labels) -> StatementCounts:
    """What every group says of every statement; voters of group -1 are left out."""
    member_GV = (group_V[None, :] == np.arange(int(group_V.max()) + 1)[:, None]).astype(np.float64)
    return StatementCounts(member_GV @ (vote_VS > 0), member_GV @ (vote_VS < 0), member_GV @ ~np.isnan(vote_VS))


def representative(counts: StatementCounts, group: int, most: int = 5) -> list[Representative]:
    """The statements that set a group apart from the others, the clearest first."""
    rows: list[tuple[float, Representative]] = []
    sides = [_side(counts.agree_GS, counts.seen_GS, group), _side(counts.disagree_GS, counts.seen_GS, group)]
    for statement in range(counts.seen_GS.shape[1]):
        agrees = sides[0][3][statement] >= sides[1][3][statement]
        share, ratio, one_z, two_z = (float(column[statement]) for column in sides[0 if agrees else 1])
        if one_z > SIGNIFICANT and two_z > SIGNIFICANT:
            row = Representative(statement, bool(agrees), share, ratio, one_z, two_z)
            rows.append((share * ratio * one_z * two_z, row))
    return [row for _, row in sorted(rows, key=lambda row: -row[0])[:most]]


def share_z(successes: Floats, n: Floats) -> Floats:
    """Polis' test of a share against a half."""
    return 2 * np.sqrt(n + 1) * ((successes + 1) / (n + 1) - 0.5)


def difference_z(one: Floats, n_one: Floats, two: Floats, n_two: Floats) -> Floats:
    """Polis' test of two shares; 0 where everybody is a success."""
    one, two, n_one, n_two = one + 1, two + 1, n_one + 1, n_two + 1
    both = (one + two) / (n_one + n_two)
    error = np.sqrt(np.maximum(both * (1 - both), 0.0) * (1 / n_one + 1 / n_two))
    return np.divide(one / n_one - two / n_two, error, out=np.zeros(error.shape), where=error > 0)


def _side(said_GS: Floats, seen_GS: Floats, group: int) -> tuple[Floats, Floats, Floats, Floats]:
    inside, seen = said_GS[group], seen_GS[group]
    outside, seen_out = said_GS.sum(axis=0) - inside, seen_GS.sum(axis=0) - seen
    share = (inside + 1) / (seen + 2)
    ratio = share / ((outside + 1) / (seen_out + 2))
    return share, ratio, share_z(inside, seen), difference_z(inside, seen, outside, seen_out)


def _places(table_VS: Floats) -> Floats:
    seen_VS = ~np.isnan(table_VS)
    mean_S = np.where(seen_VS, table_VS, 0.0).sum(axis=0) / np.maximum(seen_VS.sum(axis=0), 1)
    apart_VS = np.where(seen_VS, table_VS - mean_S, 0.0)
    if not apart_VS.any():
        raise ValueError(f"all {len(table_VS)} voters vote alike on every statement, so there is one group alone")
    axis_SD = np.linalg.eigh(apart_VS.T @ apart_VS)[1][:, ::-1][:, :2]
    axis_SD = axis_SD * np.sign(axis_SD[np.abs(axis_SD).argmax(axis=0), np.arange(axis_SD.shape[1])])
    place_VD = apart_VS @ axis_SD
    if place_VD.shape[1] < 2:
        place_VD = np.column_stack([place_VD, np.zeros(len(place_VD))])
    return place_VD * np.sqrt(table_VS.shape[1] / np.maximum(seen_VS.sum(axis=1), 1))[:, None]


def _grouping(place_VD: Floats, most_groups: int, seed: int) -> tuple[float, dict[int, float], Labels]:
    different = len(np.unique(place_VD, axis=0))
    groups = {k: k_means(place_VD, k, seed=seed, starts=4) for k in range(2, min(most_groups, different - 1) + 1)}
    if not groups:
        raise ValueError(f"{different} different places of voters cannot be told apart as groups")
    silhouettes = {k: silhouette(place_VD, group_V) for k, group_V in groups.items()}
    best = max(silhouettes, key=lambda k: silhouettes[k])
    names, group_V = np.unique(groups[best], return_inverse=True)
    size = np.bincount(group_V, minlength=len(names))
    return silhouettes[best], silhouettes, np.argsort(np.argsort(-size, kind="stable"))[group_V]


def _shuffled(table_VS: Floats, rng: np.random.Generator) -> Floats:
    """The same votes on every statement, dealt out again to those who saw it."""
    dealt_VS = table_VS.copy()
    for column in dealt_VS.T:
        seen = np.flatnonzero(~np.isnan(column))
        column[seen] = column[rng.permutation(seen)]
    return dealt_VS
