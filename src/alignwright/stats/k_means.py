"""Which points lie together, and into how many groups do they fall? K-means, and the silhouette that says
how well a grouping fits.

Lloyd's iterations from starts that are drawn apart from each other (k-means++, Arthur and Vassilvitskii
2007); of several starts the tightest grouping is kept. The silhouette (Rousseeuw 1987) of a point is
(b - a) / max(a, b), where a is its mean distance to its own group and b that to the nearest other one:
1 is far apart, 0 is between two groups. A point that is a group alone counts 0. It needs two groups, so
that it cannot say that there is one alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignwright.stats.arrays import Floats

    Labels = NDArray[np.integer[Any]]

_ITERATIONS = 200


def k_means(point_ND: Floats, groups: int, *, starts: int = 8, seed: int = 0) -> Labels:
    """The group of every point. Raises ValueError where there are fewer different points than groups."""
    different = len(np.unique(point_ND, axis=0))
    if not 1 <= groups <= different:
        raise ValueError(f"{different} different points cannot be {groups} groups")
    rng = np.random.default_rng(seed)
    runs = [_lloyd(point_ND, _spread(point_ND, groups, rng)) for _ in range(starts if groups > 1 else 1)]
    return min(runs, key=lambda run: run[0])[1]


def silhouette(point_ND: Floats, group_N: Labels) -> float:
    """The mean silhouette of the points. Raises ValueError where they are one group."""
    names, place_N = np.unique(group_N, return_inverse=True)
    if len(names) < 2:
        raise ValueError("a silhouette compares groups, and there is one alone")
    member_NK = np.eye(len(names))[place_N]
    size_K = member_NK.sum(axis=0)
    total_NK = _distances(point_ND, point_ND) @ member_NK
    own_N = np.take_along_axis(total_NK, place_N[:, None], axis=1)[:, 0] / np.maximum(size_K[place_N] - 1, 1)
    other_N = np.where(member_NK > 0, np.inf, total_NK / size_K).min(axis=1)
    larger_N = np.maximum(own_N, other_N)
    value_N = np.divide(other_N - own_N, larger_N, out=np.zeros(len(own_N)), where=larger_N > 0)
    return float(np.where(size_K[place_N] > 1, value_N, 0.0).mean())


def _spread(point_ND: Floats, groups: int, rng: np.random.Generator) -> Floats:
    centres = [point_ND[rng.integers(len(point_ND))]]
    while len(centres) < groups:
        square_N = (_distances(point_ND, np.array(centres)) ** 2).min(axis=1)
        centres.append(point_ND[rng.choice(len(point_ND), p=square_N / square_N.sum())])
    return np.array(centres)


def _lloyd(point_ND: Floats, centre_KD: Floats) -> tuple[float, Labels]:
    group_N = _distances(point_ND, centre_KD).argmin(axis=1)
    for _ in range(_ITERATIONS):
        centre_KD = np.array(
            [point_ND[group_N == k].mean(axis=0) if (group_N == k).any() else c for k, c in enumerate(centre_KD)]
        )
        nearer_N = _distances(point_ND, centre_KD).argmin(axis=1)
        if (nearer_N == group_N).all():
            break
        group_N = nearer_N
    return float(((point_ND - centre_KD[group_N]) ** 2).sum()), group_N


def _distances(one_ND: Floats, two_MD: Floats) -> Floats:
    square_NM = (one_ND**2).sum(axis=1)[:, None] + (two_MD**2).sum(axis=1)[None, :] - 2 * one_ND @ two_MD.T
    return np.sqrt(np.maximum(square_NM, 0.0))
