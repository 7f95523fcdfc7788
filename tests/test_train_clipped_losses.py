"""Do the policy losses have the gradients that they are said to have? By enumeration, by
quadrature, and on a bandit with a known optimum."""

from __future__ import annotations

import math

import pytest
import torch

from alignwright.stats.tilting import chi2_tilted
from alignwright.train import advantages
from alignwright.train.clipped_losses import (
    Estimator,
    clipped_value_loss,
    divergence,
    divergence_loss,
    gspo_loss,
    ppo_loss,
    ratio_metrics,
    reply_mean,
    token_weights,
)

ESTIMATORS = ("k1", "k2", "k3")


def tables(seed: int = 0, actions: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of a policy, and log-probabilities of a reference."""
    generator = torch.Generator().manual_seed(seed)
    logit_A = torch.randn(actions, generator=generator, dtype=torch.float64).requires_grad_(True)
    return logit_A, torch.randn(actions, generator=generator, dtype=torch.float64).log_softmax(0)


def kl(p_A: torch.Tensor, q_A: torch.Tensor) -> torch.Tensor:
    return (p_A.exp() * (p_A - q_A)).sum()


def gradient(value: torch.Tensor, logit_A: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(value, logit_A, retain_graph=True)[0]


# ---- estimators of the divergence ----------------------------------------------------------------
@pytest.mark.parametrize(
    ("mean", "true", "bias", "spread"),
    [(0.1, 0.005, (0, 0.002, 0), (20.0, 1.42, 1.42)), (1.0, 0.5, (0, 0.249, 0), (2.00, 1.73, 1.70))],
)
def test_bias_and_spread_of_the_estimators_are_schulmans(
    mean: float, true: float, bias: tuple[float, ...], spread: tuple[float, ...]
) -> None:
    """Samples of N(0, 1) against N(mean, 1), integrated instead of drawn; bias and standard
    deviation in units of the true divergence."""
    x_X = torch.linspace(-12, 12, 240_001, dtype=torch.float64)
    logp_X, reference_X = -(x_X**2) / 2, -((x_X - mean) ** 2) / 2
    weight_X = torch.exp(logp_X) / torch.exp(logp_X).sum()
    for estimator, its_bias, its_spread in zip(ESTIMATORS, bias, spread, strict=True):
        k_X = divergence(estimator, logp_X, reference_X)
        found = float((weight_X * k_X).sum())
        assert (found - true) / true == pytest.approx(its_bias, abs=1e-3)
        assert math.sqrt(float((weight_X * (k_X - found) ** 2).sum())) / true == pytest.approx(its_spread, abs=6e-3)


def test_as_a_loss_k2_holds_to_the_reference_and_k3_to_the_other_direction() -> None:
    logit_A, reference_A = tables()
    logp_A = logit_A.log_softmax(0)
    old_A = logp_A.detach()
    forward, backward = gradient(kl(reference_A, logp_A), logit_A), gradient(kl(logp_A, reference_A), logit_A)
    found = {
        e: gradient((old_A.exp() * divergence_loss(e, logp_A, reference_A, old_A)).sum(), logit_A) for e in ("k2", "k3")
    }
    assert torch.allclose(found["k2"], backward, atol=1e-12)
    assert torch.allclose(found["k3"], forward, atol=1e-12)
    assert float((forward - backward).abs().max()) > 0.05  # control: the two directions differ here


def test_as_a_loss_k1_holds_nothing_and_is_refused() -> None:
    logit_A, reference_A = tables()
    logp_A = logit_A.log_softmax(0)
    plain = gradient((logp_A.detach().exp() * divergence("k1", logp_A, reference_A)).sum(), logit_A)
    assert float(plain.abs().max()) < 1e-12
    with pytest.raises(ValueError, match="loss:k1 holds nothing"):
        divergence_loss("k1", logp_A, reference_A, logp_A.detach())


def test_in_the_reward_only_k1_gives_the_gradient_of_the_divergence() -> None:
    logit_A, reference_A = tables()
    logp_A = logit_A.log_softmax(0)
    true = gradient(kl(logp_A, reference_A), logit_A)
    for estimator in ESTIMATORS:
        k_A = divergence(estimator, logp_A.detach(), reference_A)
        in_reward = gradient((logp_A.detach().exp() * k_A * logp_A).sum(), logit_A)
        as_loss = gradient((logp_A.detach().exp() * divergence(estimator, logp_A, reference_A)).sum(), logit_A)
        whole = gradient((logp_A.exp() * divergence(estimator, logp_A, reference_A)).sum(), logit_A)
        assert torch.allclose(
            as_loss + in_reward, whole, atol=1e-12
        )  # together they are the gradient of the estimator's mean
        assert torch.allclose(in_reward, true, atol=1e-12) == (estimator == "k1")


def chi2(p_A: torch.Tensor, q_A: torch.Tensor) -> torch.Tensor:
    return (2 * p_A - q_A).exp().sum() - 1


def test_chi2_is_unbiased_and_either_place_gives_half_its_gradient() -> None:
    logit_A, reference_A = tables()
    logp_A = logit_A.log_softmax(0)
    old_A = logp_A.detach()
    value_A = divergence("chi2", old_A, reference_A)
    true = gradient(chi2(logp_A, reference_A), logit_A)
    assert float((old_A.exp() * value_A).sum()) == pytest.approx(float(chi2(old_A, reference_A)), abs=1e-12)
    in_reward = gradient((old_A.exp() * value_A * logp_A).sum(), logit_A)
    as_loss = gradient((old_A.exp() * divergence_loss("chi2", logp_A, reference_A, old_A)).sum(), logit_A)
    assert torch.allclose(in_reward, true / 2, atol=1e-12)
    assert torch.allclose(as_loss, true / 2, atol=1e-12)
    assert not torch.allclose(
        in_reward, gradient(kl(logp_A, reference_A), logit_A), atol=1e-2
    )  # control: not that of KL


def test_what_a_token_does_to_later_ones_is_whole_in_the_reward_and_missing_in_the_loss() -> None:
    """Two tokens, enumerated: with reward and loss together the gradient is that of the expected
    sum of both tokens' chi^2."""
    generator = torch.Generator().manual_seed(1)
    table_SA = torch.randn(4, 3, generator=generator, dtype=torch.float64).requires_grad_(
        True
    )  # row 0 the first token's, row 1 + a after a
    reference_SA = torch.randn(4, 3, generator=generator, dtype=torch.float64).log_softmax(1)
    logp_SA = table_SA.log_softmax(1)
    old_SA = logp_SA.detach()
    own_S = torch.stack([chi2(logp_SA[s], reference_SA[s]) for s in range(4)])
    true = gradient(own_S[0] + logp_SA[0].exp() @ own_S[1:], table_SA)
    own = gradient(own_S[0] + old_SA[0].exp() @ own_S[1:], table_SA)
    rewarded, lost = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for a in range(3):
        for b in range(3):
            weight, places = (old_SA[0, a] + old_SA[1 + a, b]).exp(), ([0, 1 + a], [a, b])
            penalty_N = divergence("chi2", old_SA[places], reference_SA[places])
            rewarded = rewarded + weight * penalty_N.sum() * logp_SA[places].sum()
            lost = lost + weight * divergence_loss("chi2", logp_SA[places], reference_SA[places], old_SA[places]).sum()
    assert torch.allclose(gradient(rewarded + lost, table_SA), true, atol=1e-12)
    assert torch.allclose(gradient(lost, table_SA), own / 2, atol=1e-12)
    assert torch.allclose(gradient(rewarded, table_SA), true - own / 2, atol=1e-12)
    assert not torch.allclose(gradient(rewarded, table_SA), true / 2, atol=1e-2)  # control: half of the sum's it is not


def test_in_later_passes_the_ratio_keeps_the_loss_right() -> None:
    logit_A, reference_A = tables()
    spoke_A = tables(9)[0].detach().log_softmax(0)
    logp_A = logit_A.log_softmax(0)
    loss_A = divergence_loss("k2", logp_A, reference_A, spoke_A)
    assert torch.allclose(
        gradient((spoke_A.exp() * loss_A).sum(), logit_A), gradient(kl(logp_A, reference_A), logit_A), atol=1e-12
    )
    unweighted = gradient((spoke_A.exp() * divergence("k2", logp_A, reference_A)).sum(), logit_A)
    assert not torch.allclose(unweighted, gradient(kl(logp_A, reference_A), logit_A), atol=1e-3)  # control


# ---- the clipped surrogate -----------------------------------------------------------------------
def test_on_its_own_samples_the_surrogate_is_reinforce() -> None:
    """PPO with lambda 1 and all values 0: the advantage is the return, and the gradient -return
    d logp."""
    length_R = torch.tensor([2, 4])
    logp_N = torch.randn(6, dtype=torch.float64).requires_grad_(True)
    reward_N = advantages.token_rewards(
        torch.tensor([1.5, -2.0], dtype=torch.float64), torch.zeros(6, dtype=torch.float64), length_R
    )
    advantage_N, _ = advantages.gae(reward_N, torch.zeros(6, dtype=torch.float64), length_R, gamma=1.0, lam=1.0)
    loss_N = ppo_loss(logp_N, logp_N.detach(), advantage_N, low=0.2, high=0.2)
    assert torch.allclose(
        gradient(loss_N.sum(), logp_N),
        -torch.tensor([1.5, 1.5, -2.0, -2.0, -2.0, -2.0], dtype=torch.float64),
        atol=1e-12,
    )


def test_the_first_minibatch_has_ratio_1_and_after_whitening_no_loss() -> None:
    logp_N = -torch.rand(997) * 5
    advantage_N = advantages.whiten(torch.randn(997) * 3 + 1)
    assert abs(float(ppo_loss(logp_N, logp_N.clone(), advantage_N, low=0.2, high=0.2).mean())) < 1e-7
    moved = ratio_metrics(logp_N, logp_N.clone(), None, low=0.2, high=0.2)
    assert moved["ratio"].tolist() == [1.0] * 997
    assert float(moved["clipfrac"].sum()) == float(moved["approx_kl"].abs().sum()) == 0.0


@pytest.mark.parametrize(
    ("ratio", "advantage", "moves"),
    [(1.1, 1.0, True), (1.3, 1.0, False), (0.7, 1.0, True), (0.9, -1.0, True), (0.7, -1.0, False), (1.3, -1.0, True)],
)
def test_clipping_stops_what_has_gone_far_enough_and_never_a_way_back(
    ratio: float, advantage: float, moves: bool
) -> None:
    logp_N = torch.tensor([math.log(ratio)], dtype=torch.float64, requires_grad=True)
    loss_N = ppo_loss(logp_N, torch.zeros(1, dtype=torch.float64), torch.tensor([advantage]), low=0.2, high=0.25)
    assert (float(gradient(loss_N.sum(), logp_N)) != 0) == moves


def test_the_upper_clip_may_be_higher() -> None:
    logp_N = torch.tensor([math.log(1.25)], dtype=torch.float64, requires_grad=True)
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    assert float(gradient(ppo_loss(logp_N, zero, one, low=0.2, high=0.28).sum(), logp_N)) == pytest.approx(-1.25)
    assert float(gradient(ppo_loss(logp_N, zero, one, low=0.2, high=0.2).sum(), logp_N)) == 0.0


def test_one_ratio_a_reply_is_the_geometric_mean_of_its_tokens() -> None:
    length_R = torch.tensor([1, 3])
    logp_N = torch.tensor([0.1, 0.3, 0.0, -0.15], dtype=torch.float64, requires_grad=True)
    old_N, advantage_N = torch.zeros(4, dtype=torch.float64), torch.tensor([1.0, -2.0, -2.0, -2.0], dtype=torch.float64)
    loss_N = gspo_loss(logp_N, old_N, advantage_N, length_R, low=0.5, high=0.5)
    assert loss_N.tolist() == pytest.approx([-math.exp(0.1), *[2 * math.exp(0.05)] * 3])
    assert reply_mean(logp_N, length_R).tolist() == pytest.approx([0.1, 0.05, 0.05, 0.05])
    weight_N = torch.tensor([1.0, 1 / 3, 1 / 3, 1 / 3], dtype=torch.float64)
    assert gradient((weight_N * loss_N).sum(), logp_N).tolist() == pytest.approx(
        [-math.exp(0.1), *[2 * math.exp(0.05) / 3] * 3]
    )
    # with the clip of the paper the whole reply is stopped, where a ratio a token would stop only some of it
    stopped = gspo_loss(logp_N, old_N, -advantage_N, length_R, low=3e-4, high=4e-4)
    assert gradient(stopped.sum(), logp_N)[1:].tolist() == [0.0, 0.0, 0.0]


# ---- what each token weighs ----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("how", "expected"),
    [("reply_mean", [0.5, 0.5]), ("token", [0.1, 0.9]), ("constant", [1 / 40, 9 / 40]), ("reply_sum", [0.5, 4.5])],
)
def test_what_a_short_and_a_long_reply_weigh_in_a_step(how: str, expected: list[float]) -> None:
    length_R = torch.tensor([1, 9])
    weight_R, unit_R = token_weights(how, length_R, longest=20)  # type: ignore[arg-type]
    assert (weight_R * length_R / unit_R.sum()).tolist() == pytest.approx(expected)


