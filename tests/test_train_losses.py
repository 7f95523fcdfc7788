"""Is the preference loss the one that was written down? Its optimum, its symmetries and its value at the start."""

from __future__ import annotations

import math

import pytest
import torch

from alignwright.train import losses


def test_margin_zero_costs_ln_2_whatever_the_vote() -> None:
    strength_P = torch.linspace(0, 1, 11, dtype=torch.float64)
    loss_P = losses.dpo(torch.zeros(11, dtype=torch.float64), beta=0.3, strength_P=strength_P)
    assert torch.allclose(loss_P, torch.full((11,), math.log(2), dtype=torch.float64), atol=1e-15)


def test_swapping_a_pair_and_its_vote_changes_nothing() -> None:
    margin_P, strength_P = torch.randn(50, dtype=torch.float64), torch.rand(50, dtype=torch.float64)
    here, there = losses.dpo(margin_P, beta=0.7, strength_P=strength_P), losses.dpo(-margin_P, beta=0.7, strength_P=1 - strength_P)
    assert torch.allclose(here, there, atol=1e-14)


def test_gradient_is_model_minus_vote() -> None:
    """Soft-label cross-entropy: the derivative is beta (sigmoid(beta margin) - strength)."""
    margin_P = torch.randn(20, dtype=torch.float64, requires_grad=True)
    strength_P = torch.rand(20, dtype=torch.float64)
    losses.dpo(margin_P, beta=0.4, strength_P=strength_P).sum().backward()
    assert margin_P.grad is not None
    assert torch.allclose(margin_P.grad, 0.4 * (torch.sigmoid(0.4 * margin_P.detach()) - strength_P), atol=1e-12)


def test_tabular_optimum_is_the_tilted_reference() -> None:
    """With Bradley-Terry votes from a reward r, the minimum of DPO is pi proportional to ref exp(r / beta) (Rafailov et al. 2023, eq. 4)."""
    beta, actions = 0.5, 6
    generator = torch.Generator().manual_seed(1)
    reward = torch.randn(actions, generator=generator, dtype=torch.float64)
    reference = torch.randn(actions, generator=generator, dtype=torch.float64).log_softmax(0)
    policy = reference.clone().requires_grad_(True)
    better, worse = torch.combinations(torch.arange(actions)).T
    optimiser = torch.optim.LBFGS([policy], max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        ratio = policy.log_softmax(0) - reference
        loss = losses.dpo(ratio[better] - ratio[worse], beta=beta, strength_P=torch.sigmoid(reward[better] - reward[worse])).mean()
        loss.backward()
        return loss

    optimiser.step(closure)  # type: ignore[arg-type]
    expected = (reference + reward / beta).softmax(0)
    assert (policy.softmax(0) - expected).abs().max() < 1e-6
    # control: the untilted reference is far from that optimum, so the bound above means something
    assert (reference.exp() - expected).abs().max() > 0.1


@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 0.0, 2.0])])
def test_likelihood_counts_each_token_by_its_weight(weight: torch.Tensor | None) -> None:
    logp_N = torch.tensor([-1.0, -2.0, -3.0])
    assert float(losses.negative_log_likelihood(logp_N, weight).sum()) == (6.0 if weight is None else 7.0)
