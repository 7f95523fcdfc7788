"""What do all votes together prefer, when every vote counts alike?

All votes of all voters on a comparison go into one pot: a vote of strength s for i over j adds s to i's wins over j and 1 - s to j's.
Bradley-Terry utilities are fitted to the pot by maximum likelihood, with `prior` imagined wins either way on every two replies, which
keeps them finite and sends a pair without votes to 1/2. With two replies this is (prior + votes for) / (2 prior + votes), and the prior
of 1/2 is Jeffreys': one certain vote is believed to 3/4, five to 11/12.

Bradley-Terry ranks as Borda does where everybody compares everything (Siththaranjan, Laidlaw and Hadfield-Menell 2023, arXiv
2312.08358): it may reject the reply that a majority prefers to each other one, and a cycle of majorities comes out as a tie.
In one pot a large group outvotes a small one. With `by_group` each group of voters has a pot, and its preferences carry its name to the
loss; voters without a group are a group. Opposed groups then both teach, and neither is lost in an average.

Every pair that is sure enough becomes a preference. They share a weight of 1 per comparison, so that a prompt with many replies
teaches no louder than one with two; groups that are sure of something share it equally, however many votes each cast.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from alignwright.core.records import Comparison, Preference, Vote

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


_BY_PRINCIPLE = ("written", "contrast", "judge", "critique", "deliberate")
"""The voters whose reasons are slugs of principles; what others give as a reason is a check's name, or prose."""


def pooled(comparisons: Sequence[Comparison], *, prior: float = 0.5, min_strength: float = 0.6, by_group: bool = False) -> list[Preference]:
    """The preferences, in order; comparisons without votes or without a sure enough pair give none."""
    if prior < 0 or not 0.5 <= min_strength <= 1:
        raise ValueError(f"pooled: prior {prior} must be 0 or more, and min_strength {min_strength} between 0.5 and 1")
    if by_group and not any(vote.group for comparison in comparisons for vote in comparison.votes):
        votes = sum(len(comparison.votes) for comparison in comparisons)
        raise ValueError(f"pooled by_group: none of {votes} votes names a group, so there are no groups to keep apart; leave 'by_group' out")
    return [preference for comparison in comparisons for preference in _of_comparison(comparison, prior, min_strength, by_group)]


def utilities(comparison: Comparison, prior: float = 0.5) -> tuple[float, ...]:
    """The replies' Bradley-Terry utilities in nats, summing to 0."""
    wins_KK = np.full((len(comparison.replies),) * 2, prior)
    np.fill_diagonal(wins_KK, 0.0)
    for vote in comparison.votes:
        wins_KK[vote.prefers, vote.over] += vote.strength
        wins_KK[vote.over, vote.prefers] += 1.0 - vote.strength
    return tuple(bradley_terry(wins_KK).tolist())


def bradley_terry(wins_KK: Floats) -> Floats:
    """Maximum-likelihood utilities for `wins_KK[i, j]`, the (fractional) wins of i over j. Raises ValueError where they are not finite."""
    if not _connected(wins_KK):
        raise ValueError("no finite Bradley-Terry utilities: some replies never lost to the others, or never met them; use a prior above 0")
    games_KK, utility_K = wins_KK + wins_KK.T, np.zeros(len(wins_KK))
    gradient_K = _gradient(wins_KK, games_KK, utility_K)
    for _ in range(200):
        if np.abs(gradient_K).max() <= 1e-12 * games_KK.sum():
            break
        p_KK = _chances(utility_K)
        hessian_KK = -games_KK * p_KK * (1 - p_KK)
        np.fill_diagonal(hessian_KK, -hessian_KK.sum(axis=1) + np.diag(hessian_KK))
        step_K = np.linalg.pinv(hessian_KK, hermitian=True) @ gradient_K
        # a Newton step longer than this can overshoot where the likelihood is flat
        utility_K = utility_K + step_K * min(1.0, 2.0 / max(float(np.abs(step_K).max()), 1e-300))
        gradient_K = _gradient(wins_KK, games_KK, utility_K)
    return utility_K - utility_K.mean()


