"""How is a matrix product (matmul, GEMM) with a weight that does not change made as fast as the
processor multiplies?

By packing: the weight is read in the order in which it is used. `pack_weight` puts it into that
order, which costs less than a product of eight rows and is kept where a model generates;
`matmul_sum` sums several products into one result, so that an adapter is added while the sum is
still in the registers. On a processor with AVX-512 and bfloat16 (measured on AMD Zen 4) a thousand
rows run at 97 % of what the unit can do (oneDNN: 80 to 90), and eight at the speed of memory, 1.5
times oneDNN's; with AVX2 in float32 (Zen 3) at 93 % (torch: 89).

`pack_weight` is None where `kernels` has no products: without AVX2, for bfloat16 without AVX-512's
instructions for it, on a processor with a matrix unit (AMX), which oneDNN drives better, and for
sizes that do not fit (outputs not a multiple of the 8 or 16 numbers of a register, an odd number of
inputs). Then torch multiplies.

Shapes: N rows, I inputs, O outputs.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import torch
from torch import Tensor, nn

from alignwright.model.kernels import Kernels, kernels

Packs = dict[tuple[int, torch.dtype, bool], tuple["PackedWeight", Tensor]]
"""Packed parameters by their place in memory, each beside the parameter, which so keeps that place."""
_packs: list[Packs | None] = [None]
_PARTS = 8  # as many as `matmul.c` has room for


@dataclass(frozen=True)
class PackedWeight:
    """A weight in the order in which `matmul.c` reads it."""

    data: Tensor
    inputs: int
    outputs: int
    native: Kernels


def pack_weight(weight_OI: Tensor) -> PackedWeight | None:
    """For x W'."""
    return _pack(weight_OI, weight_OI.shape[1], weight_OI.shape[0], across=False)


def pack_weight_transposed(weight_IO: Tensor) -> PackedWeight | None:
    """For x W: the way back through a layer."""
    return _pack(weight_IO, *weight_IO.shape, across=True)


@contextlib.contextmanager
def packed_once(packs: Packs) -> Iterator[None]:
    """Parameters are packed into `packs` and taken from there while this lasts, for work that reads
    the same weights again and again in small batches. They must not change meanwhile."""
    before = _packs[0]
    _packs[0] = packs
    try:
        yield
    finally:
        _packs[0] = before


def can_pack(weight_OI: Tensor) -> bool:
    """Whether a weight of this size can be packed."""
    return _kernels_for(weight_OI, weight_OI.shape[1], weight_OI.shape[0]) is not None


def matmul_sum(parts: Sequence[tuple[Tensor, PackedWeight]]) -> Tensor:
    """The sum of the products of x [N, I] and its weight, rounded once; at most eight of them.
    [N, O]."""
    assert 0 < len(parts) <= _PARTS, f"{len(parts)} products at once"
    x_NI, first = parts[0]
    out_NO = x_NI.new_empty(len(x_NI), first.outputs)
    if len(parts) == 1 and x_NI.is_contiguous():
        first.native.matmul(x_NI, first.data, out_NO, *out_NO.shape, first.inputs)
        return out_NO
    rows = [x if x.stride(1) == 1 else x.contiguous() for x, _ in parts]
    table = (_Part * len(parts))(
        *(
            _Part(x.data_ptr(), each.data.data_ptr(), each.inputs, x.stride(0))
            for x, (_, each) in zip(rows, parts, strict=True)
        )
    )
    first.native.matmul_sum(table, len(parts), out_NO, *out_NO.shape)
    return out_NO


def matmul_swiglu(x_NI: Tensor, gate: PackedWeight, up: PackedWeight) -> Tensor:
    """silu(x gate') * (x up') to the bit as if both products had been written out, in one pass: [N, O]."""
    x_NI, out_NO = x_NI.contiguous(), x_NI.new_empty(len(x_NI), gate.outputs)
    gate.native.matmul_swiglu(x_NI, gate.data, up.data, out_NO, *out_NO.shape, gate.inputs)
    return out_NO


def outer(left_NR: Tensor, right_NO: Tensor) -> Tensor:
    """left' right, the sum of the outer products of their rows: the gradient of a low-rank matrix;
    from R = 200 on torch is faster. [R, O]."""
    native = kernels(left_NR, right_NO)
    if native is None or not native.has_matmul or right_NO.shape[1] % native.vector_width:
        return left_NR.T @ right_NO
    left_NR = left_NR if left_NR.stride(1) == 1 else left_NR.contiguous()
    (rows, wide), out_RO = left_NR.shape, right_NO.new_empty(left_NR.shape[1], right_NO.shape[1])
    native.outer(left_NR, right_NO.contiguous(), out_RO, rows, wide, left_NR.stride(0), right_NO.shape[1])
    return out_RO


def linear(x_NI: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
    """torch's linear layer, without a gradient."""
    weight = pack_weight(weight_OI) if x_NI.dtype == weight_OI.dtype else None
    if weight is None:
        return torch.nn.functional.linear(x_NI, weight_OI, bias_O)
    out_NO = matmul_sum([(x_NI, weight)])
    return out_NO if bias_O is None else out_NO.add_(bias_O)


def input_gradient(ways: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The sum of g W over several (g [N, O], W [O, I]): how the gradient comes back through
    layers of one input. [N, I]."""
    fast = [pack_weight_transposed(weight_OI) for _, weight_OI in ways]
    if all_packed(fast):
        return matmul_sum([(grad_NO, each) for (grad_NO, _), each in zip(ways, fast, strict=True)])
    grad_NI = ways[0][0] @ ways[0][1]
    for grad_NO, weight_OI in ways[1:]:
        grad_NI.addmm_(grad_NO, weight_OI)
    return grad_NI


def all_packed(weights: Sequence[PackedWeight | None]) -> TypeGuard[Sequence[PackedWeight]]:
    """Whether every one could be packed."""
    return all(weight is not None for weight in weights)


class _Part(ctypes.Structure):
    _fields_ = (("x", ctypes.c_void_p), ("w", ctypes.c_void_p), ("i", ctypes.c_long), ("apart", ctypes.c_long))


def _pack(weight: Tensor, inputs: int, outputs: int, *, across: bool) -> PackedWeight | None:
    packs = _packs[0] if isinstance(weight, nn.Parameter) else None
    key = (weight.data_ptr(), weight.dtype, across)
    if packs is not None and (old := packs.get(key)) is not None:
        return old[0]
    native = _kernels_for(weight, inputs, outputs)
    if native is None:
        return None
    plain, data = weight.detach().contiguous(), torch.empty_like(weight, memory_format=torch.contiguous_format)
    (native.pack_weight_transposed if across else native.pack_weight)(plain, data, outputs, inputs)
    fresh = PackedWeight(data.detach(), inputs, outputs, native)
    if packs is not None:
        packs[key] = fresh, weight
    return fresh


def _kernels_for(weight: Tensor, inputs: int, outputs: int) -> Kernels | None:
    native, step = kernels(weight), 2 if weight.dtype == torch.bfloat16 else 1
    return (
        native if native and native.has_matmul and outputs % native.vector_width == 0 and inputs % step == 0 else None
    )
