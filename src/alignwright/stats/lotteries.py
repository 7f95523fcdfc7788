"""With which chances should an alternative be drawn, when no single one is fair? Maximal, maximin and
proportional lotteries.

A lottery is a chance for each of K alternatives. Three of them, each the solution of a convex problem:

- **maximal** (Kreweras 1965, Fishburn 1984; Nash learning from human feedback, arXiv 2312.00886):
  against every alternative it wins at least half of the votes; the optimal strategy of the game of
  pairwise votes. All on the Condorcet winner where there is one.
- **maximin** (MaxMin-RLHF, arXiv 2402.08925): the worst-off group's expected utility is as large as
  it can be.
- **proportional**: the weighted product of the groups' expected utilities is as large as it can be
  (the maximum of Nash welfare; Fain, Goel and Munagala 2016, arXiv 1604.00435, show that no
  coalition could do better with its own share of the chances).

Several lotteries can be optimal. Of them the one of least norm is given: it is one alone, and equals
get equal chances, so an order of the alternatives decides nothing. Of maximin lotteries those with the
largest mean utility are preferred first, so that nobody is worse off for nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from alignwright.stats.arrays import Floats

_SLACK = 1e-9
_SMALLEST = 1e-7
"""A smaller chance is none."""


def maximal_lottery(margin_KK: Floats) -> Floats:
    """The lottery that no alternative beats; `margin_KK[i, j]` = -`margin_KK[j, i]` is by how much
    i beats j. Raises ValueError where the margins are not antisymmetric."""
    if not np.allclose(margin_KK, -margin_KK.T):
        raise ValueError("a maximal lottery is of margins: what i has over j, j lacks against i")
    scale = float(np.abs(margin_KK).max(initial=0.0))
    if scale == 0:
        return np.full(len(margin_KK), 1.0 / len(margin_KK))
    margin_KK = margin_KK / scale
    lottery_K = _game_lottery(margin_KK)
    return lottery_K if _alone(margin_KK, lottery_K) else _least_norm(margin_KK.T, np.zeros(len(margin_KK)))


def maximin_lottery(utility_GK: Floats, weight_G: Floats) -> Floats:
    """The lottery with the best worst-off group; among these the best weighted mean, among these the
    least norm."""
    groups, size = len(utility_GK), utility_GK.shape[1]
    simplex = {"A_eq": np.r_[np.ones(size), 0.0][None], "b_eq": [1.0], "bounds": [(0, None)] * size + [(None, None)]}
    # 1. The largest v that every group reaches.
    floor_GV = np.c_[-utility_GK, np.ones(groups)]
    worst = _optimize().linprog(
        np.r_[np.zeros(size), -1.0], A_ub=floor_GV, b_ub=np.zeros(groups), method="highs", **simplex
    )
    value = float(worst.x[-1])
    # 2. The largest mean with that worst.
    mean_K: Floats = weight_G @ utility_GK / float(weight_G.sum())
    kept = _optimize().linprog(
        np.r_[-mean_K, 0.0], A_ub=np.c_[-utility_GK, np.zeros(groups)], b_ub=np.full(groups, _SLACK - value),
        method="highs", **simplex,
    )  # fmt: skip
    # 3. Equals alike.
    floors = np.append(np.ones(groups) * value, -float(kept.fun))
    for slack in (_SLACK, 100 * _SLACK, 1e4 * _SLACK):  # the less room, the worse conditioned
        try:
            return _least_norm(np.vstack((utility_GK, mean_K)) - (floors - slack)[:, None], np.zeros(groups + 1))
        except ValueError:
            continue
    return _cleaned(np.asarray(kept.x[:-1], dtype=np.float64))  # the optimum is so narrow that none is more even


def proportional_lottery(utility_GK: Floats, weight_G: Floats) -> Floats:
    """The lottery of maximum Nash welfare: sum_g w_g log(p . u_g), by Newton's method inside the
    simplex with a barrier that is lowered. Raises ValueError where a group has no utility above 0."""
    if (utility_GK < 0).any() or (utility_GK.max(axis=1) <= 0).any():
        raise ValueError("Nash welfare is a product: every group needs utilities of 0 and more, and one above 0")
    size = utility_GK.shape[1]
    share_G: Floats = weight_G / float(weight_G.sum())
    p_K: Floats = np.ones(size) / size
    for digits in range(1, 13):
        for _ in range(100):
            p_K, decrement = _inner_step(utility_GK, share_G, p_K, barrier=0.1**digits)
            if decrement < 1e-6 * 0.1**digits:
                break
    return _cleaned(p_K)


def _inner_step(utility_GK: Floats, share_G: Floats, p_K: Floats, barrier: float) -> tuple[Floats, float]:
    """One step of Newton's on sum_g w_g log(p . u_g) + barrier * sum_k log p_k, within the simplex,
    and how much was left to gain, twice over."""
    gain_G = utility_GK @ p_K
    gradient_K = utility_GK.T @ (share_G / gain_G) + barrier / p_K
    curve_KK = (utility_GK.T * (share_G / gain_G**2)) @ utility_GK + np.diag(barrier / p_K**2)
    solution = np.asarray(np.linalg.solve(curve_KK, np.column_stack((gradient_K, np.ones(len(p_K))))), dtype=np.float64)
    free_K, even_K = solution[:, 0], solution[:, 1]
    step_K = free_K - even_K * float(free_K.sum()) / float(even_K.sum())
    shrinks = step_K < 0
    longest = float((-p_K[shrinks] / step_K[shrinks]).min(initial=np.inf))
    next_K = p_K + min(1.0, 0.95 * longest) * step_K
    return next_K / float(next_K.sum()), float(step_K @ curve_KK @ step_K)


def _game_lottery(margin_KK: Floats) -> Floats:
    """Some optimal lottery of the game: that of a few alternatives, to which those are added that beat it
    (McMahan, Gordon and Blum 2003), for most of many are never drawn."""
    size = len(margin_KK)
    few_S = np.array([int((margin_KK > 0).sum(axis=1).argmax())])
    while len(few_S) < size // 2:
        lottery_K = np.zeros(size)
        lottery_K[few_S] = _least_norm(margin_KK[np.ix_(few_S, few_S)].T, np.zeros(len(few_S)))
        against_K = margin_KK.T @ lottery_K
        if against_K.min() > -_SLACK:
            return lottery_K
        beaten_by = np.argsort(against_K)[:10]
        few_S = np.union1d(few_S, beaten_by[against_K[beaten_by] <= -_SLACK])
    solution = _optimize().linprog(
        np.zeros(size), A_ub=-margin_KK.T, b_ub=np.zeros(size), A_eq=np.ones((1, size)), b_eq=[1.0], method="highs"
    )
    return _cleaned(solution.x)


def _alone(margin_KK: Floats, lottery_K: Floats) -> bool:
    """Whether this optimal lottery is the only one: every other draws from the alternatives that do
    as well against it, and ties with each that it draws."""
    drawn_K = lottery_K > 0
    if ((margin_KK.T @ lottery_K)[~drawn_K] < _SLACK).any():
        return False
    within = np.linalg.svd(margin_KK[np.ix_(drawn_K, drawn_K)], compute_uv=False)
    return len(within) == 1 or bool(within[-2] > _SLACK)


def _least_norm(rows_CK: Floats, floor_C: Floats) -> Floats:
    """The lottery of least norm with rows . p >= floor: the dual of this quadratic program is one of
    nonnegative least squares (least distance programming; Lawson and Hanson 1974, chapter 23)."""
    optimize, size = _optimize(), rows_CK.shape[1]
    # p >= 0, and a sum of at least 1: of all such p the one of least norm sums to 1.
    left_CK = np.r_[rows_CK, np.eye(size), np.ones((1, size))]
    right_C = np.r_[floor_C, np.zeros(size), 1.0]
    system, target = np.r_[left_CK.T, right_C[None]], np.r_[np.zeros(size), 1.0]
    # SciPy's nnls is quick, and now and then ends far from the minimum without a word: its conditions are checked
    dual_C, _ = optimize.nnls(system, target, maxiter=50 * len(right_C))
    if not _is_minimum(system, target, dual_C):
        dual_C = optimize.lsq_linear(system, target, bounds=(0.0, np.inf), method="bvls", max_iter=50 * len(right_C)).x
    if not _is_minimum(system, target, dual_C):
        raise ValueError(f"no lottery of least norm over {size} alternatives was found to {_SLACK:g}")
    residual = system @ dual_C - target
    return _cleaned(-residual[:size] / residual[size])


def _is_minimum(system: Floats, target: Floats, dual_C: Floats) -> bool:
    """The conditions of Karush, Kuhn and Tucker for nonnegative least squares."""
    gradient_C = system.T @ (system @ dual_C - target)
    within = _SLACK * max(1.0, float(dual_C.max()))
    return bool(gradient_C.min() > -_SLACK and np.abs(gradient_C * dual_C).max() < within)


def _cleaned(p_K: Floats) -> Floats:
    """Chances of no size are none, and they sum to 1."""
    p_K = np.where(p_K < _SMALLEST, 0.0, p_K)
    return p_K / p_K.sum()


def _optimize() -> Any:
    return importlib.import_module("scipy.optimize")  # loaded here, so that reading a report needs no scipy
