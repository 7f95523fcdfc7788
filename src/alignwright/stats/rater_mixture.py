"""Do raters disagree by chance, or are they of several minds? A mixture of Bradley-Terry models over
raters, by expectation maximisation.

Every group g has utilities of its own, every rater belongs to one group, and who belongs where is not
known (MaxMin-RLHF, Chakraborty et al. 2024, arXiv 2402.08925). One step says from a rater's votes how
likely each group is, the other fits every group's utilities to the votes, weighted by that. It starts
from the raters' residuals against the model of one group, split by k-means, and from random splits; the
likeliest end is kept.

More groups always fit better, so the number is chosen on votes that were not fitted: a fold of each
rater's votes is held out, its group is told by the other votes, and a further group must predict the
held-out votes better by an interval over raters that excludes 0. Raters of one fit are not independent
of each other, which that interval does not see. What was left out: raters who share groups in part, and
utilities as a function of features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignwright.stats.bradley_terry_sparse import sparse_bradley_terry
from alignwright.stats.intervals import mean_interval
from alignwright.stats.k_means import k_means

if TYPE_CHECKING:
    from alignwright.stats.arrays import Floats
    from alignwright.stats.bradley_terry_sparse import Places

_STILL = 1e-6
"""The gain in log-likelihood, as a share of it, at which the climb ends."""


@dataclass(frozen=True)
class RaterVotes:
    """Votes: rater `rater_N` puts item `winner_N` above `loser_N` with probability `strength_N`."""

    rater_N: Places
    winner_N: Places
    loser_N: Places
    strength_N: Floats
    raters: int
    items: int

    def part(self, kept_N: Places) -> RaterVotes:
        """Some of the votes, of the same raters and items."""
        votes = (self.rater_N[kept_N], self.winner_N[kept_N], self.loser_N[kept_N], self.strength_N[kept_N])
        return RaterVotes(*votes, self.raters, self.items)


@dataclass(frozen=True)
class RaterMixture:
    """What every group prefers, how large it is and how likely every rater belongs to it."""

    utility_GI: Floats
    share_G: Floats
    member_RG: Floats
    loglik: float

    def accuracy(self, votes: RaterVotes, group_N: Places) -> float:
        """How often the group that is given for a vote puts the vote's preferred item first; ties are half."""
        gap_N = self.utility_GI[group_N, votes.winner_N] - self.utility_GI[group_N, votes.loser_N]
        gap_N = np.where(votes.strength_N >= 0.5, gap_N, -gap_N)
        return float(np.where(np.abs(gap_N) < 1e-9, 0.5, gap_N > 0).mean())


@dataclass(frozen=True)
class GroupCount:
    """How many groups there are, and what each further one gained: nats a held-out vote, mean over raters,
    with the limits of its interval."""

    groups: int
    gains: tuple[tuple[float, float, float], ...]

    @property
    def note(self) -> str:
        """What the count rests on, in one line."""
        gain, low, high = self.gains[-1]
        tried = len(self.gains) + 1
        what = "predicts" if tried == self.groups else "does not surely predict"
        return f"group {tried} {what} held-out votes better: {gain:+.4f} nats a vote [{low:+.4f}, {high:+.4f}]"


def rater_mixture(
    votes: RaterVotes, groups: int, *, prior: float = 0.5, starts: int = 3, seed: int = 0
) -> RaterMixture:
    """The likeliest mixture of `groups` groups, the largest first, with `prior` imagined wins and losses of every
    item in every group. Raises ValueError where there are fewer raters than groups."""
    present = len(np.unique(votes.rater_N))
    if not 1 <= groups <= present:
        raise ValueError(
            f"{present} raters with votes cannot be {groups} groups; give at most as many groups as raters"
        )
    if groups == 1:
        return _climb(votes, np.ones((votes.raters, 1)), prior)
    rng = np.random.default_rng(seed)
    splits = [_residual_split(votes, groups, prior, seed)]
    splits += [rng.integers(groups, size=votes.raters) for _ in range(starts - 1)]
    best = max((_climb(votes, np.eye(groups)[split], prior) for split in splits), key=lambda end: end.loglik)
    order = np.argsort(-best.share_G, kind="stable")
    return RaterMixture(best.utility_GI[order], best.share_G[order], best.member_RG[:, order], best.loglik)


def group_count(
    votes: RaterVotes, most: int, *, prior: float = 0.5, folds: int = 4, level: float = 0.95, seed: int = 0
) -> GroupCount:
    """How many groups held-out votes speak for, up to `most`. Raises ValueError where no two raters have two votes,
    for then nothing can be held out."""
    enough = np.bincount(votes.rater_N, minlength=votes.raters) >= 2
    if enough.sum() < 2:
        raise ValueError(
            f"{int(enough.sum())} of {votes.raters} raters have two votes or more, so that none can be held out to tell"
            " groups by; give more votes a rater"
        )
    fold_N = _folds(votes, folds, seed)
    before_R, gains = _held_out(votes, fold_N, 1, prior, seed), list[tuple[float, float, float]]()
    for groups in range(2, min(most, int(enough.sum())) + 1):
        after_R = _held_out(votes, fold_N, groups, prior, seed)
        estimate = mean_interval((after_R - before_R)[enough].tolist(), level=level)
        low, high = estimate.interval.low, estimate.interval.high
        limits = (-np.inf if low is None else low, np.inf if high is None else high)
        gains.append((float(np.mean((after_R - before_R)[enough])), *limits))
        if low is None or low <= 0:
            return GroupCount(groups - 1, tuple(gains))
        before_R = after_R
    return GroupCount(len(gains) + 1, tuple(gains))


