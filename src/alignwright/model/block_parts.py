"""Of which parts is a transformer block made, in each family that we compute ourselves?

All are of one kind: attention with rotary positions, then a gated unit (SwiGLU), each added to what
went in, with RMS norms about them. They differ in where a norm stands (before a half of the block,
or after it: OLMo-2 and 3), in whether queries and keys are normed, by head (Qwen3) or whole
(OLMo), in which blocks turn by position at all (SmolLM3), in how much of a head is turned and
whether products are one layer (Phi-3), and in factors (Granite). `parts` says for a block which
it has; whoever computes it asks nothing of the family.

Left out: rows longer than a sliding window, or than where longrope changes its frequencies
(`plain_length`): transformers' own forward computes these.

Shapes: M tokens, H hidden size, D head size, A query heads * D, C key heads * D.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from alignwright.model.elementwise import pair_halves, rms_norm, signed_sine
from alignwright.model.limits import window
from alignwright.model.token_embeddings import embed_tokens

_FAMILIES = {
    f"transformers.models.{family}.modeling_{family}": f"{name}Model"
    for family, name in (
        ("llama", "Llama"), ("mistral", "Mistral"), ("qwen2", "Qwen2"), ("qwen3", "Qwen3"), ("smollm3", "SmolLM3"),
        ("phi3", "Phi3"), ("olmo2", "Olmo2"), ("olmo3", "Olmo3"), ("granite", "Granite"),
    )
}  # fmt: skip
_UNTURNED = "none"


@dataclass(frozen=True)
class BlockParts:
    """The layers, norms and factors of one block; a norm that it has not is None."""

    norm: Any | None  # of what attention reads
    qkv: tuple[Any, ...]  # linear layers: three, or one that makes all
    query_norm: Any | None  # of each head, or of all at once: as wide as its weight
    key_norm: Any | None
    out: Any
    norm_out: Any | None  # of what attention adds
    norm_gate: Any | None  # of what the gated unit reads
    gate_up: tuple[Any, ...]  # two linear layers, or one that makes both
    down: Any
    norm_down: Any | None  # of what the gated unit adds
    factor: float  # of what each half adds
    widths: tuple[int, int, int]  # of queries, keys and values: A, C, C
    size: int  # D
    rotary: int  # how many of a head's numbers are turned by position

    def split_heads(self, products: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of what the layers `qkv` made, normed, in the order in which
        `apply_rotary` pairs them."""
        query_MA, key_MC, value_MC = (
            products if len(products) == 3 else (part.contiguous() for part in products[0].split(self.widths, dim=1))
        )
        query_MA, key_MC = self.norm_heads(query_MA, key_MC)
        if self.rotary < self.size:
            query_MA, key_MC = (pair_halves(x, self.size, self.rotary) for x in (query_MA, key_MC))
        return query_MA, key_MC, value_MC

    def norm_heads(self, query_MA: Tensor, key_MC: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys by their norms, where the block has these."""
        if self.query_norm is None or self.key_norm is None:
            return query_MA, key_MC
        return _normed_heads(self.query_norm, query_MA), _normed_heads(self.key_norm, key_MC)

    def addend(self, norm: Any | None, x_MH: Tensor) -> Tensor:
        """What half a block adds to what went in, of what its last product made."""
        x_MH = normed(norm, x_MH)
        return x_MH if self.factor == 1.0 else x_MH * self.factor

    @property
    def row_order(self) -> Tensor | None:
        """The rows of the weight of all of `qkv` in the order in which `apply_rotary` pairs what
        they make; None where they are in it."""
        if self.rotary == self.size:
            return None
        query_key, value = self.widths[0] + self.widths[1], self.widths[2]
        paired = pair_halves(torch.arange(query_key)[None], self.size, self.rotary)[0]
        return torch.cat([paired, torch.arange(query_key, query_key + value)])


def is_family(body: Any) -> bool:
    """Whether these are blocks of a family that we know: of its very class, told by name, so that no
    module of another family is imported; a subclass may do anything."""
    return _FAMILIES.get(type(body).__module__) == type(body).__qualname__


def parts(body: Any) -> list[BlockParts]:
    """The parts of every block."""
    size = rotary_size(body)
    assert size is not None
    return [_parts(block, body.config, size) for block in body.layers]


def _parts(block: Any, config: Any, rotary: int) -> BlockParts:
    attention, mlp = block.self_attn, block.mlp
    after = hasattr(block, "post_feedforward_layernorm")  # norms stand after a half, not before it
    size = attention.head_dim
    keys = config.num_key_value_heads * size
    return BlockParts(
        norm=None if after else block.input_layernorm,
        qkv=_layers(attention, "qkv_proj", "q_proj", "k_proj", "v_proj"),
        query_norm=getattr(attention, "q_norm", None),
        key_norm=getattr(attention, "k_norm", None),
        out=attention.o_proj,
        norm_out=block.post_attention_layernorm if after else None,
        norm_gate=None if after else block.post_attention_layernorm,
        gate_up=_layers(mlp, "gate_up_proj", "gate_proj", "up_proj"),
        down=mlp.down_proj,
        norm_down=block.post_feedforward_layernorm if after else None,
        factor=float(getattr(block, "residual_multiplier", 1.0)),
        widths=(config.num_attention_heads * size, keys, keys),
        size=size,
        rotary=rotary,
    )


def _layers(module: Any, one: str, *several: str) -> tuple[Any, ...]:
    return (getattr(module, one),) if hasattr(module, one) else tuple(getattr(module, name) for name in several)


def rotary_size(body: Any) -> int | None:
    """How many of a head's numbers turn by position; None where kinds of blocks differ in it."""
    sizes = {2 * len(each) for name, each in body.rotary_emb.named_buffers() if name.endswith("inv_freq")}
    return sizes.pop() if len(sizes) == 1 else None


def plain_length(config: Any) -> int | None:
    """The longest row in which every token sees all before it and turns by frequencies that no
    other row changes; None where any length will do."""
    reach, ropes = window(config), config.rope_parameters or {}
    ropes = [rope for rope in ropes.values() if isinstance(rope, dict)] or [ropes]
    lengths = [] if reach is None else [reach]
    lengths += [rope["original_max_position_embeddings"] for rope in ropes if rope.get("rope_type") == "longrope"]
    lengths += [config.max_position_embeddings for rope in ropes if rope.get("rope_type") == "dynamic"]
    return min(lengths, default=None)


def embed(body: Any, token_M: Tensor) -> Tensor:
    """What goes into the first block: [M, H]."""
    x_MH = embed_tokens(body.embed_tokens, token_M)
    factor = getattr(body, "embedding_multiplier", 1.0)
    return x_MH if factor == 1.0 else x_MH * factor


def rotary(body: Any, x_MH: Tensor, position_M: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Of each block the cosines and signed sines of the positions, [M, D] each, as `apply_rotary`
    takes them after `split_heads`; a block that does not turn has the angle 0."""
    kinds = [_rotation(body, i, block.self_attn) for i, block in enumerate(body.layers)]
    angles = {kind: _angles(body, kind, x_MH, position_M) for kind in dict.fromkeys(kinds)}
    return [angles[kind] for kind in kinds]


def _rotation(body: Any, index: int, attention: Any) -> str | None:
    """What kind of turn a block makes, where a model has several."""
    if not getattr(attention, "use_rope", True):
        return _UNTURNED
    return body.config.layer_types[index] if isinstance(body.rotary_emb.rope_type, dict) else None


def _angles(body: Any, kind: str | None, x_MH: Tensor, position_M: Tensor) -> tuple[Tensor, Tensor]:
    size = body.layers[0].self_attn.head_dim
    if kind == _UNTURNED:
        return x_MH.new_ones(len(x_MH), size), x_MH.new_zeros(len(x_MH), size)
    of_kind = () if kind is None else (kind,)
    cos_1MD, sin_1MD = body.rotary_emb(x_MH[None], position_M[None], *of_kind)
    cos_MD, sin_MD = cos_1MD[0].to(x_MH.dtype), signed_sine(sin_1MD[0].to(x_MH.dtype))
    rest, half = (size - cos_MD.shape[1]) // 2, cos_MD.shape[1] // 2
    if not rest:
        return cos_MD, sin_MD
    still = cos_MD.new_ones(len(cos_MD), rest), cos_MD.new_zeros(len(cos_MD), rest)
    return tuple(
        torch.cat([x[:, :half], fill, x[:, half:], fill], dim=1)
        for x, fill in zip((cos_MD, sin_MD), still, strict=True)
    )  # type: ignore[return-value]


def normed(norm: Any | None, x_MH: Tensor) -> Tensor:
    """What the model's norm makes of hidden states; where there is none, these."""
    return x_MH if norm is None else rms_norm(x_MH, norm.weight, norm.variance_epsilon)


def _normed_heads(norm: Any, x_MA: Tensor) -> Tensor:
    return normed(norm, x_MA.reshape(-1, len(norm.weight))).view(x_MA.shape)
