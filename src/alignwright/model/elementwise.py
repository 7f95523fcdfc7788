"""What does a block compute between its matrix products (RMS norm, rotary positions, SwiGLU), and
what is the gradient of it?

Each is one node of the gradient with its derivative by hand. Left to the library they are some
thirty operations a block, each a pass over memory, and most keep what they computed: a sixth of a
training step on a processor, and half its memory. Here what is cheap is computed again in the
backward pass, and sums are taken in float32.

On a processor each is one pass over memory where `kernels` can be had, and a few of torch's
operations elsewhere.

Left out: `torch.compile`, which does the same by itself but needs minutes, more than a run of this
size lasts.

Shapes: N tokens, H hidden size, I inner size, A heads * D, D head size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from alignwright.model.kernels import kernels


def rms_norm(x_NH: Tensor, weight_H: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean x^2 + eps) * weight, in float32 within (Zhang and Sennrich 2019,
    arXiv:1910.07467)."""
    return _applied(_RmsNorm, x_NH, weight_H, eps)


def swiglu(gate_NI: Tensor, up_NI: Tensor) -> Tensor:
    """silu(gate) * up (Shazeer 2020, arXiv:2002.05202)."""
    return _applied(_SwiGlu, gate_NI, up_NI)


def apply_rotary(x_NA: Tensor, cos_ND: Tensor, sin_ND: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021, arXiv:2104.09864): every head's two halves are turned as
    pairs."""
    return _applied(_Rotary, x_NA, cos_ND, sin_ND)


def pair_halves(x_NA: Tensor, size: int, rotary: int) -> Tensor:
    """Where only the first `rotary` of a head's numbers turn: in the order in which `apply_rotary`
    pairs them, each half of these before half of the others. A score is the same in any order that
    queries and keys share."""
    return _applied(_PairHalves, x_NA, size, rotary)


class _Unkept:
    """What a forward pass writes to where there is no way back."""

    def save_for_backward(self, *_: Tensor) -> None:
        pass


def _applied(function: Any, *arguments: Any) -> Tensor:
    """A node of the gradient costs as much as the arithmetic of a few hundred tokens, so there is none
    where no gradient is wanted."""
    return function.apply(*arguments) if torch.is_grad_enabled() else function.forward(_Unkept(), *arguments)


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NH: Tensor, weight_H: Tensor, eps: float) -> Tensor:
        if native := kernels(x_NH, weight_H):
            x_NH, out_NH, scale_N1 = (
                x_NH.contiguous(),
                torch.empty_like(x_NH),
                x_NH.new_empty(len(x_NH), 1, dtype=torch.float32),
            )
            native.rms_norm(x_NH, weight_H, out_NH, scale_N1, *x_NH.shape, eps)
            ctx.save_for_backward(x_NH, weight_H, scale_N1)
            return out_NH
        wide_NH = x_NH.float()
        scale_N1 = torch.mul(wide_NH, wide_NH).mean(-1, keepdim=True).add_(eps).rsqrt_()
        ctx.save_for_backward(x_NH, weight_H, scale_N1)
        return torch.mul(wide_NH, scale_N1).mul_(weight_H.float()).to(x_NH.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x_NH, weight_H, scale_N1 = ctx.saved_tensors
        native = kernels(x_NH, weight_H, grads[0])
        if native and not ctx.needs_input_grad[1]:
            out_NH = torch.empty_like(x_NH)
            native.rms_norm_backward(x_NH, weight_H, scale_N1, grads[0].contiguous(), out_NH, *x_NH.shape)
            return out_NH, None, None
        unit_NH = torch.mul(x_NH.float(), scale_N1)
        grad_NH = grads[0].float()
        grad_weight = torch.mul(grad_NH, unit_NH).sum(0).to(weight_H.dtype) if ctx.needs_input_grad[1] else None
        grad_NH = torch.mul(grad_NH, weight_H.float())
        along_N1 = torch.mul(grad_NH, unit_NH).mean(-1, keepdim=True)
        return grad_NH.sub_(unit_NH.mul_(along_N1)).mul_(scale_N1).to(x_NH.dtype), grad_weight, None


class _SwiGlu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_NI: Tensor, up_NI: Tensor) -> Tensor:
        ctx.save_for_backward(gate_NI, up_NI)
        if native := kernels(gate_NI, up_NI):
            gate_NI, up_NI = gate_NI.contiguous(), up_NI.contiguous()
            out_NI = torch.empty_like(gate_NI)
            native.swiglu(gate_NI, up_NI, out_NI, *gate_NI.shape, gate_NI.shape[1])
            return out_NI
        return F.silu(gate_NI).mul_(up_NI)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        gate_NI, up_NI = ctx.saved_tensors
        if native := kernels(gate_NI, up_NI, grads[0]):
            gate_NI, up_NI = gate_NI.contiguous(), up_NI.contiguous()
            grad_gate, grad_up = torch.empty_like(gate_NI), torch.empty_like(up_NI)
            native.swiglu_backward(gate_NI, up_NI, grads[0].contiguous(), grad_gate, grad_up, *gate_NI.shape)
            return grad_gate, grad_up
        grad_up = F.silu(gate_NI).mul_(grads[0])
        return torch.ops.aten.silu_backward(grads[0] * up_NI, gate_NI), grad_up


class _Rotary(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NA: Tensor, cos_ND: Tensor, sin_ND: Tensor) -> Tensor:
        ctx.save_for_backward(cos_ND, sin_ND)
        return _rotate_pairs(x_NA, cos_ND, sin_ND, 1.0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        cos_ND, sin_ND = ctx.saved_tensors
        return _rotate_pairs(grads[0], cos_ND, sin_ND, -1.0), None, None  # a rotation's transpose is the rotation back


class _PairHalves(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NA: Tensor, size: int, rotary: int) -> Tensor:
        half, rest = rotary // 2, (size - rotary) // 2
        ctx.sizes = size, half, rest
        return _swap_inner(x_NA, size, half, half, rest)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        size, half, rest = ctx.sizes
        return _swap_inner(grads[0].contiguous(), size, half, rest, half), None, None


def _swap_inner(x_NA: Tensor, size: int, first: int, second: int, third: int) -> Tensor:
    """Of each head's four parts the second and the third change places."""
    x = x_NA.view(len(x_NA), -1, size)
    parts = x.split([first, second, third, size - first - second - third], dim=2)
    return torch.cat([parts[0], parts[2], parts[1], parts[3]], dim=2).view(x_NA.shape)


