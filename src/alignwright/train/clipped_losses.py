"""What is minimised when a policy learns from its own samples? PPO's clipped surrogate of the
importance ratio, GSPO's of a whole reply, and KL divergence from the reference as a penalty.

Pure functions from log-probabilities and advantages to a loss per token (or reply), unreduced:
`token_weights` says how much each counts and by what the loop divides, once a step, over the tokens
or replies that are really there.

The divergence from the reference has three estimators (Schulman 2020, "Approximating KL
divergence"), with ratio = reference / policy of a token drawn from the policy: k1 = -ln ratio, k2 =
(ln ratio)^2 / 2, k3 = ratio - 1 - ln ratio. As values k1 and k3 are unbiased. As a LOSS their
gradients are others than their names promise: that of k2 is the gradient of KL(policy ||
reference), that of k3 the gradient of KL(reference || policy), that of k1 is zero in expectation.
In the REWARD k1 gives the gradient of KL(policy || reference), and k2 and k3 something else. All
exact by enumeration in the tests. Per token and not per sequence, a loss leaves out what a token
does to the divergence of later ones (Tang and Munos 2025, arXiv 2506.09477); k1 in the reward
leaves out nothing.

`chi2` estimates another divergence, chi^2(policy || reference) = E[policy / reference] - 1, by 1 /
ratio - 1: unbiased, and what bounds how far gold can fall while a correlated proxy rises (Laidlaw
et al. 2024, arXiv 2403.03185). Its gradient is 2 E[(1 / ratio) d logp], of which the reward's share
is one half and the loss's the other, so either alone holds a token to reward - (kl / 2) chi^2. What
a token does to the divergence of later ones is whole in the reward and left out of the loss. Its
values grow exponentially where k1's grow linearly: that is the point of it, and none is cut off;
one that is no finite number ends training.

Left out on purpose: dual clipping and clamps of log-ratios.

Shapes: `_N` scored tokens, `_R` replies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from torch import Tensor

Estimator = Literal["k1", "k2", "k3", "chi2"]
TokenWeighting = Literal["token", "reply_mean", "constant", "reply_sum"]


def ppo_loss(logp_N: Tensor, old_N: Tensor, advantage_N: Tensor, *, low: float, high: float) -> Tensor:
    """The clipped surrogate (Schulman et al. 2017, arXiv 1707.06347, eq. 7), negated: -min(ratio A,
    clip(ratio, 1 - low, 1 + high) A).

    On the policy's own samples the ratio is 1 and the gradient that of REINFORCE, -A d logp.
    """
    ratio_N = (logp_N - old_N).exp()
    return -torch.minimum(ratio_N * advantage_N, ratio_N.clamp(1 - low, 1 + high) * advantage_N)


def gspo_loss(
    logp_N: Tensor, old_N: Tensor, advantage_N: Tensor, length_R: Tensor, *, low: float, high: float
) -> Tensor:
    """`ppo_loss` with one ratio a reply, the geometric mean of its tokens' (GSPO; Zheng et al.
    2025, arXiv 2507.18071), for each of its tokens."""
    return ppo_loss(reply_mean(logp_N, length_R), reply_mean(old_N, length_R), advantage_N, low=low, high=high)


def reply_mean(x_N: Tensor, length_R: Tensor) -> Tensor:
    """For each token the mean over its reply. Shape [N]."""
    reply_N = torch.repeat_interleave(torch.arange(len(length_R), device=x_N.device), length_R)
    sum_R = torch.zeros(len(length_R), dtype=x_N.dtype, device=x_N.device).index_add(0, reply_N, x_N)
    return (sum_R / length_R)[reply_N]


def clipped_value_loss(value_N: Tensor, old_N: Tensor, return_N: Tensor, *, cliprange_value: float) -> Tensor:
    """Half the squared error of a value, the worse of it as it is and as it is within
    `cliprange_value` of what it was (PPO2's value clipping)."""
    near_N = old_N + (value_N - old_N).clamp(-cliprange_value, cliprange_value)
    return 0.5 * torch.maximum((value_N - return_N).square(), (near_N - return_N).square())


def divergence(estimator: Estimator, logp_N: Tensor, reference_N: Tensor) -> Tensor:
    """An estimate of KL(policy || reference) from each token that the policy drew, in nats;
    chi2: of chi^2. Shape [N]."""
    gap_N = logp_N - reference_N
    match estimator:
        case "k1":
            return gap_N
        case "k2":
            return 0.5 * gap_N.square()
        case "k3":
            return torch.expm1(-gap_N) + gap_N
        case "chi2":
            return torch.expm1(gap_N)


def divergence_loss(estimator: Estimator, logp_N: Tensor, reference_N: Tensor, old_N: Tensor) -> Tensor:
    """The divergence as a loss, weighted by the ratio to the policy that drew the token (no
    gradient through it; 1 in the first pass).

    Raises ValueError for k1, whose gradient is zero in expectation: it would add noise and hold
    nothing.
    """
    if estimator == "k1":
        raise ValueError(
            "kl_form loss:k1 holds nothing: the expected gradient of k1 as a loss is zero, whatever the policy. "
            "Use loss:k2 or reward:k1 for KL(policy || start), loss:k3 for KL(start || policy)"
        )
    return (logp_N.detach() - old_N).exp() * divergence(estimator, logp_N, reference_N)


def ratio_metrics(
    logp_N: Tensor, old_N: Tensor, length_R: Tensor | None, *, low: float, high: float
) -> dict[str, Tensor]:
    """How far the ratios have moved from the policy that spoke, to be logged: at the first step
    1, 0 and 0. With `length_R` one ratio a reply."""
    kl_N = divergence("k3", old_N, logp_N)
    if length_R is not None:
        logp_N, old_N = reply_mean(logp_N, length_R), reply_mean(old_N, length_R)
    ratio_N = (logp_N - old_N).exp()
    outside_N = (ratio_N < 1 - low) | (ratio_N > 1 + high)
    return {"ratio": ratio_N, "clipfrac": outside_N.float(), "approx_kl": kl_N}


def token_weights(how: TokenWeighting, length_R: Tensor, *, longest: int) -> tuple[Tensor, Tensor]:
    """What each token of a reply weighs, and how many units the reply adds to the step's divisor.
    Both [R].

    token: all tokens of the step weigh the same (PPO, DAPO). reply_mean: all replies do, and a
    token of a long one less (GRPO, GSPO). constant: a token weighs 1 / longest, whatever its
    reply's length (Dr. GRPO). reply_sum: log-probabilities of whole replies (RLOO).
    """
    one_R = torch.ones_like(length_R, dtype=torch.float32)
    match how:
        case "token":
            return one_R, length_R.float()
        case "reply_mean":
            return 1 / length_R.float(), one_R
        case "constant":
            return one_R / longest, one_R
        case "reply_sum":
            return one_R, one_R
