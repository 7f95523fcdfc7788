"""In which order does a society put its alternatives, when each two were voted on? Borda, Copeland
and ranked pairs.

Each rule reads a matrix: `votes_KK[i, j]` is how many voters put i above j, fractions allowed (half
of a vote for each side is a tie, and nobody's vote on a pair is 0 against 0).

- **Borda** (1784): how often i beats another alternative, drawn at random; it asks for the mean of
  all pairs and so for votes on each of them.
- **Copeland** (1951): how many others i beats by a majority, half of one for each tie. A pair
  without votes is a tie.
- **Ranked pairs** (Tideman 1987): the majorities from the largest to the smallest, each kept unless
  it would close a circle with larger ones. Where majorities are equally large Tideman breaks the
  tie by an order drawn before; here they are looked at together, and one is kept unless it closes a
  circle with larger ones that were kept or with its equals. So the rule treats all alternatives
  alike, is Tideman's where no two majorities are equally large, and otherwise may leave two
  alternatives without an order.

Borda can put a reply that beats every other one second; Copeland and ranked pairs cannot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignwright.stats.arrays import Floats


def vote_shares(votes_KK: Floats) -> Floats:
    """The share of the votes on i and j that i has; 1/2 where nobody voted, and on the diagonal."""
    total_KK = votes_KK + votes_KK.T
    return np.divide(votes_KK, total_KK, out=np.full(votes_KK.shape, 0.5), where=total_KK > 0)


def unvoted(votes_KK: Floats) -> list[tuple[int, int]]:
    """The pairs on which nobody voted."""
    first_P, second_P = np.nonzero(np.triu(votes_KK + votes_KK.T == 0, 1))
    return list(zip(first_P.tolist(), second_P.tolist(), strict=True))


def borda(votes_KK: Floats) -> Floats:
    """The mean share of votes against each other alternative, between 0 and 1: the Borda score over
    K - 1 where every voter ranks everything. Raises ValueError for pairs without votes."""
    if missing := unvoted(votes_KK):
        raise ValueError(
            f"Borda compares each reply with the mean of all others, and on {len(missing)} of"
            f" {len(votes_KK) * (len(votes_KK) - 1) // 2} pairs nobody voted, such as {missing[0]} (counted from 0)"
        )
    return (vote_shares(votes_KK).sum(axis=1) - 0.5) / (len(votes_KK) - 1)


def copeland(votes_KK: Floats) -> Floats:
    """How many others each beats by a majority, and half of those it ties with."""
    beats_KK = votes_KK > votes_KK.T
    ties_KK = votes_KK == votes_KK.T
    return beats_KK.sum(axis=1) + 0.5 * (ties_KK.sum(axis=1) - 1.0)


def ranked_pairs(votes_KK: Floats) -> NDArray[np.bool_]:
    """Which alternatives are above which, in a relation without circles that is closed under
    chains."""
    margin_KK = votes_KK - votes_KK.T
    above_KK = np.zeros(margin_KK.shape, dtype=np.bool_)
    for margin in np.unique(margin_KK[margin_KK > 0])[::-1]:
        equals_KK = margin_KK == margin
        # 1. An equal that leads back to where another begins closes a circle with it, and is left out.
        circle_KK = closed(above_KK | equals_KK).T
        # 2. What was kept stays closed under chains, so that one look tells a circle.
        above_KK = closed(above_KK | (equals_KK & ~circle_KK))
    return above_KK


def closed(relation_KK: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The relation with all its chains."""
    reach_KK = relation_KK.copy()
    for k in range(len(reach_KK)):
        reach_KK |= reach_KK[:, k, None] & reach_KK[None, k, :]
    return reach_KK


def condorcet_winner(votes_KK: Floats) -> int | None:
    """The alternative that beats every other by a majority; None where there is none."""
    wins_K = (votes_KK > votes_KK.T).sum(axis=1)
    return int(wins_K.argmax()) if len(wins_K) and wins_K.max() == len(wins_K) - 1 else None
