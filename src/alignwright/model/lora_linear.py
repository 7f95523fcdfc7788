"""How does a LoRA layer train in few passes over memory, and without keeping an input that can be
recomputed (activation checkpointing)?

In training peft's forward makes five large temporaries a layer (product, scaling, sum, and their
gradients). `_Fused` is the same function with its gradient by hand, for all layers of one input at
once: their A matrices are one product, and the gradient of the input is summed inside the products.
An input that is cheaply made of what is kept anyway is not kept itself but made again in the
backward pass, a `Recompute`: a third of what a block would keep.

Shapes: N tokens, I inputs, O outputs, R rank.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from alignwright.model.matmul import all_packed, input_gradient, linear, matmul_sum, outer, pack_weight
from alignwright.model.peft_types import is_lora_linear


class Recompute(NamedTuple):
    """The input of a layer, computed again in its backward pass with the same bits: `by(*of)`."""

    by: Callable[..., Tensor]
    of: tuple[Tensor, ...]


class _Fused(torch.autograd.Function):
    """Of several linear layers with one input: x W' + b + scale * (x A') B' of each, W and b
    frozen. `flat` is (W, b, A, B) of each."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, recompute: Recompute | None, scales: tuple[float, ...], *flat: Any
    ) -> tuple[Tensor, ...]:
        # 1. All A matrices read one input, so they are one product.
        x_NI, parts = x.reshape(-1, x.shape[-1]), _fours(flat)
        low_NR = linear(x_NI, torch.cat([a_RI for _, _, a_RI, _ in parts]), None).split(
            [a_RI.shape[0] for _, _, a_RI, _ in parts], dim=1
        )
        outs = []
        for (weight_OI, bias_O, _, b_OR), low, scale in zip(parts, low_NR, scales, strict=True):
            # 2. The adapter is added while the sum is in the registers, where weights can be packed; else to the very
            #    product that the layer makes without its adapter: the reference must round alike.
            fast = pack_weight(weight_OI), pack_weight(b_OR * scale)
            if all_packed(fast):
                out_NO = matmul_sum(list(zip((x_NI, low), fast, strict=True)))
                out_NO = out_NO if bias_O is None else out_NO.add_(bias_O)
            else:
                out_NO = linear(x_NI, weight_OI, bias_O).addmm_(low, b_OR.T, alpha=scale)
            outs.append(out_NO.view(*x.shape[:-1], -1))
        # 3. Activation checkpointing: what the input is made of is kept in its place, where that is kept anyway.
        ctx.restore_input = _keep(ctx, x, recompute, *low_NR, *flat)
        ctx.scales, ctx.shape = scales, x.shape
        return tuple(outs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        count = len(ctx.scales)
        # 1. The input, recomputed with the same bits where it was not kept.
        x_NI, rest = ctx.restore_input(ctx.saved_tensors)
        lows, parts = rest[:count], _fours(rest[count:])
        # 2. Through B: the gradient of x A', and of B itself.
        backs, slopes = [], []
        for grad, (_, _, _, b_OR), low_NR, scale in zip(grads, parts, lows, ctx.scales, strict=True):
            grad_NO = grad.reshape(-1, grad.shape[-1])
            backs.append(input_gradient([(grad_NO, b_OR * scale)]))
            slopes.append(outer(low_NR, grad_NO).T.mul(scale))
        back_NR = torch.cat(backs, dim=1) if count > 1 else backs[0]
        # 3. Of the input: all frozen weights and all A matrices summed in one product, rounded once.
        grad_x = None
        if ctx.needs_input_grad[0]:
            ways = [
                (grad.reshape(-1, grad.shape[-1]), weight_OI)
                for grad, (weight_OI, _, _, _) in zip(grads, parts, strict=True)
            ]
            ways.append((back_NR, torch.cat([a_RI for _, _, a_RI, _ in parts])))
            grad_x = input_gradient(ways).view(ctx.shape)
        # 4. Of the A matrices, again as one.
        grad_a = outer(back_NR, x_NI).split([a_RI.shape[0] for _, _, a_RI, _ in parts])
        return grad_x, None, None, *(g for a, b in zip(grad_a, slopes, strict=True) for g in (None, None, a, b))


class _Plain(torch.autograd.Function):
    """x W' + b, of a layer without an adapter."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, recompute: Recompute | None, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
        ctx.restore_input, ctx.shape = _keep(ctx, x, recompute, weight_OI), x.shape
        return linear(x.reshape(-1, x.shape[-1]), weight_OI, bias_O).view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, Tensor | None, Tensor | None]:
        x_NI, (weight_OI,) = ctx.restore_input(ctx.saved_tensors)
        grad_NO = grads[0].reshape(-1, grads[0].shape[-1])
        grad_x = input_gradient([(grad_NO, weight_OI)]).view(ctx.shape) if ctx.needs_input_grad[0] else None
        grad_weight = grad_NO.T @ x_NI if ctx.needs_input_grad[2] else None
        return grad_x, None, grad_weight, grad_NO.sum(0) if ctx.needs_input_grad[3] else None


def _keep(
    ctx: Any, x: Tensor, recompute: Recompute | None, *others: Any
) -> Callable[[Sequence[Any]], tuple[Tensor, Sequence[Any]]]:
    """Keep an input, or what it is made of, and others for the way back; who takes them out
    again gets (x as rows, others)."""
    by, of = recompute or (None, (x,))
    ctx.save_for_backward(*of, *others)
    count = len(of)
    del x, recompute, of  # what is kept is autograd's to free

    def restore(tensors: Sequence[Any]) -> tuple[Tensor, Sequence[Any]]:
        again = by(*tensors[:count]) if by else tensors[0]
        return again.reshape(-1, again.shape[-1]), tensors[count:]

    return restore


def _fours(flat: Sequence[Any]) -> list[Any]:
    return [flat[i : i + 4] for i in range(0, len(flat), 4)]


def linears(x: Tensor, *layers: Any, recompute: Recompute | None = None) -> tuple[Tensor, ...]:
    """What each of several layers makes of one input, at once where all are linear layers with
    an adapter over them."""
    if not all(is_lora_linear(layer) and "forward" in vars(layer) and not layer.disable_adapters for layer in layers):
        return tuple(_plain(layer, x, recompute) for layer in layers)
    flat: list[Any] = []
    scales: list[float] = []
    for layer in layers:
        (name,) = layer.active_adapters
        base = layer.get_base_layer()
        flat += base.weight, base.bias, layer.lora_A[name].weight, layer.lora_B[name].weight
        scales.append(layer.scaling[name])
    if not torch.is_grad_enabled() and not any(
        b_OR.any() for _, _, _, b_OR in _fours(flat)
    ):  # a new adapter adds zeros: many a reference
        return tuple(_Plain.apply(x, recompute, weight_OI, bias_O) for weight_OI, bias_O, _, _ in _fours(flat))
    return _Fused.apply(x, recompute, tuple(scales), *flat)  # type: ignore[no-any-return]


def _plain(layer: Any, x: Tensor, recompute: Recompute | None) -> Tensor:
    """One layer by itself; without its adapter where that is off or merged."""
    off = is_lora_linear(layer) and "forward" in vars(layer) and layer.disable_adapters
    base: Any = layer.get_base_layer() if off else layer
    if type(base) is not nn.Linear or "forward" in vars(base):
        return layer(x)
    if not torch.is_grad_enabled():  # a node of the gradient costs as much as a small product
        return linear(x.reshape(-1, x.shape[-1]), base.weight, base.bias).view(*x.shape[:-1], -1)
    return _Plain.apply(x, recompute, base.weight, base.bias)  # type: ignore[no-any-return]


def bare_weight(layer: Any) -> Tensor | None:
    """The weight of a linear layer that adds nothing to its product: no adapter over it and no bias."""
    bare = type(layer) is nn.Linear and "forward" not in vars(layer) and layer.bias is None
    return layer.weight if bare else None


def fuse_lora(model: Any) -> None:
    """Let plain LoRA layers (one adapter over a linear layer, no dropout) run as `_Fused`;
    others stay peft's own."""
    for layer in model.modules():
        if is_lora_linear(layer) and not layer.lora_variant and type(layer.get_base_layer()) is nn.Linear:
            layer.forward = partial(_forward, layer)  # type: ignore[method-assign]


def _forward(layer: Any, x: Tensor) -> Tensor:
    return layer.get_base_layer()(x) if layer.disable_adapters else linears(x, layer)[0]
