"""What is the gradient of an autoencoder's loss on a batch, where only a few of its latents are on?

    loss = mean over tokens of |x' - x|^2  +  1/32 of the same of what the dead latents make of the rest

By hand, and through the kept latents alone: the encoder's product is dense, everything after it is a sum over the
list of what was kept (`weighted_sum`), so a step costs little more than that product. It equals the gradient of the
same loss written densely (to 1e-6 in float64, `tests/test_lens_sae.py`).

- **Dead latents** (AuxK, Gao et al. 2024): what was not on for long is asked to explain what the others left, as
  many as half the hidden size at a time, in turns, so that its cost has a bound.
- **JumpReLU**: a threshold has a gradient only by a straight-through estimate, a window around it; how many latents
  are on is held at k by `H (L0 / k - 1)^2`, so that one knob says the sparsity of all three rules.

Shapes: N tokens, H hidden size, F latents, A kept latents of all tokens together, D dead latents.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from alignwright.lens.sae.autoencoder import (
    Active,
    Architecture,
    keep_above,
    keep_batch_top,
    keep_top,
    starts,
    weighted_sum,
)

AUX = 1 / 32
WINDOW = 0.1
"""How far from its threshold JumpReLU's estimate looks, beside activations whose numbers have a mean square of 1."""


@dataclass(eq=False)
class Weights:
    """What is learnt. `log_threshold_F` is of JumpReLU alone."""

    encoder_FH: Tensor
    bias_F: Tensor
    decoder_FH: Tensor
    centre_H: Tensor
    log_threshold_F: Tensor | None = None

    def by_name(self) -> dict[str, Tensor]:
        names = ("encoder_FH", "bias_F", "decoder_FH", "centre_H", "log_threshold_F")
        return {name: tensor for name in names if (tensor := getattr(self, name)) is not None}


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch's loss and gradients (by the names of the weights), and which latents were on."""

    loss: float
    aux: float
    gradients: dict[str, Tensor]
    active: Active


@torch.no_grad()
def gradients(
    weights: Weights,
    states_NH: Tensor,
    architecture: Architecture,
    k: int,
    *,
    dead_D: Tensor | None = None,
    coarse: bool = False,
) -> Batch:
    """`dead_D`: the latents that are to be revived. `coarse`: the encoder's product is taken in bfloat16."""
    # 1. The one dense product, and the few latents that the rule keeps.
    centred_NH = states_NH - weights.centre_H
    coarse_type = torch.bfloat16 if coarse else states_NH.dtype
    pre_NF = torch.addmm(
        weights.bias_F.to(coarse_type), centred_NH.to(coarse_type), weights.encoder_FH.to(coarse_type).T
    )
    active, near_A = _active(weights, pre_NF, architecture, k)
    token_starts_N = active.starts_N
    # 2. What they add up to, and what is left of the activation.
    value_A = active.value_A.requires_grad_()
    with torch.enable_grad():
        made_NH = weighted_sum(active.latent_A, value_A, token_starts_N, weights.decoder_FH.detach())
    rest_NH = states_NH - made_NH.detach() - weights.centre_H
    loss = float(rest_NH.square().sum() / len(states_NH))
    slope_NH = rest_NH * (-2 / len(states_NH))
    # 3. Back to the kept values, and from these to the rows of both matrices: sums over the list, sorted by latent.
    (slope_A,) = torch.autograd.grad(made_NH, value_A, slope_NH)  # never lays out a row for each entry of the list
    value_A = value_A.detach()
    on_A = value_A > 0
    back_A = slope_A * on_A
    order = active.latent_A.argsort(stable=True)
    latent_starts_F = starts(active.latent_A, len(weights.bias_F))
    token_A = active.token_A[order]
    bias_F = torch.zeros_like(weights.bias_F).index_add_(0, active.latent_A, back_A)
    slopes = {
        "encoder_FH": weighted_sum(token_A, back_A[order], latent_starts_F, centred_NH),
        "bias_F": bias_F,
        "decoder_FH": weighted_sum(token_A, value_A[order], latent_starts_F, slope_NH),
        "centre_H": slope_NH.sum(0) - bias_F @ weights.encoder_FH,
    }
    if weights.log_threshold_F is not None and near_A is not None:
        penalty, slopes["log_threshold_F"] = _threshold(weights.log_threshold_F, active, near_A, slope_A, k, weights)
        loss += penalty
    aux = 0.0
    if dead_D is not None and len(dead_D):
        aux = _revive(weights, centred_NH, pre_NF, rest_NH, dead_D, slopes)
    on = Active(active.token_A[on_A], active.latent_A[on_A], value_A[on_A], active.tokens)
    return Batch(loss, aux, slopes, on)


