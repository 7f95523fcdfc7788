"""Which token deserves what? Advantages (GAE, leave-one-out, group-relative) for policy gradients.

A judge says how good a whole reply is; a policy gradient needs, for every token, how much better
things went than was to be expected. Every such rule is here, as a pure function of rewards: what
tells PPO, GRPO, RLOO and REINFORCE apart is which of them is called.

The expected gradient with each baseline, over groups of k replies (Kool et al. 2019; Liu et al.
2025, arXiv 2503.20783): leave-one-out gives the gradient of the mean reward itself; the group's own
mean (k - 1)/k of it; and division by the group's spread makes it depend on how likely success is
(for rewards 0 and 1 it is the gradient of 2 arcsin sqrt(p) as k grows: rare and sure successes
count more).

Left out on purpose: clamps of rewards and advantages, which would change what is optimised without
a word.

Shapes: `_R` replies, `_N` tokens of all replies one after another, `_RL` replies by tokens, padded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.utils.rnn import pad_sequence

if TYPE_CHECKING:
    from torch import Tensor


# ---- over the tokens of one reply ----------------------------------------------------------------
def token_rewards(score_R: Tensor, penalty_N: Tensor, length_R: Tensor) -> Tensor:
    """What each token earns: minus its penalty, and the reply's score on the last token that was
    drawn (its end, if it ended). Shape [N]."""
    reward_N = -penalty_N
    reward_N[length_R.cumsum(0) - 1] += score_R.to(reward_N.dtype)
    return reward_N


def gae(reward_N: Tensor, value_N: Tensor, length_R: Tensor, *, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438): advantages and
    returns (advantage + value), both [N].

    A_t = sum over l of (gamma lam)^l delta_(t+l), delta_t = r_t + gamma V_(t+1) - V_t; nothing is
    expected after the last token, also of a reply that was cut. lam 1: the reward still to come
    minus V_t. lam 0: delta_t.
    """
    real_RL = padded(torch.ones_like(reward_N), length_R) > 0
    value_RL = padded(value_N, length_R)
    next_RL = torch.cat(
        [value_RL[:, 1:], torch.zeros_like(value_RL[:, :1])], dim=1
    )  # padding is 0, so nothing follows a last token
    delta_RL = padded(reward_N, length_R) + gamma * next_RL - value_RL
    advantage_RL = torch.zeros_like(delta_RL)
    ahead_R = torch.zeros_like(delta_RL[:, 0])
    for t in range(delta_RL.shape[1] - 1, -1, -1):
        ahead_R = torch.where(real_RL[:, t], delta_RL[:, t] + gamma * lam * ahead_R, 0.0)
        advantage_RL[:, t] = ahead_R
    advantage_N = advantage_RL[real_RL]
    return advantage_N, advantage_N + value_N


def whiten(x_N: Tensor) -> Tensor:
    """With mean 0 and variance 1 (population). What does not vary becomes 0."""
    centred_N = x_N.double() - x_N.double().mean()
    spread = centred_N.square().mean().sqrt()
    return (centred_N / spread if float(spread) > 0 else centred_N).to(x_N.dtype)


def per_reply(x_N: Tensor, length_R: Tensor) -> Tensor:
    """The sum over each reply's tokens. Shape [R]."""
    zero_R = torch.zeros(len(length_R), dtype=x_N.dtype, device=x_N.device)
    return zero_R.index_add(0, torch.repeat_interleave(torch.arange(len(length_R), device=x_N.device), length_R), x_N)


def padded(x_N: Tensor, length_R: Tensor) -> Tensor:
    """One row a reply, zeros after its end. Shape [R, L]."""
    return pad_sequence(list(x_N.split(length_R.tolist())), batch_first=True)


# ---- over the replies to one prompt --------------------------------------------------------------
def leave_one_out(reward_R: Tensor, group_R: Tensor) -> Tensor:
    """Each reply against the mean of its siblings (RLOO); 0 for one that has none. With all
    replies in one group: a rollout's other replies."""
    count_R = _of_group(torch.ones_like(reward_R), group_R)
    return subtract_group_mean(reward_R, group_R) * torch.where(count_R > 1, count_R / (count_R - 1).clamp(min=1), 0.0)


def subtract_group_mean(reward_R: Tensor, group_R: Tensor) -> Tensor:
    """Each reply against the mean of its group, itself included (Dr. GRPO). Exactly 0 where all
    are equal, whatever a mean is rounded to."""
    centred_R = reward_R - _of_group(reward_R, group_R) / _of_group(torch.ones_like(reward_R), group_R)
    return torch.where(rewards_equal(reward_R, group_R), 0.0, centred_R)


def normalise_by_group(reward_R: Tensor, group_R: Tensor) -> Tensor:
    """`subtract_group_mean`, divided by the group's standard deviation (population; GRPO). 0 where all are
    equal."""
    centred_R = subtract_group_mean(reward_R, group_R)
    spread_R = (_of_group(centred_R.square(), group_R) / _of_group(torch.ones_like(reward_R), group_R)).sqrt()
    return torch.where(spread_R > 0, centred_R / spread_R.clamp(min=torch.finfo(spread_R.dtype).tiny), 0.0)


def rewards_equal(reward_R: Tensor, group_R: Tensor) -> Tensor:
    """Whether all rewards of a reply's group are the same number, so that the group teaches
    nothing. Shape [R], boolean."""
    groups = int(group_R.max()) + 1 if len(group_R) else 0
    ends = [
        reward_R.new_zeros(groups).scatter_reduce(0, group_R, reward_R, reduce=how, include_self=False)
        for how in ("amin", "amax")
    ]
    return (ends[0] == ends[1])[group_R]


def overlong(length_R: Tensor, *, limit: int, cushion: int) -> Tensor:
    """DAPO's soft penalty (Yu et al. 2025, arXiv 2503.14476): 0 up to limit - cushion tokens,
    then falling to -1 at the limit."""
    return ((limit - cushion - length_R) / cushion).clamp(-1.0, 0.0)


def _of_group(x_R: Tensor, group_R: Tensor) -> Tensor:
    """For each reply the sum over its group."""
    groups = int(group_R.max()) + 1 if len(group_R) else 0
    return x_R.new_zeros(groups).index_add(0, group_R, x_R)[group_R]


# ---- from rollout to rollout ---------------------------------------------------------------------
def multiplier(value: float, *, cost: float, limit: float, rate: float) -> float:
    """The Lagrange multiplier of the constraint mean cost <= limit after a step up its dual: it
    grows while the constraint is broken.

    The reward is then reward - multiplier * cost (Dai et al. 2024, arXiv 2310.12773, without their
    division by 1 + multiplier).
    """
    return max(0.0, value + rate * (cost - limit))


def adapt_kl_coef(kl: float, *, observed: float, target: float, rate: float = 0.1) -> float:
    """The KL weight after a rollout whose divergence was `observed` nats a reply (Ziegler et al.
    2019, arXiv 1909.08593, section 2.2)."""
    return kl * (1 + rate * min(0.2, max(-0.2, observed / target - 1)))
