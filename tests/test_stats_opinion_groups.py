"""Are planted groups of voters told apart, and are Polis' formulas Polis' own?"""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from real_data import real

from alignwright.stats.opinion_groups import (
    StatementCounts,
    difference_z,
    opinion_groups,
    representative,
    share_z,
    statement_counts,
)


def two_camps(seed: int = 0, split: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """60 and 30 voters on 20 statements: 0-9 divide the camps, 10-14 all like, 15-19 nobody likes; 40 % unseen."""
    rng = np.random.default_rng(seed)
    camp_V = np.repeat([0, 1], [60, 30])
    agree_GS = np.full((2, 20), 0.5)
    if split:
        agree_GS[0, :10], agree_GS[1, :10] = 0.9, 0.1
    agree_GS[:, 10:15], agree_GS[:, 15:] = 0.9, 0.1
    vote_VS = np.where(rng.random((90, 20)) < agree_GS[camp_V], 1.0, -1.0)
    vote_VS[rng.random((90, 20)) < 0.4] = np.nan
    return vote_VS, camp_V


def test_camps_are_told_apart_and_their_bridges_with_them():
    vote_VS, camp_V = two_camps()
    groups = opinion_groups(vote_VS)
    assert groups.groups == 2
    assert groups.chance == 0.1  # the least that 9 shuffles can say
    known_V = groups.group_V >= 0
    assert (groups.group_V[known_V] == camp_V[known_V]).mean() > 0.95
    counts = statement_counts(vote_VS, groups.group_V)
    assert set(counts.bridging()) == set(range(10, 15))
    assert set(np.argsort(-counts.consensus())[:5].tolist()) == set(range(10, 15))
    assert {row.statement for row in representative(counts, 0, 10)} <= set(range(10))
    assert [row.agrees for row in representative(counts, 0)] == [True] * 5
    assert not any(row.agrees for row in representative(counts, 1))


def test_noise_is_grouped_no_better_than_its_shuffle():
    assert opinion_groups(two_camps(split=False)[0]).chance > 0.1


def test_with_the_sign_turned_all_that_bridges_divides():
    """The sign trap: a matrix in which agree is -1, read as if it were 1."""
    vote_VS, _ = two_camps()
    groups = opinion_groups(-vote_VS)
    assert set(statement_counts(-vote_VS, groups.group_V).bridging()) == set(range(15, 20))


def test_the_formulas_by_hand():
    counts = StatementCounts(np.array([[8.0], [3.0]]), np.array([[1.0], [1.0]]), np.array([[10.0], [4.0]]))
    assert counts.consensus() == pytest.approx([9 / 12 * 4 / 6])
    assert share_z(np.array(8.0), np.array(10.0)) == pytest.approx(2 * math.sqrt(11) * (9 / 11 - 0.5))
    pooled = 13 / 16
    error = math.sqrt(pooled * (1 - pooled) * (1 / 11 + 1 / 5))
    z = difference_z(np.array(8.0), np.array(10.0), np.array(3.0), np.array(4.0))
    assert z == pytest.approx((9 / 11 - 4 / 5) / error)


def test_who_cannot_be_grouped_is_said():
    with pytest.raises(ValueError, match="0 of 90 voters have 50 votes or more"):
        opinion_groups(two_camps()[0], least_votes=50)
    with pytest.raises(ValueError, match="vote alike on every statement"):
        opinion_groups(np.ones((10, 8)))


@pytest.mark.data
def test_the_real_conversation_falls_into_the_groups_that_polis_published():
    """brexit-consensus: agree is 1 in the export (its totals say so), and the groups are Polis'."""
    folder = real("polis/brexit-consensus")
    with (folder / "participants-votes.csv").open() as file:
        rows = list(csv.DictReader(file))
    with (folder / "comments.csv").open() as file:
        totals = {row["comment-id"]: (int(row["agrees"]), int(row["disagrees"])) for row in csv.DictReader(file)}
    votes = np.array([[float(row[key]) if row[key] else np.nan for key in totals] for row in rows])
    counted = [(int((column > 0).sum()), int((column < 0).sum())) for column in votes.T]
    alike = sum(ours == total for ours, total in zip(counted, totals.values(), strict=True))
    turned = sum(ours[::-1] == total != ours for ours, total in zip(counted, totals.values(), strict=True))
    assert alike > 35
    assert turned == 0
    assert max(opinion_groups(votes, shuffles=0).silhouettes) == 5
    groups = opinion_groups(votes, most_groups=2)  # by the silhouette three groups are as good: 0.437 to 0.426
    theirs = np.array([int(row["group-id"]) if row["group-id"] else -1 for row in rows])
    both = (theirs >= 0) & (groups.group_V >= 0)
    assert groups.chance == 0.1
    same = (groups.group_V[both] == theirs[both]).mean()
    assert max(same, 1 - same) > 0.9