def _climb(votes: RaterVotes, member_RG: Floats, prior: float) -> RaterMixture:
    seen_R = np.bincount(votes.rater_N, minlength=votes.raters) > 0
    loglik = -np.inf
    while True:
        utility_GI = np.array([_fit(votes, weight_R[votes.rater_N], prior) for weight_R in member_RG.T])
        share_G = np.maximum(member_RG[seen_R].mean(axis=0), 1e-12)
        joint_RG = np.log(share_G) + _vote_loglik(votes, utility_GI)
        total_R = np.logaddexp.reduce(joint_RG, axis=1)
        member_RG = np.exp(joint_RG - total_R[:, None])
        before, loglik = loglik, float(total_R[seen_R].sum())
        if loglik - before <= _STILL * max(1.0, abs(loglik)):
            return RaterMixture(utility_GI, share_G, member_RG, loglik)


def _fit(votes: RaterVotes, weight_N: Floats, prior: float) -> Floats:
    winner_N, loser_N = np.concatenate([votes.winner_N, votes.loser_N]), np.concatenate([votes.loser_N, votes.winner_N])
    both_N = np.concatenate([weight_N * votes.strength_N, weight_N * (1 - votes.strength_N)])
    kept_N = both_N > 1e-12
    if not kept_N.any():
        return np.zeros(votes.items)
    return sparse_bradley_terry(winner_N[kept_N], loser_N[kept_N], votes.items, weight_N=both_N[kept_N], prior=prior)


def _vote_loglik(votes: RaterVotes, utility_GI: Floats) -> Floats:
    """For every rater and group the log-likelihood of the rater's votes."""
    gap_GN = utility_GI[:, votes.winner_N] - utility_GI[:, votes.loser_N]
    loglik_GN = -votes.strength_N * np.logaddexp(0, -gap_GN) - (1 - votes.strength_N) * np.logaddexp(0, gap_GN)
    return np.array([np.bincount(votes.rater_N, row_N, votes.raters) for row_N in loglik_GN], dtype=np.float64).T


def _residual_split(votes: RaterVotes, groups: int, prior: float, seed: int) -> Places:
    utility_I = _fit(votes, np.ones(len(votes.rater_N)), prior)
    gap_N = utility_I[votes.winner_N] - utility_I[votes.loser_N]
    residual_N = votes.strength_N - 1 / (1 + np.exp(-gap_N))
    score_RI = np.zeros((votes.raters, votes.items))
    np.add.at(score_RI, (votes.rater_N, votes.winner_N), residual_N)
    np.add.at(score_RI, (votes.rater_N, votes.loser_N), -residual_N)
    main_RD = np.linalg.svd(score_RI, full_matrices=False)
    point_RD = main_RD[0][:, : groups - 1] * main_RD[1][: groups - 1]
    try:
        return k_means(point_RD, groups, seed=seed)
    except ValueError:  # raters without any difference: any split is as good
        return np.arange(votes.raters) % groups


def _folds(votes: RaterVotes, folds: int, seed: int) -> Places:
    """The fold of each vote: a rater's votes are dealt out as evenly as can be."""
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(votes.rater_N)), votes.rater_N))
    first_R = np.searchsorted(votes.rater_N[order], np.arange(votes.raters))
    start_R = rng.integers(folds, size=votes.raters)
    fold_N = np.empty(len(order), dtype=np.int64)
    rater_N = votes.rater_N[order]
    fold_N[order] = (np.arange(len(order)) - first_R[rater_N] + start_R[rater_N]) % folds
    return fold_N


def _held_out(votes: RaterVotes, fold_N: Places, groups: int, prior: float, seed: int) -> Floats:
    """For every rater the mean log-likelihood of its held-out votes, its group told by its others."""
    total_R = np.zeros(votes.raters)
    for fold in np.unique(fold_N):
        fit = rater_mixture(votes.part(np.flatnonzero(fold_N != fold)), groups, prior=prior, starts=2, seed=seed)
        out = votes.part(np.flatnonzero(fold_N == fold))
        joint_RG = np.log(np.maximum(fit.member_RG, 1e-300)) + _vote_loglik(out, fit.utility_GI)
        total_R += np.logaddexp.reduce(joint_RG, axis=1)
    return total_R / np.maximum(np.bincount(votes.rater_N, minlength=votes.raters), 1)
