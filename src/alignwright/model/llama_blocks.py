"""What does the trunk of a model compute, the transformer blocks from tokens to hidden states?

Models with blocks of Llama's kind (Llama, Mistral, Qwen2 and 3, SmolLM3, Phi-3, OLMo-2 and 3,
Granite: see `block_parts` for what differs) run here, over flat tokens without padding: each prompt
once, attention by blocks (`shared_prompt_attention`), everything between the products fused
(`elementwise`), the last block's second half at the scored tokens alone. All other models, and rows
beyond a sliding window, run transformers' own forward (`model_rows`). The numbers are the same up
to rounding, and `engine_check` compares them with the model's own at loading.

Shapes: M tokens of a batch, N scored tokens, H hidden size, A query heads * D, C key heads * D.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from alignwright.model.block_parts import (
    BlockParts,
    embed,
    is_family,
    normed,
    parts,
    plain_length,
    rotary,
    rotary_size,
)
from alignwright.model.branch_attention import Branches, KeysValues, PathBranches, attend_branches, attend_paths
from alignwright.model.elementwise import apply_rotary, rms_norm, swiglu
from alignwright.model.lora_linear import Recompute, bare_weight, linears
from alignwright.model.matmul import PackedWeight, all_packed, matmul_swiglu, pack_weight
from alignwright.model.model_rows import transformers_hidden
from alignwright.model.packing import PackedBatch
from alignwright.model.shared_prompt_attention import SharedPromptMask, attend, attention_kernels, shared_prompt_mask

_LONG = 1024  # where torch makes attention, a longer prompt or reply would keep too many weights for the backward pass


def trunk(model: Any) -> Any:
    """The model below its head, adapters included."""
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    return plain.base_model if plain.base_model is not plain else plain.model


def has_fast_blocks(body: Any) -> bool:
    """Whether these blocks are the ones that this module computes, for rows that are `short_enough`. Hooks on
    any part of them (an edit of activations) are called by transformers' forward alone."""
    if not is_family(body) or body.config.hidden_act != "silu" or body.training or _hooked(body):
        return False
    return body.layers[0].self_attn.head_dim % 2 == 0 and rotary_size(body) is not None


def _hooked(body: Any) -> bool:
    """Hooks on a block or on the final norm. The embedding is called as a module here too, with its
    hooks (token rows that are trained have one there)."""
    parts = (*body.layers.modules(), *body.norm.modules())
    return any(module._forward_hooks or module._forward_pre_hooks for module in parts)


def short_enough(body: Any, longest: int) -> bool:
    """Whether these blocks compute rows of this length as the model does: none beyond its window."""
    plain = plain_length(body.config)
    return plain is None or longest <= plain


def scored_hidden(model: Any, batch: PackedBatch) -> Tensor:
    """The last hidden state from which each scored token is predicted, in the order of
    `batch.label_N`: [N, H]. Differentiable."""
    batch = batch.to(next(model.parameters()).device)
    body = trunk(model)
    few_weights = torch.is_inference_mode_enabled() or batch.longest <= _LONG or _keeps_no_weights(body)
    if has_fast_blocks(body) and few_weights and short_enough(body, batch.longest):
        return flat_hidden(body, batch, batch.target_N)
    return transformers_hidden(body, batch)


class Layers(Protocol):
    """The products of one block, with what is done to their input first and to their output then."""

    def qkv(self, x_MH: Tensor) -> tuple[Tensor, ...]: ...

    def out(self, mixed_MA: Tensor) -> Tensor: ...

    def unit(self, x_MH: Tensor) -> Tensor: ...


def flat_hidden(
    body: Any,
    batch: PackedBatch,
    target_N: Tensor,
    keep: Callable[[Tensor, Tensor], None] | None = None,
    layers: Sequence[Layers] | None = None,
) -> Tensor:
    """Hidden states at flat indices into B*T, by this module's own blocks; `keep` is given keys
    and values of every block, for a cache. `layers` multiply instead of the model's own."""
    config = body.config
    heads = config.num_key_value_heads
    x_MH = embed(body, batch.input_ids_BT.flatten().index_select(0, batch.token_M))
    group, size = config.num_attention_heads // heads, body.layers[0].self_attn.head_dim
    at = shared_prompt_mask(batch.lengths, heads=heads, group=group, size=size, dtype=x_MH.dtype, device=x_MH.device)
    position_M = batch.position_ids_BT.flatten().index_select(0, batch.token_M)
    scored_N = torch.searchsorted(batch.token_M, target_N)
    return blocks_hidden(body, x_MH, position_M, at, scored_N, keep=keep, layers=layers)


