"""What is a sparse autoencoder: which few of its latents does an activation switch on, and what do these add up to?

    pre = (x - b_dec) W_enc + b_enc        z = the latents that the rule keeps        x' = z W_dec + b_dec

Three rules: **TopK** (Gao et al. 2024) keeps a token's k largest, **BatchTopK** (Bussmann et al. 2024) the N k
largest of a batch of N tokens, **JumpReLU** (Rajamanoharan et al. 2024) each that is above its latent's own
threshold. What is kept is at least 0. After training a BatchTopK autoencoder is a JumpReLU one with one threshold
for all, so that a token's latents do not depend on the tokens beside it. Rows of `decoder_FH` have length 1 and
activations are raw, so a latent's value is a length along its direction.

The kept latents are a list (`Active`), never a table: of 4,608 latents 32 are there.

Shapes: N tokens, H hidden size, F latents, A kept latents of all tokens together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Architecture = Literal["topk", "batch_topk", "jumprelu"]
_CHUNK = 2048  # tokens whose pre-activations are made at once
_SAMPLE, _SLACK = 65536, 1.25


@dataclass(frozen=True, eq=False)
class Active:
    """The latents that are kept, token by token: which token, which latent, how much."""

    token_A: Tensor
    latent_A: Tensor
    value_A: Tensor
    tokens: int

    @property
    def starts_N(self) -> Tensor:
        """Where each token's latents begin in the list."""
        return starts(self.token_A, self.tokens)


@dataclass(frozen=True, eq=False)
class Autoencoder:
    """A trained dictionary. `k` is of TopK, `threshold_F` of JumpReLU; with neither every latent above 0 is kept."""

    encoder_FH: Tensor
    bias_F: Tensor
    decoder_FH: Tensor
    centre_H: Tensor
    k: int | None = None
    threshold_F: Tensor | None = None

    @property
    def latents(self) -> int:
        return len(self.bias_F)

    @property
    def hidden(self) -> int:
        return len(self.centre_H)

    def pre(self, states_NH: Tensor) -> Tensor:
        """What every latent would be, before the rule: [N, F]."""
        return torch.addmm(self.bias_F, states_NH.to(self.bias_F) - self.centre_H, self.encoder_FH.T)

    def encode(self, states_NH: Tensor) -> Active:
        """The latents that these activations switch on; exact zeros are not among them."""
        parts = [self._rule(self.pre(part)) for part in states_NH.split(_CHUNK)] or [self._rule(self.pre(states_NH))]
        firsts = [place * _CHUNK for place in range(len(parts))]
        return Active(
            torch.cat([part.token_A + first for part, first in zip(parts, firsts, strict=True)]),
            torch.cat([part.latent_A for part in parts]),
            torch.cat([part.value_A for part in parts]),
            len(states_NH),
        )

    def _rule(self, pre_NF: Tensor) -> Active:
        if self.k is not None:
            active = keep_top(pre_NF, self.k)
        else:
            least_F = torch.zeros_like(self.bias_F) if self.threshold_F is None else self.threshold_F
            active = keep_above(pre_NF, least_F)
        some_A = active.value_A > 0
        return Active(active.token_A[some_A], active.latent_A[some_A], active.value_A[some_A], active.tokens)

    def decode(self, active: Active) -> Tensor:
        """What the latents add up to: [N, H]."""
        return weighted_sum(active.latent_A, active.value_A, active.starts_N, self.decoder_FH) + self.centre_H

    def reconstruct(self, states_NH: Tensor) -> Tensor:
        """The activations as the autoencoder has them, in their own dtype."""
        return self.decode(self.encode(states_NH)).to(states_NH)

    def scaled(self, factor: float) -> Autoencoder:
        """The same dictionary of activations `factor` times as large."""
        threshold_F = None if self.threshold_F is None else self.threshold_F * factor
        return replace(self, bias_F=self.bias_F * factor, centre_H=self.centre_H * factor, threshold_F=threshold_F)


def keep_top(pre_NF: Tensor, k: int) -> Active:
    """The k largest of each token, those below 0 as 0."""
    value_NK, latent_NK = pre_NF.topk(k, dim=-1, sorted=False)
    token_A = torch.arange(len(pre_NF), device=pre_NF.device).repeat_interleave(k)
    return Active(token_A, latent_NK.flatten(), value_NK.flatten().relu(), len(pre_NF))


def keep_batch_top(pre_NF: Tensor, k: int) -> Active:
    """The N k largest of the batch. Exact: a sample says above which number they must lie, and only what lies there is
    sorted."""
    flat, count = pre_NF.flatten(), min(k * len(pre_NF), pre_NF.numel())
    for slack in (_SLACK, 4 * _SLACK):
        least = _quantile_of_sample(flat, min(1.0, slack * count / flat.numel()))
        token_A, latent_A = (pre_NF > max(least, 0.0)).nonzero(as_tuple=True)
        if len(token_A) >= count or least <= 0.0:
            break
    else:
        token_A, latent_A = (pre_NF > 0).nonzero(as_tuple=True)
    value_A = pre_NF[token_A, latent_A]
    if len(value_A) > count:
        order = value_A.topk(count, sorted=False).indices.sort().values
        token_A, latent_A, value_A = token_A[order], latent_A[order], value_A[order]
    return Active(token_A, latent_A, value_A, len(pre_NF))


def keep_above(pre_NF: Tensor, least_F: Tensor) -> Active:
    """Whatever is above its latent's threshold."""
    token_A, latent_A = (pre_NF > least_F.to(pre_NF)).nonzero(as_tuple=True)
    return Active(token_A, latent_A, pre_NF[token_A, latent_A], len(pre_NF))


def starts(group_A: Tensor, groups: int) -> Tensor:
    """Of a list that is sorted by group: where each group begins."""
    counts = torch.bincount(group_A, minlength=groups)
    return counts.cumsum(0) - counts


def weighted_sum(row_A: Tensor, weight_A: Tensor, starts_G: Tensor, rows_RH: Tensor) -> Tensor:
    """Of each group of the list the sum of these rows times these weights: a sparse matrix times `rows_RH`, [G, H]."""
    return F.embedding_bag(row_A, rows_RH, starts_G, mode="sum", per_sample_weights=weight_A.to(rows_RH.dtype))


def by_token(active: Active) -> Iterator[tuple[Tensor, Tensor]]:
    """Token by token, its latents and their values."""
    counts = torch.bincount(active.token_A, minlength=active.tokens).tolist()
    yield from zip(active.latent_A.split(counts), active.value_A.split(counts), strict=True)


def _quantile_of_sample(flat: Tensor, share: float) -> float:
    """A number above which about this share lies, by a sample at even steps."""
    step = max(1, flat.numel() // _SAMPLE) | 1  # odd: never a divisor of a row of 2^n latents
    sample = flat[::step].float()
    place = max(1, round(len(sample) * (1.0 - share)))
    return float(sample.kthvalue(place).values)
