"""How do replies attend to the prompt that they share (shared-prefix attention)?

In two products: the prompts' tokens at their prompt, and the replies' tokens at [their prompt,
themselves]. What the block mask of `pack` forbids (a sibling reply, another row) is never computed:
a prompt of 60 tokens with 32 replies of 48 has a fourteenth of the scores that the square of its
row would have. Tokens lie flat, without padding; only here are they put on a grid, by one gather
each way, and query heads that share a key head (grouped-query attention) become further queries of
that head, so nothing is copied for them.

The gradient is by hand: gathers both ways instead of scattered sums. Where `kernels` has attention,
all of it is one call each way that keeps no weights, so a row may be as long as it likes. Elsewhere
torch's products make it, a long prompt is cut into parts, each of which looks back to its own end,
and in inference mode the fused kernel takes over, which has no use for the weights.

Shapes: M tokens, B rows, P longest prompt, K replies a row, L longest reply, S keys, G query heads
to a key head, D head size, C key heads * D, A query heads * D, X key heads * rows of a grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from alignwright.model.bounded_cache import BoundedCache
from alignwright.model.kernels import Kernels, kernels
from alignwright.model.packing import additive

_PART = 128  # queries of a prompt at once: shorter parts save scores, and make more and smaller products


_KEPT = 32 * 2**20  # bytes of masks: a batch is met again by the reference, each epoch and each model that is measured


@dataclass(frozen=True)
class Block:
    """Queries that look at the same columns of keys, row by row: a part of the prompts, or the
    replies. X: key heads * rows, flattened."""

    query_X: Tensor  # [rows, heads, queries], of M * heads: 0 where there is no token
    key_X: Tensor  # [rows, heads, S]
    columns: Tensor  # [rows, queries * G]: how many columns there are up to the last that a query may look at
    gap: Tensor  # [rows, 2]: columns from and to that none of them may look at
    mask: Tensor | None  # [rows, 1, queries * G, S], additive, for torch's products
    slots: slice  # where its answers lie among those of all blocks
    ofreply: bool


@dataclass(frozen=True)
class SharedPromptMask:
    """Where each token of a flat batch lies when prompts and replies are put side by side, and
    who may look at whom."""

    rows: int
    replies: int
    heads: int  # key heads
    width: int  # P
    blocks: tuple[Block, ...]
    slots: int  # of all blocks
    query_X: Tensor  # [M, heads]: which slot holds the token's answer
    key_X: Tensor  # [M, heads]: which place of [prompts, replies] holds the token's key


_masks: BoundedCache[SharedPromptMask] = BoundedCache(_KEPT)


def attention_kernels(dtype: torch.dtype, device: torch.device, size: int) -> Kernels | None:
    """The kernels, where they have attention for heads of this size."""
    native = kernels(torch.empty(0, dtype=dtype, device=device))
    return native if native and native.has_matmul and size % native.vector_width == 0 else None


def shared_prompt_mask(
    lengths: Sequence[tuple[int, Sequence[int]]],
    *,
    heads: int,
    group: int,
    size: int,
    dtype: torch.dtype,
    device: torch.device,
) -> SharedPromptMask:
    """The grid of rows of (prompt length, reply lengths), whose tokens lie flat one after the
    other, prompt first. `size` of a head."""
    native = attention_kernels(dtype, device, size) is not None
    key = (tuple((head, tuple(each)) for head, each in lengths), heads, group, dtype, device, native)
    with torch.inference_mode(False):  # training may ask for what a measurement made
        return _masks.get(key, _bytes, lambda: _make_mask(*key))


def _make_mask(
    lengths: tuple[tuple[int, tuple[int, ...]], ...],
    heads: int,
    group: int,
    dtype: torch.dtype,
    device: torch.device,
    native: bool,
) -> SharedPromptMask:
    # 1. The index of each token by its place: a square of prompts, a cube of replies, -1 where there is no token.
    rows, replies = len(lengths), max(len(each) for _, each in lengths)
    width, depth = max(head for head, _ in lengths), max((n for _, each in lengths for n in each), default=0)
    prompt_BP, reply_BKL = np.full((rows, width), -1), np.full((rows, replies, depth), -1)
    token = 0
    for b, (head, each) in enumerate(lengths):
        for place, n in ((prompt_BP[b], head), *zip(reply_BKL[b], each, strict=False)):
            place[:n] = np.arange(token, token + n)
            token += n
    # 2. Who may look at whom: back only, a reply at its prompt and at itself. A sibling has no column, so nothing has
    #    to mask it.
    past_PP, past_LL = np.tri(width, dtype=bool), np.tri(depth, dtype=bool)
    key_BKS = np.concatenate([np.repeat(prompt_BP[:, None], replies, axis=1), reply_BKL], axis=2)
    reply_may = np.concatenate([np.ones((depth, width), dtype=bool), past_LL], axis=1) & (key_BKS >= 0)[:, :, None]
    # 3. torch keeps the weights of every query for the gradient, so it gets a long prompt in parts, each of which ends
    #    its columns at its own end; the kernels keep none and take it whole.
    gap_B2 = np.array([(head, width) for head, _ in lengths])
    part = width if native else _PART
    parts = [slice(begin, min(begin + part, width)) for begin in range(0, width, part)]
    layouts = [
        (
            prompt_BP[:, part],
            prompt_BP[:, : part.stop],
            past_PP[part, : part.stop] & (prompt_BP >= 0)[:, None, : part.stop],
        )
        for part in parts
    ]
    if reply_BKL.size:
        layouts.append((reply_BKL, key_BKS, reply_may))

    # 4. Answers of all blocks lie one after the other, so that one gather brings them back to the flat tokens, and one
    #    more brings the gradients of the keys.
    begins = np.cumsum([0, *(query.size * heads for query, _, _ in layouts)]).tolist()
    shape = _Shape(heads, group, dtype, device, native)
    blocks = tuple(
        _block(*each, np.repeat(gap_B2, int(np.prod(each[0].shape[:-1])) // rows, axis=0), begin, shape)
        for each, begin in zip(layouts, begins, strict=False)
    )
    of_query = _places([_by_head(query, heads) for query, _, _ in layouts], token * heads).to(device)
    of_key = _places([_by_head(place, heads) for place in (prompt_BP, reply_BKL)], token * heads).to(device)
    return SharedPromptMask(rows, replies, heads, width, blocks, begins[-1], of_query, of_key)


class _Shape(NamedTuple):
    heads: int  # key heads
    group: int  # query heads to each
    dtype: torch.dtype
    device: torch.device
    native: bool


def _block(query: np.ndarray, key: np.ndarray, may: np.ndarray, gap: np.ndarray, begin: int, of: _Shape) -> Block:
    """Queries [..., Q] that may look at keys [..., S]; `gap` has a line for each row of queries."""
    flat = torch.from_numpy(may.reshape(int(np.prod(may.shape[:-2])), 1, *may.shape[-2:]))
    mask = None if of.native else additive(flat, of.dtype).repeat_interleave(of.group, dim=2).to(of.device)
    at = [torch.from_numpy(np.maximum(_by_head(place, of.heads), 0)).to(of.device) for place in (query, key)]
    last = np.where(may.any(-1), may.shape[-1] - may[..., ::-1].argmax(-1), 0)
    columns = torch.from_numpy(last.reshape(len(flat), -1)).repeat_interleave(of.group, dim=1)
    slots = slice(begin, begin + query.size * of.heads)
    where = columns.to(of.device), torch.from_numpy(gap).to(of.device)
    return Block(at[0], at[1], *where, mask, slots, query.ndim == 3)


def branch_mask(
    width: int,
    branches: Sequence[tuple[int, int]],
    *,
    heads: int,
    group: int,
    size: int,
    dtype: torch.dtype,
    device: torch.device,
    before_KP: np.ndarray | None = None,
) -> SharedPromptMask:
    """The grid of branches (fork, length) off one row of `width` tokens that were read already: a
    branch sees the row's first `fork` tokens and itself. Queries are the branches' tokens, flat one
    branch after the other; keys are the row's tokens, and then these. `before_KP`: there is no such
    row, and a branch sees first these tokens of the branches themselves (without a gradient)."""
    fork_K, length_K = np.array(branches).T
    read = width if before_KP is None else 0  # keys that come before the branches' own
    depth, count = int(length_K.max()), int(length_K.sum())
    real_KL = np.arange(depth) < length_K[:, None]
    token_KL = np.where(real_KL, (np.cumsum(length_K) - length_K)[:, None] + np.arange(depth), -1)
    row_1P = np.arange(width)[None]
    own_KL = np.where(real_KL, token_KL + read, -1)
    row_KP = np.repeat(row_1P, len(branches), axis=0) if before_KP is None else before_KP
    key_KS = np.concatenate([row_KP, own_KL], axis=1)
    row_may = np.repeat((row_1P < fork_K[:, None])[:, None], depth, axis=1)
    own_may = np.tri(depth, dtype=bool)[None] & real_KL[:, None]
    may = np.concatenate([row_may, own_may], axis=2)[None]
    gap_K2 = np.stack([fork_K, np.full_like(fork_K, width)], axis=1)
    shape = _Shape(heads, group, dtype, device, attention_kernels(dtype, device, size) is not None)
    block = _block(token_KL[None], key_KS[None], may, gap_K2, 0, shape)
    query_X = _places([_by_head(token_KL, heads)], count * heads).to(device)
    rows = [_by_head(row_1P, heads)] if read else []
    key_X = _places([*rows, _by_head(own_KL[None], heads)], (read + count) * heads).to(device)
    return SharedPromptMask(1, len(branches), heads, width, (block,), token_KL.size * heads, query_X, key_X)


def _bytes(mask: SharedPromptMask) -> int:
    tensors = [value for part in (mask, *mask.blocks) for value in vars(part).values() if isinstance(value, Tensor)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _places(layouts: Sequence[np.ndarray], count: int) -> Tensor:
    """Where in these arrays, one after the other, each of `count` indices is."""
    slots, where = np.concatenate(layouts), np.empty(count, dtype=np.int64)
    where[slots[slots >= 0]] = np.flatnonzero(slots >= 0)
    return torch.from_numpy(where)


def attend(query_MA: Tensor, key_MC: Tensor, value_MC: Tensor, at: SharedPromptMask) -> Tensor:
    """Attention of every token to its prompt and its own reply; queries come scaled."""
    return _Attend.apply(query_MA, key_MC, value_MC, at)  # type: ignore[no-any-return]


def _by_head(place: np.ndarray, heads: int) -> np.ndarray:
    """Token index -> index into (token, key head), head-major within a row; stays negative where
    there is no token."""
    by_head = place[..., None, :] * heads + np.arange(heads)[:, None]
    return np.where(place[..., None, :] >= 0, by_head, -1).ravel()


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query_MA: Tensor, key_MC: Tensor, value_MC: Tensor, at: SharedPromptMask) -> Tensor:
        wide, size = query_MA.shape[1] // at.heads, key_MC.shape[1] // at.heads
        query, key, value = query_MA.view(-1, wide), key_MC.view(-1, size), value_MC.view(-1, size)
        out, keep = query.new_empty(at.slots, wide), not torch.is_inference_mode_enabled()
        softmax_state = []
        for block in at.blocks:
            q, k, v = _on_grid(block, at.heads, query, key, value)
            here = out[block.slots].view(q.shape)
            if block.mask is None:
                native = attention_kernels(q.dtype, q.device, size)
                assert native
                softmax_state.append(q.new_empty(q.shape[:2], dtype=torch.float32))
                native.attend(
                    q,
                    k,
                    v,
                    block.columns,
                    block.gap,
                    softmax_state[-1] if keep else None,
                    here,
                    *_sizes(block, at, q, k),
                )
            elif keep:
                softmax_state.append(_weights(q, k, block.mask))
                torch.bmm(softmax_state[-1], v, out=here)
            else:
                heads = [x.view(block.mask.shape[0], at.heads, -1, size) for x in (q, k, v)]
                here.copy_(F.scaled_dot_product_attention(*heads, attn_mask=block.mask, scale=1.0).view(here.shape))
        ctx.at = at
        ctx.save_for_backward(query_MA, key_MC, value_MC, *softmax_state)
        return out.index_select(0, at.query_X).view(query_MA.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        at: SharedPromptMask = ctx.at
        query_MA, key_MC, value_MC, *softmax_state = ctx.saved_tensors
        wide, size = query_MA.shape[1] // at.heads, key_MC.shape[1] // at.heads
        query, key, value = query_MA.view(-1, wide), key_MC.view(-1, size), value_MC.view(-1, size)
        grad_out = query.new_zeros(at.slots, wide).index_copy_(0, at.query_X, grads[0].reshape(-1, wide))
        grad_query = torch.empty_like(grad_out)
        grad_key, grad_value = [], []
        for each, block in zip(softmax_state, at.blocks, strict=True):
            q, k, v = _on_grid(block, at.heads, query, key, value)
            back, turn = grad_out[block.slots].view(q.shape), grad_query[block.slots].view(q.shape)
            if block.mask is None:
                native = attention_kernels(q.dtype, q.device, size)
                assert native
                key_value_grads = torch.empty_like(k), torch.empty_like(v)
                native.attend_backward(
                    q, k, v, block.columns, block.gap, each, back, turn, *key_value_grads, *_sizes(block, at, q, k)
                )
            else:
                key_value_grads = _products_back(q, k, v, each, back, turn)
            grad_key.append(key_value_grads[0])
            grad_value.append(key_value_grads[1])
        back_key, back_value = (
            _sum_key_gradients(parts, at, size).index_select(0, at.key_X).view(key_MC.shape)
            for parts in (grad_key, grad_value)
        )
        return grad_query.index_select(0, at.query_X).view(query_MA.shape), back_key, back_value, None


def _on_grid(block: Block, heads: int, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[rows of a block * key heads, queries (each with its group) or keys, D] of each."""
    groups, size = len(block.columns) * heads, key.shape[1]
    at_query, at_key = block.query_X, block.key_X
    return tuple(
        x.index_select(0, at).view(groups, -1, size) for x, at in ((query, at_query), (key, at_key), (value, at_key))
    )  # type: ignore[return-value]


