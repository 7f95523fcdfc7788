"""By which utilities were contests won, if each won with the chance that a difference of utilities
gives? The maximum likelihood of Bradley and Terry (1952).

P(i beats j) = 1 / (1 + exp(u_j - u_i)). The log-likelihood is concave in the utilities and unchanged
when all move alike, so it has one maximum up to a constant, if it has any: without a chain of wins
from every one to every other it rises without end (Ford 1957), which is an error here and never a
large number. Wins may be fractions: a vote of strength s is s of a win and 1 - s of a loss.

Contests are a dense K by K matrix here, for the replies to one prompt; see `bradley_terry_sparse`
for thousands of items of which few met.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignwright.stats.arrays import Floats


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
        p_KK = win_chances(utility_K)
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
    shift = float(np.diagonal(hessian_KK).sum()) / len(hessian_KK) ** 2
    try:
        return np.asarray(np.linalg.solve(hessian_KK + shift, gradient_K), dtype=np.float64)
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.pinv(hessian_KK, hermitian=True), dtype=np.float64) @ gradient_K


def win_chances(utility_K: Floats) -> Floats:
    """P(i beats j) for every two."""
    gap_KK = utility_K[:, None] - utility_K[None, :]
    return 0.5 * (1.0 + np.tanh(0.5 * gap_KK))


def _gradient(wins_KK: Floats, games_KK: Floats, utility_K: Floats) -> Floats:
    return (wins_KK - games_KK * win_chances(utility_K)).sum(axis=1)


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
