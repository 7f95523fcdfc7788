"""How does a model of the Llama family decode one token more over a KV cache, at the least cost?

A step is small products and many operations between them, so both are made few: queries, keys and
values are one product, gate and up another, weights are packed once for all steps
(`packed_linear`), keys and values are written in place. Where `kernels` can be had, three calls a
layer do all that is not a product; elsewhere attention is two plain products: the library's fused
kernel took longer than all the rest at 64 rows. The cache grows by whole blocks of columns, those
not yet written masked: every new shape of a product costs a compilation, and a part of a wider
cache would be copied by every product that reads it. Models of another kind go through `kv_cache`.

Shapes: R rows, M tokens of the prompts, W widest prompt, S columns of the cache, K key heads, G
query heads to a key head, D head size, H hidden size, C = K * D, V vocabulary.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from alignwright.model.adapters import linear_under, merged, plain_weights
from alignwright.model.elementwise import apply_rotary, swiglu
from alignwright.model.kernels import Kernels, kernels
from alignwright.model.kv_cache import TransformersDecoder
from alignwright.model.llama_blocks import flat_hidden, has_fast_blocks, normed, rotary, trunk
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.logprob import head_of
from alignwright.model.matmul import can_pack
from alignwright.model.packed_linear import packed_linear, packed_linears
from alignwright.model.packing import additive, pack
from alignwright.model.tokens import TokenRow

_COLUMNS = 32

Product = Callable[[Tensor], Tensor]


class Decoder(Protocol):
    """Rows under way."""

    def begin(self, prompts: Sequence[Sequence[int]], prompt_of_row: Sequence[int], room: int) -> Tensor:
        """One row for each prompt index in `prompt_of_row`, with room for so many tokens; the
        logits of what comes next."""
        ...

    def step(self, token_R: Tensor) -> Tensor:
        """Add a token to every row; the logits of what comes next."""
        ...

    def keep(self, row_R: Tensor) -> None:
        """Go on with these rows only, in this order."""
        ...


@contextlib.contextmanager
def decoding(policy: LoadedModel, rows: int) -> Iterator[Decoder]:
    """The decoder for this model, its adapter merged, and for about so many rows. The weights must
    not change while it lasts.

    Where our own products take every weight, each is merged and packed by itself and nothing else
    is kept: the prompts are read by the same packed weights. Elsewhere the whole model is merged
    for the while.
    """
    body = trunk(policy.model)
    under = [linear_under(layer) for layer in _linear_layers(body)] if has_fast_blocks(body) else [None]
    if all(base is not None and can_pack(base.weight) for base in under):
        yield _LlamaDecoder(policy, rows, alone=True)
        return
    with merged(policy):
        if has_fast_blocks(body) and all(linear_under(layer) is not None for layer in _linear_layers(body)):
            yield _LlamaDecoder(policy, rows, alone=False)
            return
        with packed_linears(policy.model, rows):
            yield TransformersDecoder(policy)


class _Layer(NamedTuple):
    norm: Any
    qkv: Product
    out: Product
    norm_after: Any
    gate_up: Product
    down: Product


class _PromptLayers:
    """A block's products while the prompts are read."""

    def __init__(self, layer: _Layer, parts: Sequence[int]) -> None:
        self.layer, self.parts = layer, list(parts)

    def qkv(self, x_MH: Tensor) -> tuple[Tensor, ...]:
        return tuple(
            part.contiguous() for part in self.layer.qkv(normed(self.layer.norm, x_MH)).split(self.parts, dim=1)
        )

    def out(self, mixed_MA: Tensor) -> Tensor:
        return self.layer.out(mixed_MA)

    def gate_up(self, x_MH: Tensor) -> tuple[Tensor, ...]:
        return self.layer.gate_up(normed(self.layer.norm_after, x_MH)).chunk(2, dim=1)

    def down(self, gate_MI: Tensor, up_MI: Tensor) -> Tensor:
        return self.layer.down(swiglu(gate_MI, up_MI))


