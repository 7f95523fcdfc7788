"""How does a GPU attend over rows of a prompt and its replies without a mask of every pair (FlexAttention)?

A dense additive mask is a square of the row's length in the dtype of the scores, read by every layer,
though most of it is forbidden: no reply sees another. FlexAttention (Dong et al. 2024,
arXiv:2412.05496) is told by a function who may look at whom, and by a `BlockMask` which blocks of 128
by 128 need no look at all, which are allowed whole and which are to be asked pair by pair. Blocks are
found from the least and the greatest segment and position of each, in (T/128)^2 numbers a row.

A block that is listed though nothing in it is allowed costs time and changes nothing, since every
pair of a listed block is asked; so blocks are judged from these bounds alone. Soft caps are a function
of the score; a sink, a score to which no token belongs, takes its share of the softmax afterwards,
by the log-sum-exp that the kernel has made anyway.

Used on CUDA alone (`uses_blocks`): on a processor FlexAttention has no backward pass.

Shapes: B rows, T tokens a row, N blocks a row.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention.flex_attention import AuxRequest, BlockMask, flex_attention

BLOCK = 128
_COMPILED = 64
_PAD, _PROMPT = -1, 0  # segments, as `packing` numbers them


def uses_blocks(device: torch.device) -> bool:
    """Whether rows on this device are read under block masks; elsewhere under dense additive ones."""
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None  # which compiles the kernel


def block_mask(segments_BT: Tensor, position_ids_BT: Tensor, reach: int | None = None) -> BlockMask:
    """Who may look at whom: back only, at the prompt or one's own segment, and with `reach` only so
    many tokens back by position, itself counted. Padding looks at itself alone."""
    width = segments_BT.shape[1]

    def may_look(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:  # noqa: ARG001 - all heads see alike
        own, other = segments_BT[b, q], segments_BT[b, k]
        seen = (k <= q) & ((other == _PROMPT) | (other == own)) & (other != _PAD) & (own != _PAD)
        if reach is not None:
            seen = seen & (position_ids_BT[b, q] - position_ids_BT[b, k] < reach)
        return seen | (q == k)

    some_BNN, whole_BNN = _blocks(segments_BT, position_ids_BT, reach)
    return BlockMask.from_kv_blocks(
        *_listed(some_BNN & ~whole_BNN),
        *_listed(whole_BNN),
        BLOCK_SIZE=BLOCK,
        mask_mod=may_look,
        seq_lengths=(width, width),
    )


def attend_blocks(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: BlockMask,
    scaling: float,
    *,
    cap: float | None = None,
    sink: Tensor | None = None,
) -> Tensor:
    """Attention under a block mask: query [B, K*G, T, D]; key and value [B, K, T, D]; output
    [B, K*G, T, D]."""

    mixed, aux = _kernel(query.device.type)(
        query,
        key,
        value,
        score_mod=None if cap is None else _capped(cap),
        block_mask=mask,
        scale=scaling,
        enable_gqa=query.shape[1] != key.shape[1],
        return_aux=AuxRequest(lse=sink is not None),
    )
    if sink is None:
        return mixed
    share = torch.sigmoid(aux.lse - sink.float().view(1, -1, 1))
    return mixed * share[..., None].to(mixed.dtype)


def _capped(cap: float) -> Callable[..., Tensor]:
    def capped(score: Tensor, *_: Tensor) -> Tensor:
        return cap * torch.tanh(score / cap)

    return capped


@cache
def _kernel(device: str) -> Any:
    """Compiled where there is a GPU; by itself it makes every score."""
    if device != "cuda":
        return flex_attention
    # Precisions, windows, caps, passes with a gradient and without one are each compiled; past the limit (8, if it is
    # left) torch would make every score in silence, and with `fullgraph` it is an error.
    torch._dynamo.config.recompile_limit = max(_COMPILED, torch._dynamo.config.recompile_limit)
    return torch.compile(flex_attention, fullgraph=True)


def _blocks(segments_BT: Tensor, position_ids_BT: Tensor, reach: int | None) -> tuple[Tensor, Tensor]:
    """Of each pair of blocks whether anything in it may be allowed, and whether all of it is."""
    # 1. The least and greatest segment and position of each block. Behind the row's end there is padding.
    excess = -segments_BT.shape[1] % BLOCK
    segment_BNX = F.pad(segments_BT, (0, excess), value=_PAD).unflatten(1, (-1, BLOCK))
    position_BNX = F.pad(position_ids_BT, (0, excess)).unflatten(1, (-1, BLOCK))
    low_BN, high_BN = segment_BNX.amin(2), segment_BNX.amax(2)
    first_BN, last_BN = position_BNX.amin(2), position_BNX.amax(2)
    # 2. Something may be allowed where the ranges of segments meet, or where the keys hold some of the prompt.
    count = low_BN.shape[1]
    place_N = torch.arange(count, device=segments_BT.device)
    before_NN, same_NN = place_N[:, None] > place_N[None], place_N[:, None] == place_N[None]
    prompt_BN = (segment_BNX == _PROMPT).any(2)
    meet_BNN = (low_BN[:, :, None] <= high_BN[:, None]) & (low_BN[:, None] <= high_BN[:, :, None])
    some_BNN = before_NN & (meet_BNN | prompt_BN[:, None]) & (high_BN > _PAD)[:, None] & (high_BN > _PAD)[:, :, None]
    # 3. All of it where a block before it is prompt throughout, or both are of one segment throughout.
    one_BN = (low_BN == high_BN) & (low_BN > _PAD)
    alike_BNN = one_BN[:, :, None] & one_BN[:, None] & (low_BN[:, :, None] == low_BN[:, None])
    ahead_BN = one_BN & (low_BN == _PROMPT)
    whole_BNN = before_NN & (alike_BNN | (ahead_BN[:, None] & (low_BN > _PAD)[:, :, None]))
    # 4. Within reach: by the nearest pair for some, by the furthest for all.
    if reach is not None:
        some_BNN = some_BNN & (first_BN[:, :, None] - last_BN[:, None] < reach)
        whole_BNN = whole_BNN & (last_BN[:, :, None] - first_BN[:, None] < reach)
    return some_BNN | same_NN, whole_BNN


def _listed(chosen_BNN: Tensor) -> tuple[Tensor, Tensor]:
    """How many blocks of keys each block of queries reads, and which, first the chosen ones."""
    count_B1N = chosen_BNN.sum(2, dtype=torch.int32)[:, None]
    order_B1NN = chosen_BNN.to(torch.int8).argsort(dim=2, descending=True, stable=True).to(torch.int32)[:, None]
    return count_B1N, order_B1NN
