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

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from alignwright.core.records import Comparison, Preference, Vote

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignwright.stats.arrays import Floats


_BY_PRINCIPLE = ("written", "contrast", "judge", "critique", "deliberate")
"""The voters whose reasons are slugs of principles; what others give as a reason is a check's
name, or prose."""


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


def bradley_terry(wins_KK: Floats) -> Floats:
    """Maximum-likelihood utilities for `wins_KK[i, j]`, the (fractional) wins of i over j.
    Raises ValueError where they are not finite."""
    # 1. Without a chain of wins from every reply to every other the likelihood has no maximum.
    if not _connected(wins_KK):
        raise ValueError(
            "no finite Bradley-Terry utilities: some replies never lost to the others, or never met them; use a prior"
            " above 0"
        )
    # 2. Newton's method: the log-likelihood is concave, so it has one maximum up to a constant.
    games_KK, utility_K = wins_KK + wins_KK.T, np.zeros(len(wins_KK))
    gradient_K = _gradient(wins_KK, games_KK, utility_K)
    for _ in range(200):
        if np.abs(gradient_K).max() <= 1e-12 * games_KK.sum():
            break
        p_KK = _chances(utility_K)
        hessian_KK = -games_KK * p_KK * (1 - p_KK)
        np.fill_diagonal(hessian_KK, -hessian_KK.sum(axis=1) + np.diag(hessian_KK))
        step_K = _newton_step(hessian_KK, gradient_K)
        # a Newton step longer than this can overshoot where the likelihood is flat
        utility_K = utility_K + step_K * min(1.0, 2.0 / max(float(np.abs(step_K).max()), 1e-300))
        gradient_K = _gradient(wins_KK, games_KK, utility_K)
    # 3. The constant is free: utilities sum to 0.
    return utility_K - utility_K.mean()


def _newton_step(hessian_KK: Floats, gradient_K: Floats) -> Floats:
    """The pseudo-inverse times the gradient. All utilities moved alike change nothing and the
    gradient has no such part, so a constant added to the matrix makes it invertible and leaves
    the step as it is."""
    size = len(hessian_KK)
    try:
        return np.linalg.solve(hessian_KK + np.trace(hessian_KK) / size**2, gradient_K)
    except np.linalg.LinAlgError:
        return np.linalg.pinv(hessian_KK, hermitian=True) @ gradient_K


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
        for preference in _preferences(comparison, votes, pairs, 1.0 / (len(sure) * len(pairs)))
    ]


def _sure_pairs(replies: int, votes: Sequence[Vote], prior: float, min_strength: float) -> list[tuple[int, int, float]]:
    """The pairs that these votes are sure enough of, the better reply first, with the chance
    that it is."""
    chance_KK = _chances(bradley_terry(_wins(replies, votes, prior)))
    first_P, second_P = np.triu_indices(replies, 1)
    swap_P = chance_KK[first_P, second_P] < chance_KK[second_P, first_P]
    better_P, worse_P = np.where(swap_P, second_P, first_P), np.where(swap_P, first_P, second_P)
    strength_P = chance_KK[better_P, worse_P]
    sure_P = (strength_P >= min_strength) & (strength_P > 0.5)
    return list(zip(better_P[sure_P].tolist(), worse_P[sure_P].tolist(), strength_P[sure_P].tolist(), strict=True))


def _preferences(
    comparison: Comparison, votes: Sequence[Vote], pairs: Sequence[tuple[int, int, float]], weight: float
) -> list[Preference]:
    decided = _DecidingVotes(votes)
    voters, texts = tuple(dict.fromkeys(vote.voter for vote in votes)), [reply.text for reply in comparison.replies]
    shared = Preference(
        prompt=comparison.prompt, chosen="", rejected="", weight=weight, voters=voters, parent=comparison.key
    )
    return [
        shared.model_copy(  # thousands of pairs share one list of voters
            update={
                "chosen": texts[i],
                "rejected": texts[j],
                "strength": strength,
                "group": decided.group(i, j),
                "principles": decided.principles(i, j),
            }
        )
        for i, j, strength in pairs
    ]


class _DecidingVotes:
    """Whose votes decided a pair, and in whose name. A pair that nobody voted on was decided by
    votes on others: all of them."""

    def __init__(self, votes: Sequence[Vote]) -> None:
        self.votes = votes
        self.on: dict[frozenset[int], list[int]] = {}
        self.for_reply: dict[int, list[int]] = {}
        self.against_reply: dict[int, list[int]] = {}
        for place, vote in enumerate(votes):
            self.on.setdefault(frozenset((vote.prefers, vote.over)), []).append(place)
            if vote.strength != 0.5 and vote.voter.split(":")[0] in _BY_PRINCIPLE:
                prefers, over = (vote.prefers, vote.over) if vote.strength > 0.5 else (vote.over, vote.prefers)
                self.for_reply.setdefault(prefers, []).append(place)
                self.against_reply.setdefault(over, []).append(place)
        self.of_all = _common_group(votes)

    def group(self, i: int, j: int) -> str:
        """The group that cast all the deciding votes; "" when they are of several groups or of none."""
        on = self.on.get(frozenset((i, j)))
        return self.of_all if on is None else _common_group([self.votes[place] for place in on])

    def principles(self, i: int, j: int) -> tuple[str, ...]:
        """The slugs in whose name votes raised reply i or lowered reply j, in the order of the votes."""
        siding = {*self.for_reply.get(i, ()), *self.against_reply.get(j, ())}
        if siding and (on := self.on.get(frozenset((i, j)))) is not None:
            siding.intersection_update(on)
        return tuple(dict.fromkeys(slug for place in sorted(siding) for slug in _slugs(self.votes[place].reason)))


def _common_group(votes: Sequence[Vote]) -> str:
    groups = {vote.group for vote in votes}
    return groups.pop() if len(groups) == 1 else ""


def _slugs(reason: str) -> Iterable[str]:
    return (slug for part in reason.split(",") if (slug := part.strip()))


def _chances(utility_K: Floats) -> Floats:
    """P(i beats j) for every two."""
    gap_KK = utility_K[:, None] - utility_K[None, :]
    return 0.5 * (1.0 + np.tanh(0.5 * gap_KK))


def _gradient(wins_KK: Floats, games_KK: Floats, utility_K: Floats) -> Floats:
    return (wins_KK - games_KK * _chances(utility_K)).sum(axis=1)


def _connected(wins_KK: Floats) -> bool:
    """Whether every reply has beaten every other, directly or through a chain: what makes the
    utilities finite (Ford 1957)."""
    beaten_KK = wins_KK > 0
    return _reaches_all(beaten_KK) and _reaches_all(beaten_KK.T)


def _reaches_all(beaten_KK: NDArray[np.bool_]) -> bool:
    """Whether a chain of wins leads from the first reply to every other."""
    reached_K = np.arange(len(beaten_KK)) == 0
    new_K = reached_K
    while new_K.any():
        new_K = beaten_KK[new_K].any(axis=0) & ~reached_K
        reached_K = reached_K | new_K
    return bool(reached_K.all())
