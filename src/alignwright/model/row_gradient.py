"""What is the gradient of a short row by what goes into its first block, at the least cost?

Of a row of thirty tokens the arithmetic takes half of the time; the other half goes to a graph of some
four hundred nodes, made and walked for one gradient. So the way back is written out here: a block keeps
what its derivative needs, and the blocks are gone through in the opposite order, with the products and
kernels that `llama_blocks` uses. Weights take no gradient.

Only of blocks of Llama's plain form (no adapter, no bias, norms before each half and nowhere else) and
where `kernels` have matrix products; for others there is `None`, and autograd does it.

Shapes: P tokens that were read before, M of the row, N whose states are asked for, H hidden size, I inner
size, D head size, A query heads * D, C key heads * D.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from alignwright.model.block_parts import BlockParts, parts, rotary
from alignwright.model.branch_attention import KeysValues
from alignwright.model.kernels import Kernels
from alignwright.model.lora_linear import bare_weight
from alignwright.model.matmul import PackedWeight, can_pack, matmul_sum, pack_weight, pack_weight_transposed
from alignwright.model.shared_prompt_attention import attention_kernels

Back = Callable[[Tensor], Tensor]
"""From the gradient of what came out to that of what went in."""


class PlainRow:
    """The blocks of a model, for rows that are read with a way back."""

    def __init__(self, blocks: Sequence[BlockParts], body: Any, native: Kernels) -> None:
        self.blocks, self.body, self.native = blocks, body, native

    @classmethod
    def of(cls, body: Any) -> PlainRow | None:
        """None where autograd must do it."""
        weight, blocks = body.embed_tokens.weight, parts(body)
        native = attention_kernels(weight.dtype, weight.device, blocks[0].size)
        return cls(blocks, body, native) if native and all(map(_is_plain, blocks)) else None

    @torch.no_grad()
    def read(
        self, x_MH: Tensor, position_M: Tensor, last: int, before: Sequence[KeysValues]
    ) -> tuple[Tensor, list[KeysValues], Back]:
        """The states of the last so many tokens behind all blocks and the norm, the keys and values of the
        row, and the way back."""
        steps: list[Back] = []
        fresh: list[KeysValues] = []
        attention = _Attention(self.blocks[0], len(before[0].key_PC), len(x_MH), self.native)
        scaling = self.body.layers[0].self_attn.scaling
        for block, past, (cos_MD, sin_MD) in zip(self.blocks, before, rotary(self.body, x_MH, position_M), strict=True):
            angles = (cos_MD * scaling, sin_MD * scaling), (cos_MD, sin_MD)
            mixed_MA, kept, back = self._attended(block, x_MH, angles, past, attention)
            fresh.append(kept)
            first = len(x_MH) - last if block is self.blocks[-1] else 0  # no token reads another after this
            added_NH = matmul_sum([(mixed_MA[first:], _packed(block.out))]).add_(x_MH[first:])
            x_MH, back_of_unit = self._unit(block, added_NH)
            steps += [_half(block, back, first), back_of_unit]
        x_MH, back_of_norm = self._norm(self.body.norm, x_MH)
        return x_MH, fresh, lambda grad_NH: _through([*steps, back_of_norm], grad_NH)

    def _attended(
        self, block: BlockParts, x_MH: Tensor, angles: Any, past: KeysValues, attention: _Attention
    ) -> tuple[Tensor, KeysValues, Back]:
        """What attention mixes, the keys and values of these tokens, and the way back to what went in."""
        normed_MH, back_of_norm = self._norm(block.norm, x_MH)
        query_MA, key_MC, value_MC = (matmul_sum([(normed_MH, _packed(layer))]) for layer in block.qkv)
        query_MA, key_MC = self._turned(query_MA, angles[0], 1.0), self._turned(key_MC, angles[1], 1.0)
        kept = KeysValues(key_MC, value_MC)
        mixed_MA, back_of_attention = attention(query_MA, kept, past)

        def back(grad_MA: Tensor) -> Tensor:
            grad_query, grad_key, grad_value = back_of_attention(grad_MA)
            grads = self._turned(grad_query, angles[0], -1.0), self._turned(grad_key, angles[1], -1.0), grad_value
            ways = [(grad, _packed_back(layer)) for grad, layer in zip(grads, block.qkv, strict=True)]
            return back_of_norm(matmul_sum(ways))

        return mixed_MA, kept, back

    def _unit(self, block: BlockParts, x_NH: Tensor) -> tuple[Tensor, Back]:
        """The gated unit and what went in."""
        normed_NH, back_of_norm = self._norm(block.norm_gate, x_NH)
        gate_NI, up_NI = (matmul_sum([(normed_NH, _packed(layer))]) for layer in block.gate_up)
        hidden_NI, (rows, inner) = torch.empty_like(gate_NI), gate_NI.shape
        self.native.swiglu(gate_NI, up_NI, hidden_NI, rows, inner, inner)
        out_NH = matmul_sum([(hidden_NI, _packed(block.down))]).add_(x_NH)

        def back(grad_NH: Tensor) -> Tensor:
            grad_NI = matmul_sum([(grad_NH, _packed_back(block.down))])
            grads = torch.empty_like(gate_NI), torch.empty_like(up_NI)
            self.native.swiglu_backward(gate_NI, up_NI, grad_NI, *grads, rows, inner)
            ways = [(grad, _packed_back(layer)) for grad, layer in zip(grads, block.gate_up, strict=True)]
            return back_of_norm(matmul_sum(ways)).add_(grad_NH)

        return out_NH, back

    def _norm(self, norm: Any, x_NH: Tensor) -> tuple[Tensor, Back]:
        out_NH, scale_N = torch.empty_like(x_NH), x_NH.new_empty(len(x_NH), dtype=torch.float32)
        self.native.rms_norm(x_NH, norm.weight, out_NH, scale_N, *x_NH.shape, norm.variance_epsilon)

        def back(grad_NH: Tensor) -> Tensor:
            grad_x_NH = torch.empty_like(x_NH)
            self.native.rms_norm_backward(x_NH, norm.weight, scale_N, grad_NH, grad_x_NH, *x_NH.shape)
            return grad_x_NH

        return out_NH, back

    def _turned(self, x_MA: Tensor, angles: tuple[Tensor, Tensor], way: float) -> Tensor:
        out_MA, size = torch.empty_like(x_MA), self.blocks[0].size
        self.native.apply_rotary(x_MA, *angles, out_MA, len(x_MA), x_MA.shape[1] // size, size, way)
        return out_MA


class _Sizes(NamedTuple):
    rows: int
    heads: int  # key heads
    queries: int  # of a key head
    keys: int
    size: int  # D


class _Attention:
    """Attention of M tokens to P before them and to each other, on one grid for all blocks."""

    def __init__(self, block: BlockParts, past: int, count: int, native: Kernels) -> None:
        self.past, self.native = past, native
        heads = block.widths[1] // block.size
        group = block.widths[0] // block.widths[1]
        self.sizes = _Sizes(1, heads, count * group, past + count, block.size)
        self.seen = torch.arange(past + 1, past + count + 1).repeat_interleave(group)
        self.gap = torch.zeros(2, dtype=torch.long)

    def __call__(
        self, query_MA: Tensor, own: KeysValues, before: KeysValues
    ) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]]:
        query = self._by_head(query_MA)
        key, value = (self._by_head(torch.cat(pair)) for pair in zip(before, own, strict=True))
        out, mass = torch.empty_like(query), query.new_empty(query.shape[0], self.sizes.queries, dtype=torch.float32)
        self.native.attend(query, key, value, self.seen, self.gap, mass, out, *self.sizes)

        def back(grad_MA: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            grads = tuple(torch.empty_like(each) for each in (query, key, value))
            at = query, key, value, self.seen, self.gap, mass, self._by_head(grad_MA)
            self.native.attend_backward(*at, *grads, *self.sizes)
            grad_query, grad_key, grad_value = grads
            return _flat(grad_query), _flat(grad_key[:, self.past :]), _flat(grad_value[:, self.past :])

        return _flat(out), back

    def _by_head(self, x: Tensor) -> Tensor:
        """[key heads, tokens, the rest]."""
        return x.view(len(x), self.sizes.heads, -1).transpose(0, 1).contiguous()


def _flat(x: Tensor) -> Tensor:
    """[tokens, all of a token]."""
    return x.transpose(0, 1).reshape(x.shape[1], -1)


def _half(block: BlockParts, back: Back, first: int) -> Back:
    """The way back through attention and its product, of which only tokens from `first` on went further."""

    def through(grad_NH: Tensor) -> Tensor:
        grad_MA = matmul_sum([(grad_NH, _packed_back(block.out))])
        if first:
            grad_MA, grad_NH = (torch.nn.functional.pad(each, (0, 0, first, 0)) for each in (grad_MA, grad_NH))
        return back(grad_MA).add_(grad_NH)

    return through


def _through(steps: Sequence[Back], grad: Tensor) -> Tensor:
    for back in reversed(steps):
        grad = back(grad)
    return grad


def _is_plain(block: BlockParts) -> bool:
    elsewhere = block.query_norm, block.key_norm, block.norm_out, block.norm_down
    layers = *block.qkv, block.out, *block.gate_up, block.down
    return (
        len(block.qkv) == 3
        and len(block.gate_up) == 2
        and all(norm is not None for norm in (block.norm, block.norm_gate))
        and all(norm is None for norm in elsewhere)
        and block.factor == 1.0
        and block.rotary == block.size
        and all(bare_weight(layer) is not None for layer in layers)
        and all(_can_pack(layer.weight) for layer in layers)
    )


def _can_pack(weight_OI: Tensor) -> bool:
    """Both ways."""
    return can_pack(weight_OI) and can_pack(weight_OI.T)


def _packed(layer: Any) -> PackedWeight:
    weight = pack_weight(layer.weight)
    assert weight is not None, "plain blocks can be packed"
    return weight


def _packed_back(layer: Any) -> PackedWeight:
    weight = pack_weight_transposed(layer.weight)
    assert weight is not None, "plain blocks can be packed both ways"
    return weight