def _rotate_pairs(x_NA: Tensor, cos_ND: Tensor, sin_ND: Tensor, way: float) -> Tensor:
    """(a, b) -> (a cos - b sin, b cos + a sin), where sin comes with the first half already
    negated: see `signed_sine`. `way` -1 turns back."""
    size = cos_ND.shape[-1]
    if native := kernels(x_NA, cos_ND, sin_ND):
        x_NA, out_NA = x_NA.contiguous(), torch.empty_like(x_NA, memory_format=torch.contiguous_format)
        native.apply_rotary(
            x_NA, cos_ND.contiguous(), sin_ND.contiguous(), out_NA, len(x_NA), x_NA.shape[1] // size, size, way
        )
        return out_NA
    x = x_NA.view(x_NA.shape[0], -1, size)
    swapped = torch.cat((x[..., size // 2 :], x[..., : size // 2]), dim=-1)
    return torch.mul(x, cos_ND[:, None]).addcmul_(swapped, sin_ND[:, None], value=way).view(x_NA.shape)


def signed_sine(sin_ND: Tensor) -> Tensor:
    """Sines as `apply_rotary` takes them: the first half negated."""
    half = sin_ND.shape[-1] // 2
    return torch.cat((-sin_ND[..., :half], sin_ND[..., half:]), dim=-1)