def _sizes(block: Block, at: SharedPromptMask, query: Tensor, key: Tensor) -> tuple[int, ...]:
    return len(block.columns), at.heads, query.shape[1], *key.shape[1:]


def _products_back(
    query: Tensor, key: Tensor, value: Tensor, weight: Tensor, back: Tensor, turn: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of keys and values; that of the queries goes to `turn`."""
    slope = torch.bmm(back, value.transpose(1, 2))
    if native := kernels(slope, weight):
        native.softmax_backward(slope, weight, slope.numel() // slope.shape[-1], slope.shape[-1])
    else:
        slope = torch.ops.aten._softmax_backward_data(slope, weight, -1, weight.dtype)
    torch.bmm(slope, key, out=turn)
    return torch.bmm(slope.transpose(1, 2), query), torch.bmm(weight.transpose(1, 2), back)


def _weights(query: Tensor, key: Tensor, mask: Tensor) -> Tensor:
    scores = torch.bmm(query, key.transpose(1, 2))
    if native := kernels(scores, mask):
        native.masked_softmax(scores, mask, mask.shape[0], len(scores) // mask.shape[0], *mask.shape[-2:])
        return scores
    by_row = scores.view(mask.shape[0], -1, *mask.shape[-2:]).add_(mask)
    return torch.softmax(by_row, dim=-1, out=by_row).view(scores.shape)


def _sum_key_gradients(parts: Sequence[Tensor], at: SharedPromptMask, size: int) -> Tensor:
    """Gradients of the keys by place: a prompt's keys are looked at by the parts of the prompt
    from theirs on, and by each of its replies."""
    ofprompt = [part for part, block in zip(parts, at.blocks, strict=True) if not block.ofreply]
    if ofprompt:
        total = ofprompt.pop().view(at.rows, at.heads, at.width, size)  # the last part looks at all
    else:  # the row was read before, and asks nothing now
        total = parts[-1].new_zeros(at.rows, at.heads, at.width, size)
    for part in ofprompt:
        some = part.view(at.rows, at.heads, -1, size)
        total[:, :, : some.shape[2]] += some
    if not at.blocks[-1].ofreply:
        return total.reshape(-1, size)
    ofreply = parts[-1].view(at.rows, at.replies, at.heads, -1, size)
    total += ofreply[:, :, :, : at.width].sum(1)
    return torch.cat([total.view(-1, size), ofreply[:, :, :, at.width :].reshape(-1, size)])
