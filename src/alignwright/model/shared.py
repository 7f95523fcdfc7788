"""How do replies look back at the prompt that they share?

In two products: the prompts' tokens at their prompt, and the replies' tokens at [their prompt, themselves]. What the block mask of
`pack` forbids (a sibling reply, another row) is never computed: a prompt of 60 tokens with 32 replies of 48 has a fourteenth of the
scores that the square of its row would have. Tokens lie flat, without padding; only here are they put on a grid, by one gather each
way, and query heads that share a key head (grouped-query attention) become further queries of that head, so nothing is copied for them.

The gradient is by hand: gathers both ways instead of scattered sums, and the softmax in place. In inference mode the fused kernel
takes over, which has no use for the weights.

Shapes: M tokens, B rows, P longest prompt, K replies a row, L longest reply, S keys, G query heads to a key head, D head size,
C key heads * D, A query heads * D, X key heads * rows of a grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from alignwright.model.kernels import kernels
from alignwright.model.packing import additive


@dataclass(frozen=True)
class Grid:
    """Where each token of a flat batch lies when prompts and replies are put side by side, and who may look at whom."""

    rows: int
    replies: int
    heads: int  # key heads
    width: int  # P
    prompt_X: Tensor  # [B, heads, P] flattened, of M * heads: 0 where there is no token
    reply_X: Tensor  # [B, K, heads, L]
    key_X: Tensor  # [B, K, heads, P + L]
    back_X: Tensor  # [M, heads]: which slot of [prompt_X, reply_X] holds the token
    prompt_mask: Tensor  # [B, 1, P * G, P], additive
    reply_mask: Tensor  # [B * K, 1, L * G, P + L]


def grid(lengths: Sequence[tuple[int, Sequence[int]]], *, heads: int, group: int, dtype: torch.dtype, device: torch.device) -> Grid:
    """The grid of rows of (prompt length, reply lengths), whose tokens lie flat one after the other, prompt first."""
    rows, replies = len(lengths), max(len(each) for _, each in lengths)
    width, depth = max(head for head, _ in lengths), max((n for _, each in lengths for n in each), default=0)
    prompt_BP, reply_BKL = np.full((rows, width), -1), np.full((rows, replies, depth), -1)
    token = 0
    for b, (head, each) in enumerate(lengths):
        for place, n in ((prompt_BP[b], head), *zip(reply_BKL[b], each, strict=False)):
            place[:n] = np.arange(token, token + n)
            token += n
    key_BKS = np.concatenate([np.repeat(prompt_BP[:, None], replies, axis=1), reply_BKL], axis=2)
    slots = np.concatenate([_by_head(prompt_BP, heads), _by_head(reply_BKL, heads)])
    back = np.empty(token * heads, dtype=np.int64)
    back[slots[slots >= 0]] = np.flatnonzero(slots >= 0)
    past_PP, past_LL = np.tri(width, dtype=bool), np.tri(depth, dtype=bool)
    reply_may = np.concatenate([np.ones((depth, width), dtype=bool), past_LL], axis=1) & (key_BKS >= 0)[:, :, None]

    def mask(may: np.ndarray) -> Tensor:
        flat = torch.from_numpy(may.reshape(int(np.prod(may.shape[:-2])), 1, *may.shape[-2:]))
        return additive(flat, dtype).repeat_interleave(group, dim=2).to(device)

    def index(place: np.ndarray) -> Tensor:
        return torch.from_numpy(np.maximum(_by_head(place, heads), 0)).to(device)

    return Grid(
        rows, replies, heads, width, index(prompt_BP), index(reply_BKL), index(key_BKS), torch.from_numpy(back).to(device),
        mask(past_PP & (prompt_BP >= 0)[:, None]), mask(reply_may),
    )  # fmt: skip


def attend(query_MA: Tensor, key_MC: Tensor, value_MC: Tensor, at: Grid) -> Tensor:
    """Attention of every token to its prompt and its own reply; queries come scaled."""
    return _Attend.apply(query_MA, key_MC, value_MC, at)  # type: ignore[no-any-return]


def _by_head(place: np.ndarray, heads: int) -> np.ndarray:
    """Token index -> index into (token, key head), head-major within a row; stays negative where there is no token."""
    by_head = place[..., None, :] * heads + np.arange(heads)[:, None]
    return np.where(place[..., None, :] >= 0, by_head, -1).ravel()


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query_MA: Tensor, key_MC: Tensor, value_MC: Tensor, at: Grid) -> Tensor:
        wide, size = query_MA.shape[1] // at.heads, key_MC.shape[1] // at.heads
        query, key, value = query_MA.view(-1, wide), key_MC.view(-1, size), value_MC.view(-1, size)
        out = query.new_empty(len(at.prompt_X) + len(at.reply_X), wide)
        weights = []
        for place, keys, mask, slots in _blocks(at):
            groups = mask.shape[0] * at.heads
            part = _on_grid(query, place, groups, size), _on_grid(key, keys, groups, size), _on_grid(value, keys, groups, size)
            here = out[slots].view(part[0].shape)
            if torch.is_inference_mode_enabled():
                heads = [x.view(mask.shape[0], at.heads, -1, size) for x in part]
                here.copy_(F.scaled_dot_product_attention(*heads, attn_mask=mask, scale=1.0).view(here.shape))
            else:
                weights.append(_weights(part[0], part[1], mask))
                torch.bmm(weights[-1], part[2], out=here)
        ctx.at = at
        ctx.save_for_backward(query_MA, key_MC, value_MC, *weights)
        return out.index_select(0, at.back_X).view(query_MA.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        at: Grid = ctx.at
        query_MA, key_MC, value_MC, *weights = ctx.saved_tensors
        wide, size = query_MA.shape[1] // at.heads, key_MC.shape[1] // at.heads
        query, key, value = query_MA.view(-1, wide), key_MC.view(-1, size), value_MC.view(-1, size)
        grad_out = query.new_zeros(len(at.prompt_X) + len(at.reply_X), wide).index_copy_(0, at.back_X, grads[0].reshape(-1, wide))
        grad_query = torch.empty_like(grad_out)
        grad_key, grad_value = [], []
        for weight, (place, keys, mask, slots) in zip(weights, _blocks(at), strict=True):
            groups = mask.shape[0] * at.heads
            q, k, v = _on_grid(query, place, groups, size), _on_grid(key, keys, groups, size), _on_grid(value, keys, groups, size)
            back = grad_out[slots].view(q.shape)
            slope = torch.bmm(back, v.transpose(1, 2))
            if native := kernels(slope, weight):
                native.softmax_back(slope, weight, slope.numel() // slope.shape[-1], slope.shape[-1])
            else:
                slope = torch.ops.aten._softmax_backward_data(slope, weight, -1, weight.dtype)
            torch.bmm(slope, k, out=grad_query[slots].view(q.shape))
            grad_key.append(torch.bmm(slope.transpose(1, 2), q))
            grad_value.append(torch.bmm(weight.transpose(1, 2), back))
        back_key, back_value = (_collected(parts, at, size).index_select(0, at.back_X).view(key_MC.shape) for parts in (grad_key, grad_value))
        return grad_query.index_select(0, at.back_X).view(query_MA.shape), back_key, back_value, None


def _blocks(at: Grid) -> list[tuple[Tensor, Tensor, Tensor, slice]]:
    """The prompts' block and the replies': queries, keys, mask, and the slots of the answer."""
    first = len(at.prompt_X)
    blocks = [(at.prompt_X, at.prompt_X, at.prompt_mask, slice(0, first))]
    if len(at.reply_X):
        blocks.append((at.reply_X, at.key_X, at.reply_mask, slice(first, first + len(at.reply_X))))
    return blocks


def _on_grid(flat: Tensor, place_X: Tensor, groups: int, size: int) -> Tensor:
    """[rows of a block * key heads, queries (each with its group) or keys, D]."""
    return flat.index_select(0, place_X).view(groups, -1, size)


def _weights(query: Tensor, key: Tensor, mask: Tensor) -> Tensor:
    scores = torch.bmm(query, key.transpose(1, 2))
    if native := kernels(scores, mask):
        native.masked_softmax(scores, mask, mask.shape[0], len(scores) // mask.shape[0], *mask.shape[-2:])
        return scores
    by_row = scores.view(mask.shape[0], -1, *mask.shape[-2:]).add_(mask)
    return torch.softmax(by_row, dim=-1, out=by_row).view(scores.shape)


def _collected(parts: Sequence[Tensor], at: Grid, size: int) -> Tensor:
    """Gradients of the keys by slot: a prompt's keys are looked at by the prompt and by each of its replies."""
    if len(parts) == 1:
        return parts[0].view(-1, size)
    ofprompt = parts[0].view(at.rows, at.heads, at.width, size)
    ofreply = parts[1].view(at.rows, at.replies, at.heads, -1, size)
    total = ofprompt + ofreply[:, :, :, : at.width].sum(1)
    return torch.cat([total.view(-1, size), ofreply[:, :, :, at.width :].reshape(-1, size)])
