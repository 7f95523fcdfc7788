"""How strong are thousands of items of which each met only a few others? Bradley-Terry by maximum
likelihood over a sparse graph of contests.

The same model and the same maximum as `bradley_terry`, for data that no matrix of all pairs would hold:
a million comparisons of ten thousand items. Newton's method, whose linear systems are Laplacians of the
graph of contests, weighted by how open each still is; they are solved by conjugate gradients, scaled by
the diagonal. Whether there is a maximum is a question about the graph (Ford 1957): from every item a
chain of wins must lead to every other. Where it does not, the items that stand apart are said, or a
`prior` of so many imagined wins and losses of each item against one of utility 0 makes the maximum
finite; with a prior nothing is estimated of the distance between parts that never met but that they are
alike.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignwright.stats.arrays import Floats

    Places = NDArray[np.integer[Any]]

_TIGHT = 1e-8
"""The largest difference between an item's wins and what is expected of it, over its contests."""


class Contests(NamedTuple):
    """Pairs that met, each once, with the wins of either."""

    one_P: Places
    two_P: Places
    wins_P: Floats
    losses_P: Floats


def sparse_bradley_terry(
    winner_N: Places, loser_N: Places, items: int, *, weight_N: Floats | None = None, prior: float = 0.0
) -> Floats:
    """The utilities of the items, in nats: of mean 0, or with a prior where it draws them. A tie is two contests of
    weight 1/2. Raises ValueError where no finite utilities are the likeliest."""
    contests = _contests(winner_N, loser_N, items, weight_N)
    if prior < 0:
        raise ValueError(f"a prior of {prior} imagined wins cannot be; give 0 or more")
    if prior == 0:
        _refuse_parts(contests, items)
    utility_I, gradient_I = np.zeros(items), _gradient(contests, np.zeros(items), prior)
    games_I = _sum_at(contests, contests.wins_P + contests.losses_P, items) + 2 * prior
    for _ in range(100):
        if (np.abs(gradient_I) <= _TIGHT * games_I).all():
            return utility_I if prior else utility_I - utility_I.mean()
        step_I = _newton_step(contests, utility_I, gradient_I, prior)
        # a Newton step longer than this can overshoot where the likelihood is flat
        utility_I = utility_I + step_I * min(1.0, 2.0 / max(float(np.abs(step_I).max()), 1e-300))
        gradient_I = _gradient(contests, utility_I, prior)
    raise ValueError("no utilities within 100 steps: the likelihood is too flat; use a prior above 0")


