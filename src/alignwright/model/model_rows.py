"""How do rows go through transformers' own forward: shared, or each reply in a plain row?

Where all layers are attention, a prompt and its replies are one row under the block mask of
`packing`; layers with a sliding window get the same mask within their window. Whatever carries a
state from token to token (linear attention, convolutions, state-space layers) or makes its own mask
(ALiBi, chunked attention) would carry a sibling's state: there each reply is a row of its own,
prompt first, under the model's own masks. Plain rows are padded on the right, which nothing before
it can see in a causal model, and rows of like length are read together.

Both give the states of the same tokens in the same order, so nothing that reads states knows which
it was. A prompt's last token stands in every plain row of its replies: its state is read from the
first.

Shapes: B rows, T tokens a row, N tokens asked for, H hidden size, G plain rows of a group, W their
width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask
from torch.utils.checkpoint import checkpoint

from alignwright.model import flex_mask
from alignwright.model.limits import window
from alignwright.model.packing import PackedBatch

Mask = Tensor | BlockMask
_MARK = "alignwright_plain_rows"
_WASTE = 1.1  # a group of plain rows may have a tenth of padding
_TOKENS = 8192  # and so many tokens


Decoding = Literal["padded", "cached", "reread"]
"""How plain rows are decoded: prompts of any length in one batch, padded on the left under the
model's own mask; batches of prompts of one length; or, where a cache gives other numbers, by
reading each row anew for every token."""


@dataclass(frozen=True)
class PlainRows:
    """That a model reads plain rows, why, and how it decodes them."""

    reason: str
    decoding: Decoding = "reread"


def plain_rows(body: Any) -> PlainRows | None:
    """How this trunk reads plain rows; None where replies share their prompt's."""
    return getattr(body, _MARK, None)


def set_plain_rows(body: Any, plain: PlainRows | None) -> None:
    setattr(body, _MARK, plain)


def transformers_hidden(body: Any, batch: PackedBatch) -> Tensor:
    """The last hidden states from which the scored tokens are predicted: [N, H]. Differentiable."""
    if plain_rows(body):
        return _plain_hidden(body, batch)
    hidden_BTH = body(
        input_ids=batch.input_ids_BT,
        position_ids=batch.position_ids_BT,
        attention_mask=_masks(body.config.get_text_config(), batch),
        use_cache=False,
    ).last_hidden_state
    return hidden_BTH.flatten(0, 1).index_select(0, batch.target_N)


def _masks(config: Any, batch: PackedBatch) -> Mask | dict[str, Mask]:
    reach = window(config)
    if reach is None or batch.longest <= reach:
        return _mask(batch, None)
    return masks_of_kinds(config, lambda: _mask(batch, None), lambda: _mask(batch, reach))


def _mask(batch: PackedBatch, reach: int | None) -> Mask:
    """Who may look at whom, as the device reads it."""
    if flex_mask.uses_blocks(batch.segments_BT.device):
        return flex_mask.block_mask(batch.segments_BT, batch.position_ids_BT, reach)
    return batch.mask_B1TT if reach is None else batch.window_mask(reach)


def masks_of_kinds(config: Any, full: Callable[[], Mask], windowed: Callable[[], Mask]) -> Mask | dict[str, Mask]:
    """The masks of a model with a sliding window, one for each kind of layer; one alone where
    every layer has the window."""
    if getattr(config, "layer_types", None) is None:
        return windowed()
    return {"full_attention": full(), "sliding_attention": windowed()}


def _plain_hidden(body: Any, batch: PackedBatch) -> Tensor:
    target_N = batch.target_N.cpu().numpy()
    # 1. The plain rows, each as flat indices into B*T; those of which nothing is asked are not read.
    rows, row_of_X, column_of_X = _split(batch)
    rows_asked = sorted(set(row_of_X[target_N].tolist()), key=lambda r: (len(rows[r]), r))
    # 2. Group by group, each state lands at the place of its token in B*T.
    states, places = [], []
    many = torch.is_grad_enabled() and sum(len(rows[r]) for r in rows_asked) > _TOKENS
    for group in _groups(rows_asked, [len(row) for row in rows]):
        width = len(rows[group[-1]])
        index_GW = np.stack([np.pad(rows[r], (0, width - len(rows[r])), mode="edge") for r in group])
        ids_GW = batch.input_ids_BT.flatten()[torch.from_numpy(index_GW).to(batch.input_ids_BT.device)]
        # A prompt stands in every row of its replies: of many tokens only one group's inner numbers are in memory, and
        # are made again for the gradient.
        hidden_GWH = checkpoint(_states, body, ids_GW, use_reentrant=False) if many else _states(body, ids_GW)
        number = {r: g for g, r in enumerate(group)}
        chosen = np.flatnonzero(np.isin(row_of_X[target_N], group))
        flat = [number[int(row_of_X[x])] * width + int(column_of_X[x]) for x in target_N[chosen]]
        states.append(hidden_GWH.flatten(0, 1).index_select(0, torch.tensor(flat, device=hidden_GWH.device)))
        places.append(chosen)
    # 3. And back into the order in which they were asked for.
    if not states:
        return _states(body, batch.input_ids_BT[:1, :1])[0, :0]
    order = torch.from_numpy(np.argsort(np.concatenate(places), kind="stable")).to(states[0].device)
    return torch.cat(states).index_select(0, order)


def _states(body: Any, ids_GW: Tensor) -> Tensor:
    return body(input_ids=ids_GW, use_cache=False).last_hidden_state


def _split(batch: PackedBatch) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """The plain rows of a batch as indices into B*T, and for each index its plain row and column."""
    row_of_X = np.full(batch.input_ids_BT.numel(), -1)
    column_of_X = np.full_like(row_of_X, -1)
    rows: list[np.ndarray] = []
    token_M, start = batch.token_M.cpu().numpy(), 0
    for head, replies in batch.lengths:
        prompt, start = token_M[start : start + head], start + head
        row_of_X[prompt], column_of_X[prompt] = len(rows), np.arange(head)
        for length in replies or (0,):
            reply, start = token_M[start : start + length], start + length
            row_of_X[reply], column_of_X[reply] = len(rows), head + np.arange(length)
            rows.append(np.concatenate([prompt, reply]))
    return rows, row_of_X, column_of_X


def _groups(rows: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Rows in order of length, in groups of like length."""
    groups: list[list[int]] = []
    total = 0
    for r in rows:
        padded = lengths[r] * (len(groups[-1]) + 1) if groups else 0
        if not groups or padded > _WASTE * (total + lengths[r]) or padded > _TOKENS:
            groups.append([])
            total = 0
        groups[-1].append(r)
        total += lengths[r]
    return groups
