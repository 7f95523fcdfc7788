"""Does every token get what the theory says? Limits of GAE, and expected gradients of each
baseline by enumeration of all groups."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from alignwright.train import advantages
from alignwright.train.knobs_policy_gradient import Grpo, Ppo, Reinforce, Rloo
from alignwright.train.rollout_batch import recipe_of, reply_advantages

COMMON = {"epochs": 1, "rank": 4, "batch_tokens": 64, "max_tokens": 64, "prompts": 2, "samples": 4, "max_new_tokens": 8}


def episode(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    length_R = torch.tensor([3, 1, 7, 4])
    reward_N = torch.randn(int(length_R.sum()), generator=generator, dtype=torch.float64)
    return reward_N, torch.randn(len(reward_N), generator=generator, dtype=torch.float64), length_R


# ---- over tokens ---------------------------------------------------------------------------------
def test_gae_with_lambda_1_is_the_reward_to_come_minus_the_value() -> None:
    reward_N, value_N, length_R = episode()
    advantage_N, return_N = advantages.gae(reward_N, value_N, length_R, gamma=1.0, lam=1.0)
    to_come_N = torch.cat([part.flip(0).cumsum(0).flip(0) for part in reward_N.split(length_R.tolist())])
    assert torch.allclose(advantage_N, to_come_N - value_N, atol=1e-12)
    assert torch.allclose(return_N, to_come_N, atol=1e-12)


def test_gae_with_lambda_0_is_the_surprise_of_one_step() -> None:
    reward_N, value_N, length_R = episode()
    advantage_N, _ = advantages.gae(reward_N, value_N, length_R, gamma=0.9, lam=0.0)
    next_N = torch.cat([torch.cat([part[1:], part.new_zeros(1)]) for part in value_N.split(length_R.tolist())])
    assert torch.allclose(advantage_N, reward_N + 0.9 * next_N - value_N, atol=1e-12)
    # control: a value that leaks in from the next reply changes the last token's credit
    leaky_N = reward_N + 0.9 * torch.cat([value_N[1:], value_N.new_zeros(1)]) - value_N
    assert not torch.allclose(advantage_N, leaky_N)


def test_gae_between_is_the_discounted_sum_of_surprises() -> None:
    reward_N, value_N, length_R = episode(1)
    gamma, lam = 0.97, 0.8
    advantage_N, _ = advantages.gae(reward_N, value_N, length_R, gamma=gamma, lam=lam)
    written: list[float] = []
    for reward_L, value_L in zip(reward_N.split(length_R.tolist()), value_N.split(length_R.tolist()), strict=True):
        delta = [
            float(reward_L[t] + gamma * (value_L[t + 1] if t + 1 < len(value_L) else 0.0) - value_L[t])
            for t in range(len(value_L))
        ]
        written += [sum((gamma * lam) ** i * d for i, d in enumerate(delta[t:])) for t in range(len(delta))]
    assert advantage_N.tolist() == pytest.approx(written, abs=1e-12)


def test_the_score_lands_on_the_last_token_that_was_drawn() -> None:
    length_R, penalty_N = torch.tensor([3, 1, 2]), torch.full((6,), 0.5)
    reward_N = advantages.token_rewards(torch.tensor([10.0, 20.0, 30.0], dtype=torch.float64), penalty_N, length_R)
    assert reward_N.tolist() == [-0.5, -0.5, 9.5, 19.5, -0.5, 29.5]
    assert penalty_N.tolist() == [0.5] * 6  # not written over


def test_whitened_advantages_have_mean_0_and_variance_1_and_constants_stay_0() -> None:
    x_N = torch.randn(1000) * 7 + 3
    white_N = advantages.whiten(x_N)
    assert abs(float(white_N.mean())) < 1e-7
    assert float(white_N.var(correction=0)) == pytest.approx(1.0, abs=1e-5)
    assert advantages.whiten(torch.full((5,), 0.1)).tolist() == [0.0] * 5


# ---- over groups: expected gradients -------------------------------------------------------------
def expected_gradient(
    logit_A: torch.Tensor, reward_A: torch.Tensor, k: int, how: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """(E[(1/k) sum_i A_i d ln pi(a_i)], d E[reward]) over all groups of k actions of a softmax
    policy."""
    logp_A = logit_A.log_softmax(0)
    tuples_GK = torch.tensor(list(itertools.product(range(len(logit_A)), repeat=k)))
    reward_R, group_R = reward_A[tuples_GK].flatten(), torch.arange(len(tuples_GK)).repeat_interleave(k)
    advantage_GK = getattr(advantages, how)(reward_R, group_R).view(-1, k)
    chance_G = logp_A.detach()[tuples_GK].sum(1).exp()
    surrogate = (chance_G * (advantage_GK * logp_A[tuples_GK]).mean(1)).sum()
    (estimate_A,) = torch.autograd.grad(surrogate, logit_A, retain_graph=True)
    (truth_A,) = torch.autograd.grad((logp_A.exp() * reward_A).sum(), logit_A)
    return estimate_A, truth_A


@pytest.mark.parametrize("k", [2, 3, 4])
def test_leave_one_out_gives_the_gradient_itself_and_the_group_mean_a_share_of_it(k: int) -> None:
    logit_A = torch.tensor([0.3, -1.0, 0.8, 0.1], dtype=torch.float64, requires_grad=True)
    reward_A = torch.tensor([1.0, -0.5, 0.2, 3.0], dtype=torch.float64)
    estimate_A, truth_A = expected_gradient(logit_A, reward_A, k, "leave_one_out")
    assert torch.allclose(estimate_A, truth_A, atol=1e-12)
    estimate_A, _ = expected_gradient(logit_A, reward_A, k, "subtract_group_mean")
    assert torch.allclose(estimate_A, (k - 1) / k * truth_A, atol=1e-12)
    assert float(truth_A.abs().max()) > 0.1  # control: there is a gradient to be found


@pytest.mark.parametrize("p", [0.05, 0.4, 0.9])
@pytest.mark.parametrize("k", [2, 3, 5])
def test_division_by_spread_weighs_success_by_how_likely_it_is(p: float, k: int) -> None:
    logit_A = torch.tensor([math.log(p), math.log(1 - p)], dtype=torch.float64, requires_grad=True)
    estimate_A, truth_A = expected_gradient(
        logit_A, torch.tensor([1.0, 0.0], dtype=torch.float64), k, "normalise_by_group"
    )
    hits = sum(math.comb(k, j) * p**j * (1 - p) ** (k - j) * math.sqrt(j * (k - j)) / k for j in range(k + 1))
    assert torch.allclose(estimate_A, truth_A * hits / (p * (1 - p)), atol=1e-12)
    if k == 3:
        assert hits / (p * (1 - p)) == pytest.approx(math.sqrt(2), abs=1e-12)


def test_leave_one_out_is_the_centred_reward_times_g_over_g_minus_1() -> None:
    reward_R, group_R = torch.randn(12, dtype=torch.float64), torch.arange(3).repeat_interleave(4)
    assert torch.allclose(
        advantages.leave_one_out(reward_R, group_R),
        advantages.subtract_group_mean(reward_R, group_R) * 4 / 3,
        atol=1e-12,
    )
    by_hand = [float(reward_R[i] - (reward_R[:4].sum() - reward_R[i]) / 3) for i in range(4)]
    assert advantages.leave_one_out(reward_R, group_R)[:4].tolist() == pytest.approx(by_hand, abs=1e-12)


@pytest.mark.parametrize("how", ["leave_one_out", "subtract_group_mean", "normalise_by_group"])
def test_equal_groups_and_single_replies_get_exactly_nothing(how: str) -> None:
    reward_R = torch.tensor([0.1, 0.1, 0.1, 5.0, 1.0, 2.0], dtype=torch.float32)
    group_R = torch.tensor([0, 0, 0, 1, 2, 2])
    advantage_R = getattr(advantages, how)(reward_R, group_R)
    assert advantage_R[:4].tolist() == [0.0] * 4
    assert float(advantage_R[4]) < 0 < float(advantage_R[5])
    assert advantages.rewards_equal(reward_R, group_R).tolist() == [True] * 4 + [False] * 2


def test_grpo_has_unit_spread_and_ignores_shift_and_scale() -> None:
    reward_R, group_R = torch.randn(8, dtype=torch.float64), torch.arange(2).repeat_interleave(4)
    here = advantages.normalise_by_group(reward_R, group_R)
    assert here.view(2, 4).std(1, correction=0).tolist() == pytest.approx([1.0, 1.0], abs=1e-12)
    assert torch.allclose(here, advantages.normalise_by_group(5 * reward_R - 3, group_R), atol=1e-12)
    # control: without division the scale is seen
    assert not torch.allclose(
        advantages.subtract_group_mean(reward_R, group_R), advantages.subtract_group_mean(5 * reward_R, group_R)
    )


# ---- methods -------------------------------------------------------------------------------------
def test_divergence_is_not_blown_up_where_scores_are_equal() -> None:
    """GRPO with the penalty inside the reward would give a group of equal scores advantages of
    size 1."""
    score_R, group_R = torch.ones(4, dtype=torch.float64), torch.zeros(4, dtype=torch.int64)
    penalty_R = torch.tensor([1e-6, 0.0, 2e-6, 1e-6], dtype=torch.float64)
    assert (
        float(reply_advantages(recipe_of(Grpo(by="grpo", **COMMON)), score_R, penalty_R, group_R).abs().max()) <= 1e-6
    )
    assert float(advantages.normalise_by_group(score_R - penalty_R, group_R).abs().max()) > 1  # control


def test_reinforce_is_measured_against_the_rollout_and_rloo_against_siblings() -> None:
    score_R, group_R = torch.tensor([0.0, 1.0, 10.0, 11.0], dtype=torch.float64), torch.tensor([0, 0, 1, 1])
    none = torch.zeros(4, dtype=torch.float64)
    assert reply_advantages(recipe_of(Rloo(by="rloo", **COMMON)), score_R, none, group_R).tolist() == [
        -1.0,
        1.0,
        -1.0,
        1.0,
    ]
    mean = reply_advantages(recipe_of(Reinforce(by="reinforce", **COMMON)), score_R, none, group_R)
    assert mean.tolist() == pytest.approx([-22 / 3, -6.0, 6.0, 22 / 3])
    assert (
        reply_advantages(
            recipe_of(Reinforce(by="reinforce", baseline="none", **COMMON)), score_R, none, group_R
        ).tolist()
        == score_R.tolist()
    )


def test_each_variant_has_its_clip_and_weight() -> None:
    found = {v: recipe_of(Grpo(by="grpo", variant=v, **COMMON)) for v in ("grpo", "dr_grpo", "dapo", "gspo")}
    assert {v: (m.low, m.high) for v, m in found.items()} == {
        "grpo": (0.2, 0.2),
        "dr_grpo": (0.2, 0.2),
        "dapo": (0.2, 0.28),
        "gspo": (3e-4, 4e-4),
    }
    assert {v: m.weighting for v, m in found.items()} == {
        "grpo": "reply_mean",
        "dr_grpo": "constant",
        "dapo": "token",
        "gspo": "reply_mean",
    }
    assert recipe_of(Grpo(by="grpo", cliprange=0.1, **COMMON)).high == 0.1
    assert recipe_of(Ppo(by="ppo", cliprange=0.3, **COMMON)).low == 0.3


# ---- from rollout to rollout ---------------------------------------------------------------------
def test_overlong_replies_are_penalised_softly() -> None:
    assert advantages.overlong(torch.tensor([1, 80, 90, 100]), limit=100, cushion=20).tolist() == [0.0, 0.0, -0.5, -1.0]


def test_the_multiplier_finds_the_price_at_which_the_constraint_holds() -> None:
    """Maximise ln a - multiplier a over a, subject to a <= 0.5: the best answer is a = 1 /
    multiplier, so the price is 2."""
    value = 0.0
    for _ in range(400):
        value = advantages.multiplier(value, cost=1 / max(value, 0.1), limit=0.5, rate=0.1)
    assert value == pytest.approx(2.0, abs=1e-3)
    assert (
        advantages.multiplier(0.05, cost=0.0, limit=5.0, rate=0.1) == 0.0
    )  # never below 0: a kept constraint is no reward


def test_the_kl_weight_goes_towards_its_target_by_bounded_steps() -> None:
    assert advantages.adapt_kl_coef(0.1, observed=6.0, target=6.0) == 0.1
    assert advantages.adapt_kl_coef(0.1, observed=6.6, target=6.0) == pytest.approx(0.1 * 1.01)
    assert advantages.adapt_kl_coef(0.1, observed=600.0, target=6.0) == pytest.approx(0.1 * 1.02)
    assert advantages.adapt_kl_coef(0.1, observed=0.0, target=6.0) == pytest.approx(0.1 * 0.98)