class _LlamaDecoder:
    """`alone`: the packed weights are all there are, so they read the prompts too."""

    def __init__(self, policy: LoadedModel, rows: int, *, alone: bool) -> None:
        self.policy, self.body = policy, trunk(policy.model)
        self.layers = [
            _Layer(
                block.input_layernorm,
                _fused(rows, block.self_attn.q_proj, block.self_attn.k_proj, block.self_attn.v_proj),
                _fused(rows, block.self_attn.o_proj),
                block.post_attention_layernorm,
                _fused(rows, block.mlp.gate_proj, block.mlp.up_proj),
                _fused(rows, block.mlp.down_proj),
            )
            for block in self.body.layers
        ]
        attention = self.body.layers[0].self_attn
        self.heads, self.size, self.scaling = (
            self.body.config.num_key_value_heads,
            attention.head_dim,
            attention.scaling,
        )
        self.queries = self.body.config.num_attention_heads * self.size
        keys = self.heads * self.size
        self.reading = [_PromptLayers(layer, (self.queries, keys, keys)) for layer in self.layers] if alone else None
        head = head_of(policy.model)
        self.head = packed_linear(head.weight, head.bias, rows)
        self.caches: list[Tensor] = []  # of each layer: keys and values, [2, R, K, S, D]

    def begin(self, prompts: Sequence[Sequence[int]], prompt_of_row: Sequence[int], room: int) -> Tensor:
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
        columns = -(-(width + 1) // _COLUMNS) * _COLUMNS
        may_RS = torch.cat([token_RW >= 0, torch.ones(len(prompt_of_row), room + _COLUMNS, dtype=torch.bool)], dim=1)
        self.mask_RS = additive(may_RS, self.policy.dtype).to(device)
        self.position_R, self.length = (token_RW >= 0).sum(1).to(device), width
        self.first_R = width - self.position_R  # the column where each prompt begins
        self.caches = []
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

    def step(self, token_R: Tensor) -> Tensor:
        # 1. A row has its own position, though all rows write one column: prompts differ in length.
        x_RH = F.embedding(token_R, self.body.embed_tokens.weight)
        cos_RD, sin_RD = rotary(self.body, x_RH, self.position_R)
        # 2. The cache grows by a block of columns only when the last one is full.
        if self.length == self.caches[0].shape[3]:
            self.caches = [F.pad(cache, (0, 0, 0, _COLUMNS)) for cache in self.caches]
        # 3. The kernels where they can be had; torch's operations give the same up to rounding.
        native = kernels(x_RH, self.body.norm.weight)
        hidden_RH = self._fused_layers(native, x_RH, cos_RD, sin_RD) if native else self._layers(x_RH, cos_RD, sin_RD)
        self.length += 1
        self.position_R = self.position_R + 1
        return self.head(hidden_RH)

    def keep(self, row_R: Tensor) -> None:
        self.caches = [cache[:, row_R] for cache in self.caches]
        self.mask_RS, self.position_R, self.first_R = self.mask_RS[row_R], self.position_R[row_R], self.first_R[row_R]

    def _layers(self, x_RH: Tensor, cos_RD: Tensor, sin_RD: Tensor) -> Tensor:
        mask_R11S = self._mask(self.caches[0].shape[3])
        for layer, cache in zip(self.layers, self.caches, strict=True):
            query_key, value_RC = layer.qkv(normed(layer.norm, x_RH)).tensor_split([-self.heads * self.size], dim=1)
            x_RH = x_RH + layer.out(self._attend(apply_rotary(query_key, cos_RD, sin_RD), value_RC, cache, mask_R11S))
            gate_RI, up_RI = layer.gate_up(normed(layer.norm_after, x_RH)).chunk(2, dim=1)
            x_RH = x_RH + layer.down(swiglu(gate_RI, up_RI))
        return normed(self.body.norm, x_RH)

    def _fused_layers(self, native: Kernels, x_RH: Tensor, cos_RD: Tensor, sin_RD: Tensor) -> Tensor:
        """The same in three calls a layer between its products."""
        # 1. A norm belongs to the sum before it: the kernel adds and norms in one pass, so each layer is given the norm
        #    that comes after it.
        rows, hidden = x_RH.shape
        norms = [layer.norm for layer in self.layers] + [self.body.norm]
        normed_RH = normed(norms[0], x_RH)
        cos_RD, sin_RD = cos_RD.contiguous(), sin_RD.contiguous()
        for layer, cache, norm_next in zip(self.layers, self.caches, norms[1:], strict=True):
            # 2. Rotation, the new column of the cache and attention over it, in one call.
            qkv, mixed_RA = layer.qkv(normed_RH), x_RH.new_empty(rows, self.queries)
            shape = rows, self.heads, self.queries // (self.heads * self.size), self.size, cache.shape[3]
            native.attend_kv_cache(
                qkv, cos_RD, sin_RD, cache[0], cache[1], self.first_R, mixed_RA, *shape, self.length, self.scaling
            )
            native.add_rms_norm(
                x_RH,
                layer.out(mixed_RA),
                layer.norm_after.weight,
                normed_RH,
                rows,
                hidden,
                layer.norm_after.variance_epsilon,
            )
            # 3. Gate and up are one product, read in place: neither half is copied.
            gate_up = layer.gate_up(normed_RH)
            inner = gate_up.shape[1] // 2
            gated_RI = x_RH.new_empty(rows, inner)
            native.swiglu(gate_up, gate_up[:, inner:], gated_RI, rows, inner, 2 * inner)
            native.add_rms_norm(
                x_RH, layer.down(gated_RI), norm_next.weight, normed_RH, rows, hidden, norm_next.variance_epsilon
            )
        return normed_RH

    def _mask(self, upto: int) -> Tensor:
        """Nothing before the prompt, nothing after this token."""
        mask_RS = self.mask_RS[:, :upto].clone()
        mask_RS[:, self.length + 1 :] = torch.finfo(mask_RS.dtype).min
        return mask_RS[:, None, None]

    def _attend(self, query_key: Tensor, value_RC: Tensor, cache: Tensor, mask_R11S: Tensor) -> Tensor:
        rows, upto = mask_R11S.shape[0], mask_R11S.shape[-1]
        query_RA, key_RC = query_key[:, : -self.heads * self.size], query_key[:, -self.heads * self.size :]
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


def _fused(rows: int, *layers: Any) -> Product:
    """One product for layers that share their input."""
    parts = [plain_weights(layer) for layer in layers]
    bias = torch.cat([b for _, b in parts if b is not None]) if parts[0][1] is not None else None
    return packed_linear(torch.cat([w.detach() for w, _ in parts]) if len(parts) > 1 else parts[0][0], bias, rows)
