"""How does a model with blocks of Llama's kind decode one token more over a KV cache, at the least
cost?

A step is small products and many operations between them, so both are made few: queries, keys and
values are one product, gate and up another, weights are packed once for all steps
(`packed_linear`), keys and values are written in place. Where `kernels` can be had, three calls a
layer (five where queries and keys are normed) do all that is not a product; elsewhere attention is
two plain products: the library's fused kernel took longer than all the rest at 64 rows. The cache
grows by whole blocks of columns, those not yet written masked: every new shape of a product costs a
compilation, and a part of a wider cache would be copied by every product that reads it. Models of
another kind go through `kv_cache`.

Shapes: R rows, M tokens of the prompts, W widest prompt, S columns of the cache, K key heads, G
query heads to a key head, D head size, H hidden size, C = K * D, V vocabulary.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from alignwright.model.adapters import linear_under, merged, plain_weights
from alignwright.model.block_parts import BlockParts, embed, normed, parts, rotary
from alignwright.model.elementwise import apply_rotary, swiglu
from alignwright.model.joined_rows import COLUMNS, join, whole_blocks
from alignwright.model.kernels import Kernels, kernels
from alignwright.model.kv_cache import TransformersDecoder
from alignwright.model.llama_blocks import flat_hidden, has_fast_blocks, short_enough, trunk
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.logprob import head_of
from alignwright.model.matmul import can_pack
from alignwright.model.model_rows import plain_rows
from alignwright.model.own_cache import OwnCacheDecoder
from alignwright.model.packed_linear import packed_linear, packed_linears
from alignwright.model.packing import additive, pack
from alignwright.model.token_embeddings import delta_merged
from alignwright.model.tokens import TokenRow

Product = Callable[[Tensor], Tensor]


PromptCaches = Sequence[Sequence[tuple[Tensor, Tensor]]]
"""Of each prompt, block by block, the keys, rotated, and the values of all its tokens but the last, [M, C] each."""


class Decoder(Protocol):
    """Rows under way."""

    def begin(
        self,
        prompts: Sequence[Sequence[int]],
        prompt_of_row: Sequence[int],
        room: int,
        caches: PromptCaches | None = None,
    ) -> Tensor:
        """One row for each prompt index in `prompt_of_row`, with room for so many tokens; the
        logits of what comes next. `caches` may spare reading the prompts; an empty one spares none."""
        ...

    def step(self, token_R: Tensor) -> Tensor:
        """Add a token to every row; the logits of what comes next."""
        ...

    def keep(self, row_R: Tensor) -> None:
        """Go on with these rows only, in this order."""
        ...


@contextlib.contextmanager
def decoding(policy: LoadedModel, rows: int, *, longest: int) -> Iterator[Decoder]:
    """The decoder for this model, its adapter merged, for about so many rows and for none longer
    than `longest` tokens, the prompt included. The weights must not change while it lasts.

    Where our own products take every weight, each is merged and packed by itself and nothing else
    is kept: the prompts are read by the same packed weights. Elsewhere the whole model is merged
    for the while.
    """
    body = trunk(policy.model)
    fast = has_fast_blocks(body) and short_enough(body, longest)
    under = [linear_under(layer) for layer in _linear_layers(body)] if fast else [None]
    if all(base is not None and can_pack(base.weight) for base in under):
        with delta_merged(policy.model):
            yield _FastDecoder(policy, rows, alone=True)
        return
    with merged(policy):
        if fast and all(linear_under(layer) is not None for layer in _linear_layers(body)):
            yield _FastDecoder(policy, rows, alone=False)
            return
        with packed_linears(policy.model, rows):
            plain = plain_rows(body)
            yield OwnCacheDecoder(policy, plain.decoding) if plain else TransformersDecoder(policy)


class _Layer(NamedTuple):
    block: BlockParts
    qkv: Product
    out: Product
    gate_up: Product
    down: Product


class _PromptLayers:
    """A block's products while the prompts are read, and at a step where there are no kernels."""

    def __init__(self, layer: _Layer) -> None:
        self.layer, self.block = layer, layer.block

    def qkv(self, x_MH: Tensor) -> tuple[Tensor, ...]:
        parts_of_qkv = self.layer.qkv(normed(self.block.norm, x_MH)).split(self.block.widths, dim=1)
        query_MA, key_MC, value_MC = (part.contiguous() for part in parts_of_qkv)
        return (*self.block.norm_heads(query_MA, key_MC), value_MC)

    def out(self, mixed_MA: Tensor) -> Tensor:
        return self.block.addend(self.block.norm_out, self.layer.out(mixed_MA))

    def unit(self, x_MH: Tensor) -> Tensor:
        gate_MI, up_MI = self.layer.gate_up(normed(self.block.norm_gate, x_MH)).chunk(2, dim=1)
        return self.block.addend(self.block.norm_down, self.layer.down(swiglu(gate_MI, up_MI)))