def _of_comparison(comparison: Comparison, prior: float, min_strength: float, by_group: bool) -> list[Preference]:
    groups = dict.fromkeys(vote.group for vote in comparison.votes)
    pots = [tuple(v for v in comparison.votes if v.group == group) for group in groups] if by_group else [comparison.votes]
    found = [_of_pot(comparison.model_copy(update={"votes": pot}), prior, min_strength) for pot in pots if pot]
    sure = [preferences for preferences in found if preferences]
    return [p.model_copy(update={"weight": 1.0 / (len(sure) * len(preferences))}) for preferences in sure for p in preferences]


def _of_pot(comparison: Comparison, prior: float, min_strength: float) -> list[Preference]:
    """The pairs that these votes are sure enough of, not yet weighed."""
    chance_KK = _chances(np.array(utilities(comparison, prior)))
    pairs = [(i, j) if chance_KK[i, j] >= chance_KK[j, i] else (j, i) for i, j in combinations(range(len(comparison.replies)), 2)]
    return [
        Preference(
            prompt=comparison.prompt,
            chosen=comparison.replies[i].text,
            rejected=comparison.replies[j].text,
            strength=float(chance_KK[i, j]),
            group=_common_group(_on(comparison.votes, i, j)),
            voters=tuple(dict.fromkeys(vote.voter for vote in comparison.votes)),
            principles=_principles(_on(comparison.votes, i, j), i, j),
            parent=comparison.key,
        )
        for i, j in pairs
        if chance_KK[i, j] >= min_strength and chance_KK[i, j] > 0.5
    ]


def _on(votes: Sequence[Vote], i: int, j: int) -> list[Vote]:
    """The votes on this pair. A pair that nobody voted on was decided by votes on others: all of them."""
    return [vote for vote in votes if {vote.prefers, vote.over} == {i, j}] or list(votes)


def _common_group(votes: Sequence[Vote]) -> str:
    """The group that cast all these votes; "" when they are of several groups or of none."""
    groups = {vote.group for vote in votes}
    return groups.pop() if len(groups) == 1 else ""


def _principles(votes: Sequence[Vote], i: int, j: int) -> tuple[str, ...]:
    """The slugs in whose name votes raised reply i or lowered reply j, in the order of the votes."""
    siding = [vote for vote in votes if (_winner(vote) == i or _loser(vote) == j) and vote.strength != 0.5]
    return tuple(dict.fromkeys(slug for vote in siding if vote.voter.split(":")[0] in _BY_PRINCIPLE for slug in _slugs(vote.reason)))


def _winner(vote: Vote) -> int:
    return vote.prefers if vote.strength >= 0.5 else vote.over


def _loser(vote: Vote) -> int:
    return vote.over if vote.strength >= 0.5 else vote.prefers


def _slugs(reason: str) -> Iterable[str]:
    return (slug for part in reason.split(",") if (slug := part.strip()))


def _chances(utility_K: Floats) -> Floats:
    """P(i beats j) for every two."""
    gap_KK = utility_K[:, None] - utility_K[None, :]
    return 0.5 * (1.0 + np.tanh(0.5 * gap_KK))


def _gradient(wins_KK: Floats, games_KK: Floats, utility_K: Floats) -> Floats:
    return (wins_KK - games_KK * _chances(utility_K)).sum(axis=1)


def _connected(wins_KK: Floats) -> bool:
    """Whether every reply has beaten every other, directly or through a chain: what makes the utilities finite (Ford 1957)."""
    reach_KK = (wins_KK > 0) | np.eye(len(wins_KK), dtype=bool)
    for _ in range(len(wins_KK)):
        reach_KK = (reach_KK.astype(int) @ reach_KK.astype(int)) > 0
    return bool(reach_KK.all())