# ---- values --------------------------------------------------------------------------------------
def test_a_value_learns_its_return_and_stops_at_the_clip() -> None:
    value_N = torch.tensor([0.1, 0.5, -0.5], dtype=torch.float64, requires_grad=True)
    old_N, return_N = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    loss_N = clipped_value_loss(value_N, old_N, return_N, cliprange_value=0.2)
    assert loss_N.tolist() == pytest.approx([0.5 * 0.9**2, 0.5 * 0.8**2, 0.5 * 1.5**2])
    assert gradient(loss_N.sum(), value_N).tolist() == pytest.approx(
        [-0.9, 0.0, -1.5]
    )  # far enough towards it: stopped; away from it: never


# ---- a bandit whose optimum is known -------------------------------------------------------------
def learn_bandit(
    method: str, beta: float, steps: int = 400, form: Estimator = "k1"
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Final policy, its optimum (of k1: ref exp(r / beta) / Z), and the reference, on one prompt
    with six one-token replies, in the reward."""
    generator = torch.Generator().manual_seed(3)
    reward_A = torch.randn(6, generator=generator)
    reference_A = torch.randn(6, generator=generator).log_softmax(0)
    logit_A, value = reference_A.clone().requires_grad_(True), torch.zeros((), requires_grad=True)
    optimiser = torch.optim.Adam([logit_A, value], lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    one_R = torch.ones(512, dtype=torch.int64)
    for _ in range(steps // 4):
        old_A = logit_A.detach().log_softmax(0)
        action_R = torch.multinomial(old_A.exp(), 512, replacement=True, generator=generator)
        old_R, old_value_R = old_A[action_R], value.detach().expand(512)
        penalty_R = beta * divergence(form, old_R, reference_A[action_R])
        if method == "ppo":
            reward_R = advantages.token_rewards(reward_A[action_R], penalty_R, one_R)
            advantage_R, return_R = advantages.gae(reward_R, old_value_R, one_R, gamma=1.0, lam=0.95)
        else:
            advantage_R = advantages.leave_one_out(
                reward_A[action_R] - penalty_R, torch.arange(128).repeat_interleave(4)
            )
            return_R = old_value_R
        for _ in range(4):
            loss = ppo_loss(logit_A.log_softmax(0)[action_R], old_R, advantage_R, low=0.2, high=0.2).mean()
            loss = loss + 0.5 * clipped_value_loss(value.expand(512), old_value_R, return_R, cliprange_value=0.2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    optimum_A = (reference_A + reward_A / beta).softmax(0)
    if form == "chi2":
        optimum_A = torch.from_numpy(
            chi2_tilted(reference_A.exp().double().numpy(), reward_A.double().numpy(), 1 / beta)
        )
    return logit_A.detach().softmax(0), optimum_A, reference_A.exp()


@pytest.mark.parametrize("method", ["ppo", "rloo"])
def test_a_bandit_is_tilted_as_far_as_the_divergence_allows(method: str) -> None:
    policy_A, optimum_A, reference_A = learn_bandit(method, beta=0.7)
    assert float((policy_A / optimum_A - 1).abs().max()) < 0.02
    # control: the start is far from the optimum, and that of another weight is another
    assert float((reference_A / optimum_A - 1).abs().max()) > 0.5
    assert float((learn_bandit(method, beta=1.4)[0] / optimum_A - 1).abs().max()) > 0.2


def test_a_bandit_under_chi2_goes_to_the_best_of_reward_minus_half_the_weight_times_chi2() -> None:
    policy_A, optimum_A, _ = learn_bandit("rloo", beta=1.5, form="chi2")
    assert float((policy_A - optimum_A).abs().sum()) / 2 < 0.01
    for other_A in (
        learn_bandit("rloo", beta=1.5)[1],
        learn_bandit("rloo", beta=3.0, form="chi2", steps=4)[1],
    ):  # k1's, and that of the whole chi^2
        assert float((policy_A - other_A).abs().sum()) / 2 > 0.05