class _FastDecoder:
    """`alone`: the packed weights are all there are, so they read the prompts too."""

    def __init__(self, policy: LoadedModel, rows: int, *, alone: bool) -> None:
        self.policy, self.body = policy, trunk(policy.model)
        self.layers = [
            _Layer(
                block,
                _fused(rows, *block.qkv, order=block.row_order),
                _fused(rows, block.out),
                _fused(rows, *block.gate_up),
                _fused(rows, block.down),
            )
            for block in parts(self.body)
        ]
        attention = self.body.layers[0].self_attn
        self.heads, self.size, self.scaling = (
            self.body.config.num_key_value_heads,
            attention.head_dim,
            attention.scaling,
        )
        self.queries = self.body.config.num_attention_heads * self.size
        self.products = [_PromptLayers(layer) for layer in self.layers]
        self.reading = self.products if alone else None
        self.head = head_of(policy.model).packed(rows)
        self.caches: list[Tensor] = []  # of each layer: keys and values, [2, R, K, S, D]

    def begin(
        self,
        prompts: Sequence[Sequence[int]],
        prompt_of_row: Sequence[int],
        room: int,
        caches: PromptCaches | None = None,
    ) -> Tensor:
        cached = [p for p in prompt_of_row if caches and caches[p] and len(prompts[p]) > 1]
        if caches is None or not cached:
            return self._read(prompts, prompt_of_row, room)
        logits_RV = self._go_on(prompts, cached, room, caches)
        if len(cached) == len(prompt_of_row):
            return logits_RV
        # Prompts that nobody has read are read as ever, and their rows join the others: one batch, so no step twice.
        unread, of_unread = copy.copy(self), [p for p in prompt_of_row if p not in cached]
        more_RV = unread._read(prompts, of_unread, room)
        join(self, unread, room)
        # The first rows are those that were cached: back to the order that was asked for.
        order = [*cached, *of_unread]
        row_R = torch.tensor([order.index(p) for p in prompt_of_row], device=logits_RV.device)
        self.keep(row_R)
        return torch.cat([logits_RV, more_RV])[row_R]

    def _read(self, prompts: Sequence[Sequence[int]], prompt_of_row: Sequence[int], room: int) -> Tensor:
        # 1. Each prompt once, aligned at its end, so that every row writes its next token to the same column.
        device, order = self.policy.device, list(dict.fromkeys(prompt_of_row))
        width = max(len(prompts[p]) for p in order)
        token_PW = torch.full((len(order), width), -1)
        start = 0
        for i, p in enumerate(order):
            token_PW[i, width - len(prompts[p]) :] = torch.arange(start, start + len(prompts[p]))
            start += len(prompts[p])
        token_RW = token_PW[[order.index(p) for p in prompt_of_row]]
        # 2. Columns come in blocks, of which those not yet written are masked: a new shape of a product at every step
        #    would be compiled anew.
        columns = self._lay_out(token_RW >= 0, room)
        # 3. As each layer is read its keys and values are copied to the rows at once, and the flat ones are free again.
        index = token_RW.clamp(min=0).to(device)

        def keep(*key_value: Tensor) -> None:
            cache = key_value[0].new_zeros(2, len(prompt_of_row), self.heads, columns, self.size)
            for place, flat_MC in zip(cache, key_value, strict=True):
                place[:, :, :width] = flat_MC.view(-1, self.heads, self.size)[index].transpose(1, 2)
            self.caches.append(cache)

        # 4. Prefill runs over flat tokens without padding; only the last state of each prompt is asked for.
        batch = pack(
            [TokenRow(tuple(prompts[p]), ()) for p in order], self.policy.chat.pad_id, dtype=self.policy.dtype
        ).to(device)
        last_P = token_PW[:, -1].to(device)
        hidden_PH = flat_hidden(self.body, batch, batch.token_M[last_P], keep, self.reading)
        return self.head(hidden_PH[[order.index(p) for p in prompt_of_row]])

    def _go_on(
        self, prompts: Sequence[Sequence[int]], prompt_of_row: Sequence[int], room: int, caches: PromptCaches
    ) -> Tensor:
        """From keys and values of all but each prompt's last token."""
        lengths = [len(prompts[p]) - 1 for p in prompt_of_row]
        width = max(lengths)
        columns = self._lay_out(torch.arange(width) >= width - torch.tensor(lengths)[:, None], room)
        for layer in range(len(self.layers)):
            cache = self.mask_RS.new_zeros(2, len(lengths), self.heads, columns, self.size)
            for row, (p, length) in enumerate(zip(prompt_of_row, lengths, strict=True)):
                for place, flat_MC in zip(cache, caches[p][layer], strict=True):
                    place[row, :, width - length : width] = flat_MC.view(length, self.heads, self.size).transpose(0, 1)
            self.caches.append(cache)
        return self.step(torch.tensor([prompts[p][-1] for p in prompt_of_row], device=self.policy.device))

    def _lay_out(self, real_RW: Tensor, room: int) -> int:
        """Where the prompts' tokens lie, with room for more; how many columns the cache begins with."""
        rows, width = real_RW.shape
        may_RS = torch.cat([real_RW, torch.ones(rows, room + COLUMNS, dtype=torch.bool)], dim=1)
        self.mask_RS = additive(may_RS, self.policy.dtype).to(self.policy.device)
        self.position_R, self.length = real_RW.sum(1).to(self.policy.device), width
        self.first_R = width - self.position_R  # the column where each prompt begins
        self.caches = []
        return whole_blocks(width + 1)

    def step(self, token_R: Tensor) -> Tensor:
        # 1. A row has its own position, though all rows write one column: prompts differ in length.
        x_RH = embed(self.body, token_R)
        angles = rotary(self.body, x_RH, self.position_R)
        # 2. The cache grows by a block of columns only when the last one is full.
        if self.length == self.caches[0].shape[3]:
            self.caches = [F.pad(cache, (0, 0, 0, COLUMNS)) for cache in self.caches]
        # 3. The kernels where they can be had; torch's operations give the same up to rounding.
        native = kernels(x_RH, self.body.norm.weight)
        hidden_RH = self._fused_layers(native, x_RH, angles) if native else self._layers(x_RH, angles)
        self.length += 1
        self.position_R = self.position_R + 1
        return self.head(hidden_RH)

    def keep(self, row_R: Tensor) -> None:
        self.caches = [cache[:, row_R] for cache in self.caches]
        self.mask_RS, self.position_R, self.first_R = self.mask_RS[row_R], self.position_R[row_R], self.first_R[row_R]

    def _layers(self, x_RH: Tensor, angles: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        mask_R11S = self._mask(self.caches[0].shape[3])
        for layer, cache, (cos_RD, sin_RD) in zip(self.products, self.caches, angles, strict=True):
            query_RA, key_RC, value_RC = layer.qkv(x_RH)
            query_RA, key_RC = (apply_rotary(each, cos_RD, sin_RD) for each in (query_RA, key_RC))
            x_RH = x_RH + layer.out(self._attend(query_RA, key_RC, value_RC, cache, mask_R11S))
            x_RH = x_RH + layer.unit(x_RH)
        return normed(self.body.norm, x_RH)

    def _fused_layers(self, native: Kernels, x_RH: Tensor, angles: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """The same in three calls a layer between its products."""
        # 1. A norm belongs to the sum before it: the kernel adds and norms in one pass, so each layer is given the norm
        #    that comes after it.
        rows = len(x_RH)
        norms = [layer.block.norm for layer in self.layers] + [self.body.norm]
        input_RH = normed(norms[0], x_RH)
        for layer, cache, angle, norm_next in zip(self.layers, self.caches, angles, norms[1:], strict=True):
            # 2. Rotation, the new column of the cache and attention over it, in one call.
            block, qkv, mixed_RA = layer.block, layer.qkv(input_RH), x_RH.new_empty(rows, self.queries)
            self._norm_heads(native, block, qkv)
            shape = rows, self.heads, self.queries // (self.heads * self.size), self.size, cache.shape[3]
            cos_RD, sin_RD = (each.contiguous() for each in angle)
            native.attend_kv_cache(
                qkv, cos_RD, sin_RD, cache[0], cache[1], self.first_R, mixed_RA, *shape, self.length, self.scaling
            )
            more_RH = block.addend(block.norm_out, layer.out(mixed_RA))
            input_RH = _add(native, x_RH, more_RH, block.norm_gate)
            # 3. Gate and up are one product, read in place: neither half is copied.
            gate_up = layer.gate_up(input_RH)
            inner = gate_up.shape[1] // 2
            gated_RI = x_RH.new_empty(rows, inner)
            native.swiglu(gate_up, gate_up[:, inner:], gated_RI, rows, inner, 2 * inner)
            input_RH = _add(native, x_RH, block.addend(block.norm_down, layer.down(gated_RI)), norm_next)
        return input_RH

    def _norm_heads(self, native: Kernels, block: BlockParts, qkv: Tensor) -> None:
        """Queries and keys by their norms, in place, where the block has these."""
        (rows, wide), queries, keys = qkv.shape, block.widths[0], block.widths[1]
        for norm, part, width in ((block.query_norm, qkv, queries), (block.key_norm, qkv[:, queries:], keys)):
            if norm is not None:
                size = len(norm.weight)
                native.rms_norm_heads(part, norm.weight, rows, wide, width // size, size, norm.variance_epsilon)

    def _mask(self, upto: int) -> Tensor:
        """Nothing before the prompt, nothing after this token."""
        mask_RS = self.mask_RS[:, :upto].clone()
        mask_RS[:, self.length + 1 :] = torch.finfo(mask_RS.dtype).min
        return mask_RS[:, None, None]

    def _attend(self, query_RA: Tensor, key_RC: Tensor, value_RC: Tensor, cache: Tensor, mask_R11S: Tensor) -> Tensor:
        rows, upto = mask_R11S.shape[0], mask_R11S.shape[-1]
        cache[0, :, :, self.length] = key_RC.view(rows, self.heads, self.size)
        cache[1, :, :, self.length] = value_RC.view(rows, self.heads, self.size)
        keys, values = (each.view(-1, upto, self.size) for each in cache)
        scores = torch.bmm(query_RA.reshape(rows * self.heads, -1, self.size), keys.transpose(1, 2)).view(
            rows, self.heads, -1, upto
        )
        weights = torch.softmax(torch.add(mask_R11S, scores, alpha=self.scaling), dim=-1)
        return torch.bmm(weights.view(rows * self.heads, -1, upto), values).view(rows, -1)


def _linear_layers(body: Any) -> list[Any]:
    return [m for name, m in body.named_modules() if name.endswith("_proj")]


def _add(native: Kernels, x_RH: Tensor, more_RH: Tensor, norm: Any | None) -> Tensor:
    """Add to the rows in place; what the next product reads: the norm of the sum, where it has one."""
    if norm is None:
        return x_RH.add_(more_RH)
    input_RH = torch.empty_like(x_RH)
    native.add_rms_norm(x_RH, more_RH, norm.weight, input_RH, *x_RH.shape, norm.variance_epsilon)
    return input_RH


def _fused(rows: int, *layers: Any, order: Tensor | None = None) -> Product:
    """One product for layers that share their input; `order` of its outputs."""
    each = [plain_weights(layer) for layer in layers]
    weight_OI = torch.cat([weight.detach() for weight, _ in each]) if len(each) > 1 else each[0][0]
    bias_O = torch.cat([bias for _, bias in each if bias is not None]) if each[0][1] is not None else None
    if order is not None:
        weight_OI, bias_O = weight_OI.detach()[order], None if bias_O is None else bias_O[order]
    return packed_linear(weight_OI, bias_O, rows)
