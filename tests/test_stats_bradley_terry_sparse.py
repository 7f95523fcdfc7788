"""Is the sparse fit the dense one, and is a graph that says nothing refused in words?"""

from __future__ import annotations

import numpy as np
import pytest

from alignwright.stats.bradley_terry import bradley_terry
from alignwright.stats.bradley_terry_sparse import sparse_bradley_terry


def contests(items: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    utility_I = draw.standard_normal(items)
    one_N = draw.integers(0, items, count)
    two_N = (one_N + draw.integers(1, items, count)) % items
    wins_N = draw.random(count) < 1 / (1 + np.exp(utility_I[two_N] - utility_I[one_N]))
    return np.where(wins_N, one_N, two_N), np.where(wins_N, two_N, one_N), utility_I


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_dense_fit(seed: int):
    winner_N, loser_N, _ = contests(12, 400, seed)
    weight_N = np.random.default_rng(seed).random(400) + 0.1
    wins_KK = np.zeros((12, 12))
    np.add.at(wins_KK, (winner_N, loser_N), weight_N)
    fit_I = sparse_bradley_terry(winner_N, loser_N, 12, weight_N=weight_N)
    assert fit_I == pytest.approx(bradley_terry(wins_KK), abs=1e-6)
    ghost_KK = np.zeros((13, 13))
    ghost_KK[:12, :12] = wins_KK
    ghost_KK[12, :12] = ghost_KK[:12, 12] = 0.7
    dense_K = bradley_terry(ghost_KK)
    fit_I = sparse_bradley_terry(winner_N, loser_N, 12, weight_N=weight_N, prior=0.7)
    assert fit_I == pytest.approx(dense_K[:12] - dense_K[12], abs=1e-6)


def test_the_truth_is_recovered_and_shuffled_winners_know_nothing_of_it():
    winner_N, loser_N, utility_I = contests(300, 30_000, 1)
    fit_I = sparse_bradley_terry(winner_N, loser_N, 300)
    assert np.corrcoef(fit_I, utility_I)[0, 1] > 0.98
    flip_N = np.random.default_rng(2).random(30_000) < 0.5
    winner_N, loser_N = np.where(flip_N, winner_N, loser_N), np.where(flip_N, loser_N, winner_N)
    assert abs(np.corrcoef(sparse_bradley_terry(winner_N, loser_N, 300), utility_I)[0, 1]) < 0.2


def test_what_cannot_be_compared_is_said():
    with pytest.raises(ValueError, match=r"fall into 2 parts that never met the others.*the smallest of 2, such as it"):
        sparse_bradley_terry(np.array([0, 1, 2, 2, 3, 4]), np.array([1, 0, 3, 4, 2, 2]), 5)
    with pytest.raises(ValueError, match=r"into 3 parts that never lost to the others, or never won"):
        sparse_bradley_terry(np.array([0, 1]), np.array([1, 2]), 3)
    assert sparse_bradley_terry(np.array([0, 1]), np.array([1, 2]), 3, prior=0.5)[0] > 0
    ties = sparse_bradley_terry(np.array([0, 1, 1, 2]), np.array([1, 0, 2, 1]), 3, weight_N=np.full(4, 0.5))
    assert ties == pytest.approx([0, 0, 0])
    for winner_N, loser_N, why in (([0], [0], "with itself"), ([0, 1], [1], "2 winners and 1"), ([0], [7], "0 to 2")):
        with pytest.raises(ValueError, match=why):
            sparse_bradley_terry(np.array(winner_N), np.array(loser_N), 3)
