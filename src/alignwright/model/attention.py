"""How does a token attend to those before it, in a model that transformers runs?

In training, by plain matrix products and a float32 softmax under an additive mask: for rows below
about a thousand tokens this is faster on a processor than the fused kernel, whose backward is slow.
In inference mode (speaking, measuring), on a GPU and in long rows, by the fused kernel. Never by
whether a gradient is wanted: a policy and its reference must round alike, or their difference at
the first step is not zero.

Soft caps of the scores (Gemma 2) and sinks, a learnt score a head to which no token belongs
(gpt-oss), are made by the plain products alone, in parts where no gradient is wanted. On a GPU whole
rows come under a block mask, which has a kernel of its own (`flex_mask`).

Query heads that share a key head (grouped-query attention) are taken together; transformers' eager
attention would copy every key and value once for each. Shapes: B rows, Q queries, S keys, K key
heads, G query heads to a key head, D head size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from alignwright.model.flex_mask import attend_blocks

NAME = "alignwright"
_LONG, _PART = 1024, 512


def attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | BlockMask | None,
    scaling: float,
    dropout: float = 0.0,
    **extra: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it: query [B, K*G, Q, D]; key and value [B, K, S, D]; an
    additive mask, or on a GPU one of blocks; output [B, Q, K*G, D]."""
    if dropout:
        raise ValueError(f"{type(module).__name__} asks for dropout in attention, which a model in use does not have")
    cap, sink = extra.get("softcap"), extra.get("s_aux")
    if isinstance(attention_mask, BlockMask):
        mixed = attend_blocks(query, key, value, attention_mask, scaling, cap=cap, sink=sink)
        return mixed.transpose(1, 2).contiguous(), None
    if attention_mask is None or attention_mask.dtype == torch.bool:
        raise ValueError(
            "attention needs an additive mask: a boolean one would be added to the scores as 0 and 1, and mask nothing"
        )
    if cap is not None or sink is not None:
        width = _PART if torch.is_inference_mode_enabled() else query.shape[2]
        mixed = torch.cat(
            [
                _by_products(part, key, value, mask, scaling, cap, sink)
                for part, mask in zip(query.split(width, 2), attention_mask.split(width, 2), strict=True)
            ],
            dim=2,
        )
    elif query.is_cuda or query.shape[2] > _LONG or torch.is_inference_mode_enabled():
        gqa = query.shape[1] != key.shape[1]
        mixed = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=attention_mask, scale=scaling, enable_gqa=gqa
        )
    else:
        mixed = _by_products(query, key, value, attention_mask, scaling)
    return mixed.transpose(1, 2).contiguous(), None


def _by_products(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    scaling: float,
    cap: float | None = None,
    sink: Tensor | None = None,
) -> Tensor:
    rows, heads, queries, size = query.shape
    groups = rows * key.shape[1]
    scores = torch.bmm(query.reshape(groups, -1, size), key.reshape(groups, -1, size).transpose(1, 2)).view(
        rows, heads, queries, -1
    )
    if cap is not None:
        scores, scaling = torch.tanh(scores * (scaling / cap)), cap
    scores = torch.add(mask, scores, alpha=scaling)
    if sink is not None:  # one column more in the softmax, at which nothing is to be read
        scores = torch.cat([scores, sink.to(scores.dtype).view(1, -1, 1, 1).expand(rows, -1, queries, 1)], dim=-1)
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    if sink is not None:
        weights = weights[..., :-1]
    return torch.bmm(weights.reshape(groups, -1, key.shape[2]), value.reshape(groups, -1, value.shape[3])).view(
        rows, heads, queries, -1
    )


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, eager_mask)