def _active(weights: Weights, pre_NF: Tensor, architecture: Architecture, k: int) -> tuple[Active, Tensor | None]:
    """The list of what is kept, values in the weights' dtype; of JumpReLU what is just below its threshold is in it
    too, with the value 0, and which of the list are near theirs."""
    if weights.log_threshold_F is None:
        active = keep_top(pre_NF, k) if architecture == "topk" else keep_batch_top(pre_NF, k)
        return Active(active.token_A, active.latent_A, active.value_A.to(weights.bias_F), active.tokens), None
    threshold_F = weights.log_threshold_F.exp()
    active = keep_above(pre_NF, threshold_F - WINDOW / 2)
    value_A, threshold_A = active.value_A.to(weights.bias_F), threshold_F[active.latent_A]
    near_A = (value_A - threshold_A).abs() < WINDOW / 2
    value_A = value_A * ((value_A > threshold_A) & (value_A > 0))
    return Active(active.token_A, active.latent_A, value_A, active.tokens), near_A


def _threshold(
    log_threshold_F: Tensor, active: Active, near_A: Tensor, slope_A: Tensor, k: int, weights: Weights
) -> tuple[float, Tensor]:
    """The penalty on how many latents are on, and the thresholds' gradient of it and of the loss, by the window."""
    threshold_F, hidden = log_threshold_F.exp(), len(weights.centre_H)
    excess = float((active.value_A > 0).sum()) / active.tokens / k - 1
    per_entry = 2 * hidden * excess / k / active.tokens
    back_A = near_A * (threshold_F[active.latent_A] * slope_A + per_entry) * (-1 / WINDOW)
    slope_F = torch.zeros_like(log_threshold_F).index_add_(0, active.latent_A, back_A)
    return hidden * excess**2, slope_F * threshold_F


def _revive(
    weights: Weights, centred_NH: Tensor, pre_NF: Tensor, rest_NH: Tensor, dead_D: Tensor, slopes: dict[str, Tensor]
) -> float:
    """The dead latents' own loss, its products in the dtype of `pre_NF`; its gradients are added. What the others left
    counts as given."""
    value_ND = pre_NF[:, dead_D].relu()
    decoder_DH, encoder_DH = weights.decoder_FH[dead_D].to(pre_NF), weights.encoder_FH[dead_D]
    missed_NH = (value_ND @ decoder_DH).to(rest_NH) - rest_NH
    slope_NH = (missed_NH * (2 * AUX / len(centred_NH))).to(pre_NF)
    back_ND = (slope_NH @ decoder_DH.T) * (value_ND > 0)
    bias_D = back_ND.to(rest_NH).sum(0)
    slopes["decoder_FH"].index_add_(0, dead_D, (value_ND.T @ slope_NH).to(rest_NH))
    slopes["encoder_FH"].index_add_(0, dead_D, (back_ND.T @ centred_NH.to(pre_NF)).to(rest_NH))
    slopes["bias_F"].index_add_(0, dead_D, bias_D)
    slopes["centre_H"] -= bias_D @ encoder_DH
    return AUX * float(missed_NH.square().sum()) / len(centred_NH)
