"""In which order does a society put alternatives of which only some features count? A linear
Bradley-Terry model, which can put last what all prefer, and leximax Copeland, which cannot.

A reward model ranks replies by a function of what it sees of them, here a linear one. Maximum
likelihood then trades one pair for another, and may rank an alternative below one that every single
voter puts beneath it (Ge, Halpern, Micha, Procaccia, Shapira, Vorobeychik and Wu 2024, arXiv
2405.14758). Their remedy is leximax Copeland subject to Pareto: of the orders that some weights give
and that keep to every unanimous pair, the one whose first alternative has the highest Copeland score
that can be first, whose second has the highest that can then be second, and so on. Each place is found
by linear programs.

Alternatives with equal Copeland scores are told apart by how clearly weights can put them there, so that
the rule does not know their order. Left out on purpose: rewards that are not linear in the features.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from alignwright.stats.social_order import copeland

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignwright.stats.arrays import Floats

_CLEAR = 1e-9


def linear_bradley_terry(feature_KD: Floats, wins_KK: Floats) -> Floats:
    """The weights of maximum likelihood for rewards feature . weight, by Newton's method. Raises ValueError where
    the likelihood has no maximum."""
    gap_KKD = feature_KD[:, None, :] - feature_KD[None, :, :]
    weight_D = np.zeros(feature_KD.shape[1])
    for _ in range(100):
        lose_KK = 0.5 * (1.0 - np.tanh(0.5 * (gap_KKD @ weight_D)))
        gradient_D = np.einsum("kl,kld->d", wins_KK * lose_KK, gap_KKD)
        if np.abs(gradient_D).max() <= 1e-10 * wins_KK.sum():
            break
        curve_DD = np.einsum("kl,kld,kle->de", wins_KK * lose_KK * (1 - lose_KK), gap_KKD, gap_KKD)
        step_D = np.asarray(np.linalg.lstsq(curve_DD, gradient_D, rcond=None)[0], dtype=np.float64)
        weight_D = weight_D + step_D * min(1.0, 2.0 / max(float(np.abs(step_D).max()), 1e-300))
    if ((gap_KKD @ weight_D)[wins_KK > 0] > 0).all():
        raise ValueError("no finite weights: some weights order all votes rightly, so the likelihood rises without end")
    return weight_D


def leximax_copeland(
    votes_KK: Floats, unanimous_KK: NDArray[np.bool_], feature_KD: Floats | None = None
) -> tuple[int, ...]:
    """The alternatives from the first to the last. `unanimous_KK[i, j]`: whether every voter puts i above j;
    without features every order can be had. Raises ValueError where no order keeps to them all."""
    score_K, placed = copeland(votes_KK), list[int]()
    left = list(range(len(votes_KK)))
    while left:
        clear = {k: _can_be_next(k, left, placed, unanimous_KK, feature_KD) for k in left}
        able = [k for k in left if clear[k] > _CLEAR]
        if not able:
            what = "the features tell" if feature_KD is not None else "there is"
            why = f"{what} no order in which {_names(left)} could follow {_names(placed) or 'nothing'}"
            raise ValueError(f"leximax Copeland: {why} without breaking a pair on which all voters agree")
        best = max(able, key=lambda k: (score_K[k], clear[k]))
        placed.append(best)
        left.remove(best)
    return tuple(placed)


def _can_be_next(
    k: int, left: Sequence[int], placed: Sequence[int], unanimous_KK: NDArray[np.bool_], feature_KD: Floats | None
) -> float:
    """By which margin, for weights between -1 and 1, k can come next; not above 0 where it cannot."""
    if any(unanimous_KK[other, k] for other in left if other != k):
        return 0.0
    if feature_KD is None:
        return 1.0
    order = [*placed, k]
    above = list(pairwise(order)) + [(k, other) for other in left if other != k]
    above += [(int(i), int(j)) for i, j in np.argwhere(unanimous_KK)]
    if not above:
        return 1.0
    gap_PD = np.array([feature_KD[i] - feature_KD[j] for i, j in above])
    optimize: Any = importlib.import_module("scipy.optimize")  # loaded here, so that reading a report needs no scipy
    bounds = [(-1.0, 1.0)] * gap_PD.shape[1] + [(None, None)]
    solution = optimize.linprog(
        np.append(np.zeros(gap_PD.shape[1]), -1.0), A_ub=np.column_stack((-gap_PD, np.ones(len(gap_PD)))),
        b_ub=np.zeros(len(gap_PD)), bounds=bounds, method="highs",
    )  # fmt: skip
    return float(solution.x[-1])


def _names(places: Sequence[int]) -> str:
    return ", ".join(map(str, places))
