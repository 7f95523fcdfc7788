"""What is the log-probability of each scored token, without the logits of all?

The trunk gives one hidden state a token; the head (hidden x vocabulary) is applied only where a
scored token is predicted, in chunks, so that [tokens x vocabulary] never exists whole. The product
is taken in the model's dtype, the log-softmax in float32.

d logp_n / d h_n = W[label_n] - softmax(W h_n) W needs nothing from upstream but one factor a token.
So where the head is frozen (LoRA) it is made in the forward pass while the chunk is at hand, and
backward is one multiplication. A trained head is recomputed.

Shapes: N scored tokens, R replies, H hidden size, V vocabulary, K tokens whose rows learn over a frozen head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from alignwright.model.kernels import kernels
from alignwright.model.llama_blocks import scored_hidden, trunk
from alignwright.model.matmul import PackedWeight, matmul_sum, pack_weight, pack_weight_transposed
from alignwright.model.packing import PackedBatch
from alignwright.model.token_embeddings import TokenDelta, token_delta
from alignwright.model.vocabulary_head import VocabularyHead, head_of

__all__ = [
    "head_logprobs",
    "head_of",
    "label_logprobs",
    "packed_logprobs",
    "reply_logprobs",
    "scored_hidden",
    "token_logprobs",
    "trunk",
]


def token_logprobs(model: nn.Module, batch: PackedBatch, *, chunk: int = 128) -> Tensor:
    """Log-probability (nats, float32) of every scored token, in the order of `batch.label_N`.
    Differentiable."""
    hidden_NH = scored_hidden(model, batch)
    return label_logprobs(hidden_NH, head_of(model), batch.label_N, chunk=chunk)


def label_logprobs(
    hidden_NH: Tensor, head: VocabularyHead, label_N: Tensor, *, temperature: float = 1.0, chunk: int = 128
) -> Tensor:
    """Log-probability of the labels under the model's logits divided by a temperature. A scale of
    the logits, and the temperature, are applied to the states and the bias: fewer numbers."""
    hidden_NH, bias_V, divisor = head.cast(hidden_NH), head.bias, temperature / head.scale
    if divisor != 1:
        hidden_NH, bias_V = hidden_NH / divisor, None if bias_V is None else bias_V / divisor
    cap = None if head.cap is None else head.cap / temperature
    label_N, delta = label_N.to(hidden_NH.device), token_delta(head.layer)
    return head_logprobs(hidden_NH, head.weight, bias_V, label_N, cap=cap, chunk=chunk, delta=delta)


def packed_logprobs(hidden_NH: Tensor, head: VocabularyHead, label_N: Tensor, *, chunk: int = 128) -> Tensor:
    """The same at temperature 1 and without a gradient, by a head that is packed for the while: the
    faster, and rounded otherwise."""
    product, logp_N = head.packed(chunk), torch.empty(len(label_N), dtype=torch.float32, device=hidden_NH.device)
    label_N = label_N.to(hidden_NH.device)
    for part in _parts(len(label_N), chunk):
        logp_N[part], _ = read_logits(product(hidden_NH[part]), label_N[part], None)
    return logp_N


def reply_logprobs(logp_N: Tensor, batch: PackedBatch) -> tuple[Tensor, Tensor]:
    """Sum of the scored tokens' log-probabilities of each reply, and how many tokens they are."""
    reply_N = batch.reply_N.to(logp_N.device)
    sum_R = torch.zeros(batch.reply_count, dtype=logp_N.dtype, device=logp_N.device).index_add(0, reply_N, logp_N)
    return sum_R, torch.bincount(reply_N, minlength=batch.reply_count)


def head_logprobs(
    hidden_NH: Tensor,
    weight_VH: Tensor,
    bias_V: Tensor | None,
    label_N: Tensor,
    *,
    cap: float | None = None,
    chunk: int = 128,
    delta: TokenDelta | None = None,
) -> Tensor:
    """Log-softmax of `hidden @ weight.T + bias` at the labels, a chunk of tokens at a time. With a
    soft cap the logits are `cap * tanh(logits / cap)`; `delta` changes some rows of a frozen weight."""
    ids_K, delta_KH = delta or (None, None)
    return _Head.apply(hidden_NH, weight_VH, bias_V, label_N, cap, chunk, ids_K, delta_KH)  # type: ignore[no-any-return]