def _contests(winner_N: Places, loser_N: Places, items: int, weight_N: Floats | None) -> Contests:
    if len(winner_N) != len(loser_N) or len(winner_N) == 0:
        raise ValueError(f"{len(winner_N)} winners and {len(loser_N)} losers; give as many, and at least one")
    if (winner_N == loser_N).any():
        raise ValueError("an item was compared with itself; leave such contests out")
    if min(int(winner_N.min()), int(loser_N.min())) < 0 or max(int(winner_N.max()), int(loser_N.max())) >= items:
        raise ValueError(f"an item outside 0 to {items - 1} was compared")
    weight_N = np.ones(len(winner_N)) if weight_N is None else weight_N
    one_N, two_N = np.minimum(winner_N, loser_N), np.maximum(winner_N, loser_N)
    pair_N = one_N.astype(np.int64) * items + two_N
    pair_P, place_N = np.unique(pair_N, return_inverse=True)
    first_wins_N = winner_N < loser_N
    wins_P = _sums(place_N, np.where(first_wins_N, weight_N, 0.0), len(pair_P))
    losses_P = _sums(place_N, np.where(first_wins_N, 0.0, weight_N), len(pair_P))
    return Contests(pair_P // items, pair_P % items, wins_P, losses_P)


def _refuse_parts(contests: Contests, items: int) -> None:
    """Raises ValueError where some items never met the others, or never lost to them, or never won."""
    sparse, graph = (importlib.import_module(f"scipy.sparse{part}") for part in ("", ".csgraph"))
    won_P, lost_P = contests.wins_P > 0, contests.losses_P > 0
    above = np.concatenate((contests.one_P[won_P], contests.two_P[lost_P]))
    below = np.concatenate((contests.two_P[won_P], contests.one_P[lost_P]))
    wins: Any = sparse.csr_matrix((np.ones(len(above)), (above, below)), shape=(items, items))
    parts, part_I = graph.connected_components(wins, directed=True, connection="weak")
    if parts > 1:
        raise ValueError(_apart(np.asarray(part_I), int(parts), "never met the others, so that nothing compares them"))
    parts, part_I = graph.connected_components(wins, directed=True, connection="strong")
    if parts > 1:
        raise ValueError(_apart(np.asarray(part_I), int(parts), "never lost to the others, or never won from them"))


def _apart(part_I: NDArray[Any], parts: int, why: str) -> str:
    size_G = np.bincount(part_I)
    smallest = int(np.flatnonzero(part_I == size_G.argmin())[0])
    return (
        f"no finite Bradley-Terry utilities: the items fall into {parts} parts that {why} (the largest of"
        f" {size_G.max()} items, the smallest of {size_G.min()}, such as item {smallest}); leave parts out, or use a"
        " prior above 0"
    )


def _sum_at(contests: Contests, value_P: Floats, items: int) -> Floats:
    return _sums(contests.one_P, value_P, items) + _sums(contests.two_P, value_P, items)


def _sums(place_N: Places, value_N: Floats, size: int) -> Floats:
    return np.asarray(np.bincount(place_N, value_N, size), dtype=np.float64)


def _chance(contests: Contests, utility_I: Floats) -> Floats:
    return 0.5 * (1.0 + np.tanh(0.5 * (utility_I[contests.one_P] - utility_I[contests.two_P])))


def _gradient(contests: Contests, utility_I: Floats, prior: float) -> Floats:
    """Wins less what the utilities let expect."""
    items = len(utility_I)
    more_P = contests.wins_P - (contests.wins_P + contests.losses_P) * _chance(contests, utility_I)
    more_I = _sums(contests.one_P, more_P, items) - _sums(contests.two_P, more_P, items)
    return more_I - prior * np.tanh(0.5 * utility_I)


def _newton_step(contests: Contests, utility_I: Floats, gradient_I: Floats, prior: float) -> Floats:
    """Laplacian x step = gradient, by conjugate gradients. Without a prior steps that move all items alike are free,
    and the gradient has no such part, nor has any step from 0."""
    sparse: Any = importlib.import_module("scipy.sparse")
    items, chance_P = len(utility_I), _chance(contests, utility_I)
    open_P = (contests.wins_P + contests.losses_P) * chance_P * (1 - chance_P)
    ends = (np.concatenate((contests.one_P, contests.two_P)), np.concatenate((contests.two_P, contests.one_P)))
    edges: Any = sparse.csr_matrix((np.concatenate((open_P, open_P)), ends), shape=(items, items))
    own_I = 0.5 * prior * (1.0 - np.tanh(0.5 * utility_I) ** 2)
    diagonal_I = np.maximum(_sum_at(contests, open_P, items) + own_I, 1e-300)
    step_I, left_I = np.zeros(items), gradient_I
    scaled_I = left_I / diagonal_I
    way_I, size = scaled_I, float(left_I @ scaled_I)
    aim = 1e-12 * size
    for _ in range(10 * items):
        if size <= aim:
            break
        moved_I = diagonal_I * way_I - np.asarray(edges @ way_I, dtype=np.float64)
        length = size / float(way_I @ moved_I)
        step_I, left_I = step_I + length * way_I, left_I - length * moved_I
        scaled_I = left_I / diagonal_I
        before, size = size, float(left_I @ scaled_I)
        way_I = scaled_I + size / before * way_I
    return step_I