def blocks_hidden(
    body: Any,
    x_MH: Tensor,
    position_M: Tensor,
    at: SharedPromptMask | Branches | PathBranches,
    scored_N: Tensor,
    *,
    keep: Callable[[Tensor, Tensor], None] | None = None,
    layers: Sequence[Layers] | None = None,
    before: Sequence[KeysValues] = (),
) -> Tensor:
    """What the blocks make of embeddings, at some of the tokens: [N, H]. `before`: of each block the
    keys and values of tokens that were read already, which stand before these in `at`. Of `Branches`
    and `PathBranches` there is no gradient."""
    angles = rotary(body, x_MH, position_M)
    scaling = body.layers[0].self_attn.scaling
    own: Sequence[Layers] = layers or [_ModelLayers(block) for block in parts(body)]
    for block, (layer, (cos_MD, sin_MD)) in enumerate(zip(own, angles, strict=True)):
        query_MA, key_MC, value_MC = layer.qkv(x_MH)
        # 1. The scale of the scores goes into the rotation of the queries: a pass over memory less.
        query_MA = apply_rotary(query_MA, cos_MD * scaling, sin_MD * scaling)
        key_MC = apply_rotary(key_MC, cos_MD, sin_MD)
        # 2. A cache is given keys that are rotated already: a decoding step rotates its own token alone.
        if keep:
            keep(key_MC, value_MC)
        if isinstance(at, Branches):
            mixed_MA = attend_branches(query_MA, key_MC, value_MC, before[block], at)
        elif isinstance(at, PathBranches):
            mixed_MA = attend_paths(query_MA, key_MC, value_MC, at)
        else:
            if before:
                key_MC = torch.cat([before[block].key_PC, key_MC])
                value_MC = torch.cat([before[block].value_PC, value_MC])
            mixed_MA = attend(query_MA, key_MC, value_MC, at)
        # 3. After the last attention no token reads another: only states that are asked for go on.
        if layer is own[-1]:
            x_MH, mixed_MA = x_MH.index_select(0, scored_N), mixed_MA.index_select(0, scored_N)
        x_MH = _added(x_MH, layer.out(mixed_MA))
        x_MH = _added(x_MH, layer.unit(x_MH))
    return normed(body.norm, x_MH)


class _ModelLayers:
    """A block's products by the model's own layers, adapters included."""

    def __init__(self, block: BlockParts) -> None:
        self.block = block

    def qkv(self, x_MH: Tensor) -> tuple[Tensor, ...]:
        return self.block.split_heads(_of_normed(self.block.norm, x_MH, *self.block.qkv))

    def out(self, mixed_MA: Tensor) -> Tensor:
        return self.block.addend(self.block.norm_out, linears(mixed_MA, self.block.out)[0])

    def unit(self, x_MH: Tensor) -> Tensor:
        x_MH = normed(self.block.norm_gate, x_MH) if (fast := self._packed_unit(x_MH)) else x_MH
        if fast:
            hidden_MI, again = matmul_swiglu(x_MH, *fast), None
        else:
            products = _of_normed(self.block.norm_gate, x_MH, *self.block.gate_up)
            gate_MI, up_MI = products if len(products) == 2 else products[0].chunk(2, dim=1)
            hidden_MI, again = swiglu(gate_MI, up_MI), Recompute(swiglu, (gate_MI, up_MI))
        return self.block.addend(self.block.norm_down, linears(hidden_MI, self.block.down, recompute=again)[0])

    def _packed_unit(self, x_MH: Tensor) -> Sequence[PackedWeight] | None:
        """The weights of gate and up, where they can be one product and no gradient is wanted."""
        weights = [bare_weight(layer) for layer in self.block.gate_up]
        if torch.is_grad_enabled() or len(weights) != 2 or any(w is None or w.dtype != x_MH.dtype for w in weights):
            return None
        packed = [pack_weight(weight) for weight in weights if weight is not None]
        return packed if all_packed(packed) else None


def _added(x_MH: Tensor, more_MH: Tensor) -> Tensor:
    """What a half of a block adds is its own to write to, where no gradient is wanted."""
    return x_MH + more_MH if torch.is_grad_enabled() else more_MH.add_(x_MH)


def _keeps_no_weights(body: Any) -> bool:
    weight = body.embed_tokens.weight
    return attention_kernels(weight.dtype, weight.device, body.layers[0].self_attn.head_dim) is not None


def _of_normed(norm: Any | None, x_MH: Tensor, *layers: Any) -> tuple[Tensor, ...]:
    if norm is None:
        return linears(x_MH, *layers)
    again = Recompute(partial(rms_norm, eps=norm.variance_epsilon), (x_MH, norm.weight))
    return linears(normed(norm, x_MH), *layers, recompute=again)