class _Head(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_NH: Tensor,
        weight_VH: Tensor,
        bias_V: Tensor | None,
        label_N: Tensor,
        cap: float | None,
        chunk: int,
        ids_K: Tensor | None,
        delta_KH: Tensor | None,
    ) -> Tensor:
        ctx.cap, ctx.chunk = cap, chunk
        ctx.frozen = not (weight_VH.requires_grad or (bias_V is not None and bias_V.requires_grad))
        # 1. With a frozen head the derivative by the hidden state needs one factor a token from upstream, so it is made
        #    here, while a chunk's logits are at hand: backward makes no logits.
        changed = delta_KH is not None and delta_KH.requires_grad
        slope_NH = torch.empty_like(hidden_NH) if ctx.frozen and (hidden_NH.requires_grad or changed) else None
        slope_NK = hidden_NH.new_empty(len(label_N), len(ids_K)) if changed and ids_K is not None else None
        logp_N = torch.empty(len(label_N), dtype=torch.float32, device=hidden_NH.device)
        there = _packed_weight(hidden_NH, weight_VH)
        back = pack_weight_transposed(weight_VH) if slope_NH is not None and there else None
        # 2. A chunk of tokens at a time: [tokens x vocabulary] never exists whole.
        for part in _parts(len(label_N), chunk):
            logits_CV = _logits(hidden_NH[part], weight_VH, bias_V, there)
            if ids_K is not None and delta_KH is not None:
                logits_CV.index_add_(1, ids_K, hidden_NH[part] @ delta_KH.T)
            logp_N[part], slope_CV = _read(logits_CV, label_N[part], 1.0 if slope_NH is not None else None, cap)
            if slope_NH is not None:
                slope_NH[part] = matmul_sum([(slope_CV, back)]) if back else slope_CV @ weight_VH
                if ids_K is not None and delta_KH is not None:
                    slope_NH[part] += slope_CV[:, ids_K] @ delta_KH
                if slope_NK is not None:
                    slope_NK[part] = slope_CV[:, ids_K]
        # 3. A trained head needs its input for its own gradient, so it keeps that and computes the logits once more.
        if slope_NH is not None:
            ctx.save_for_backward(slope_NH, *((slope_NK, hidden_NH) if slope_NK is not None else ()))
        else:
            ctx.save_for_backward(hidden_NH, weight_VH, bias_V, label_N)
        return logp_N

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_N = grads[0]
        if ctx.frozen:
            slope_NH, *of_delta = ctx.saved_tensors
            factor_N1 = grad_N[:, None].to(slope_NH.dtype)
            grad_delta_KH = (of_delta[0] * factor_N1).T @ of_delta[1] if of_delta else None
            return slope_NH * factor_N1, None, None, None, None, None, None, grad_delta_KH
        hidden_NH, weight_VH, bias_V, label_N = ctx.saved_tensors
        grad_hidden_NH = torch.empty_like(hidden_NH)
        grad_weight_VH = torch.zeros_like(weight_VH)
        grad_bias_V = torch.zeros_like(bias_V) if bias_V is not None else None
        there = _packed_weight(hidden_NH, weight_VH)
        for part in _parts(len(label_N), ctx.chunk):
            logits_CV = _logits(hidden_NH[part], weight_VH, bias_V, there)
            _, slope_CV = _read(logits_CV, label_N[part], grad_N[part], ctx.cap)
            grad_hidden_NH[part] = slope_CV @ weight_VH
            grad_weight_VH.addmm_(slope_CV.T, hidden_NH[part])
            if grad_bias_V is not None:
                grad_bias_V += slope_CV.sum(0)
        return grad_hidden_NH, grad_weight_VH, grad_bias_V, None, None, None, None, None


def _packed_weight(hidden_NH: Tensor, weight_VH: Tensor) -> PackedWeight | None:
    """In bfloat16 alone: in float32 torch is as fast here, and needs no two copies of the
    largest weight."""
    return pack_weight(weight_VH) if hidden_NH.dtype == weight_VH.dtype == torch.bfloat16 else None


def _parts(count: int, chunk: int) -> list[slice]:
    return [slice(start, min(start + chunk, count)) for start in range(0, count, chunk)]


def _logits(hidden_CH: Tensor, weight_VH: Tensor, bias_V: Tensor | None, there: PackedWeight | None) -> Tensor:
    if there is None:
        return nn.functional.linear(hidden_CH, weight_VH, bias_V)
    logits_CV = matmul_sum([(hidden_CH, there)])
    return logits_CV if bias_V is None else logits_CV.add_(bias_V)


def _read(
    logits_CV: Tensor, label_C: Tensor, factor: Tensor | float | None, cap: float | None
) -> tuple[Tensor, Tensor]:
    """The labels' log-probabilities, and their derivative by the logits times `factor`, in the
    logits' dtype and place: nothing of use without a factor. With a cap, by the logits before it."""
    if cap is None:
        return read_logits(logits_CV, label_C, factor)
    bent_CV = (logits_CV / cap).tanh_()
    logp_C, slope_CV = read_logits(bent_CV * cap, label_C, factor)
    return logp_C, slope_CV if factor is None else slope_CV.mul_(bent_CV.square_().neg_().add_(1.0))


def read_logits(logits_CV: Tensor, label_C: Tensor, factor: Tensor | float | None = None) -> tuple[Tensor, Tensor]:
    """The labels' log-probabilities, and with a factor their derivative by the logits times it. Float32 logits
    are no longer what they were."""
    if native := kernels(logits_CV):
        logp_C = torch.empty(len(label_C))
        factor_C = torch.ones_like(logp_C).mul_(0.0 if factor is None else factor)
        native.label_logprob(logits_CV, label_C.contiguous(), factor_C, logp_C, *logits_CV.shape, factor is not None)
        return logp_C, logits_CV
    wide_CV = logits_CV.float()
    at_label_C = wide_CV.gather(1, label_C[:, None])[:, 0]
    top_C = wide_CV.amax(1)
    exp_CV = wide_CV.sub_(top_C[:, None]).exp_()
    total_C = exp_CV.sum(1)
    logp_C = at_label_C - top_C - total_C.log()
    if factor is None:
        return logp_C, logits_CV
    slope_CV = exp_CV.div_(-total_C[:, None])
    slope_CV[torch.arange(len(label_C), device=label_C.device), label_C] += 1.0
    return logp_C, slope_CV.mul_(factor[:, None] if isinstance(factor, Tensor) else factor).to(logits_CV.dtype)
