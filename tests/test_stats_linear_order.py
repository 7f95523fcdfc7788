"""Does maximum likelihood break what all voters agree on, and leximax Copeland not?"""

from __future__ import annotations

import numpy as np
import pytest

from alignwright.stats.linear_order import leximax_copeland, linear_bradley_terry

FEATURES = np.array([(-0.08, -4.65), (-0.48, 0.10), (-0.11, 0.01), (0.22, -0.16)])
VOTERS = np.array([(1.21, -1.06), (0.94, 2.70), (1.11, -0.67)])
WEIGHTS = np.array([0.109, 0.83, 0.061])


def profile(features: np.ndarray, voters: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The votes on every pair, and the pairs on which all agree."""
    utility_VK = voters @ features.T
    above_VKK = utility_VK[:, :, None] > utility_VK[:, None, :]
    return np.einsum("v,vkl->kl", weights, above_VKK), above_VKK.all(axis=0)


def test_the_counterexample_to_pareto():
    votes_KK, unanimous_KK = profile(FEATURES, VOTERS, WEIGHTS)
    assert unanimous_KK[2, 1]
    assert np.round(VOTERS @ FEATURES.T, 3)[:, 2] == pytest.approx([-0.144, -0.076, -0.129], abs=1e-3)
    weight_D = linear_bradley_terry(FEATURES, votes_KK)
    assert weight_D == pytest.approx([-0.592, 0.344], abs=2e-3)
    reward_K = FEATURES @ weight_D
    assert (reward_K[1], reward_K[2]) == pytest.approx((0.319, 0.069), abs=2e-3)
    assert reward_K[1] > reward_K[2]  # against every voter
    order = leximax_copeland(votes_KK, unanimous_KK, FEATURES)
    assert order.index(2) < order.index(1)


def test_of_linear_voters_every_unanimous_pair_is_kept_and_maximum_likelihood_breaks_some():
    draw, broken, pairs = np.random.default_rng(0), 0, 0
    for _ in range(40):
        features, voters = draw.standard_normal((5, 2)), draw.standard_normal((3, 2)) + np.array([1.0, 0.0])
        features[0] *= 8  # one alternative far out, as in the counterexample
        votes_KK, unanimous_KK = profile(features, voters, draw.dirichlet(np.ones(3)))
        if (votes_KK * votes_KK.T == 0).all():
            continue  # all agree on everything
        order = leximax_copeland(votes_KK, unanimous_KK, features)
        place_K = np.argsort(order)
        reward_K = features @ linear_bradley_terry(features, votes_KK)
        for i, j in np.argwhere(unanimous_KK):
            pairs += 1
            assert place_K[i] < place_K[j]
            broken += int(reward_K[i] <= reward_K[j])
    assert pairs > 100
    assert broken > 0  # the control: the check can fail


def test_without_features_the_order_is_copeland_s_and_a_circle_of_agreement_is_refused():
    votes_KK = np.array([[0.0, 3, 3], [2, 0, 5], [2, 0, 0]])
    assert leximax_copeland(votes_KK, votes_KK == 5) == (0, 1, 2)
    circle = np.array([[False, True, False], [False, False, True], [True, False, False]])
    with pytest.raises(ValueError, match=r"no order in which 0, 1, 2 could follow nothing without breaking"):
        leximax_copeland(votes_KK, circle)


def test_votes_that_weights_order_without_an_error_have_no_maximum_of_likelihood():
    with pytest.raises(ValueError, match="no finite weights"):
        linear_bradley_terry(np.array([[1.0], [0.0]]), np.array([[0.0, 3.0], [0.0, 0.0]]))
