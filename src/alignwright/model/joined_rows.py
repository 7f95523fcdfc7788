"""How do rows whose prompts have just been read join rows that are under way?

The fast decoder's rows write their next token to one column of the cache, so two sets of rows are
laid end to end: the shorter is moved to the right until both end at the same column, and columns
that no row reads any more are left out. Where each row begins is kept beside the cache, and its
tokens' positions are its own, so no number of a row depends on where it lies. A decoder of another
kind keeps its rows to itself.

Shapes: R rows, K key heads, S columns of the cache, D head size.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from alignwright.model.packing import additive

COLUMNS = 32
"""The cache grows by blocks of so many: every new shape of a product costs a compilation."""


@runtime_checkable
class AlignedRows(Protocol):
    """Rows under way that all write to the column `length` of their caches."""

    caches: list[Tensor]
    """Of each layer: keys and values, [2, R, K, S, D]."""
    mask_RS: Tensor
    position_R: Tensor
    first_R: Tensor
    """The column where each row's prompt begins."""
    length: int


def whole_blocks(columns: int) -> int:
    """So many columns, and what fills the last block."""
    return -(-columns // COLUMNS) * COLUMNS


def join(running: AlignedRows, new: AlignedRows, room: int) -> None:
    """Put `new`'s rows behind those of `running`, all with room for so many tokens more."""
    both = (running, new)
    # 1. As many columns as the longest row has tokens, and where each row then begins.
    length = max(int(rows.position_R.max()) for rows in both)
    first_R = torch.cat([rows.first_R + (length - rows.length) for rows in both])
    columns = whole_blocks(length + 1)
    # 2. Layer by layer, so that only one layer's cache is there twice.
    for place, (old, added) in enumerate(zip(running.caches, new.caches, strict=True)):
        two, _, heads, _, size = old.shape
        cache = old.new_zeros(two, len(first_R), heads, columns, size)
        start = 0
        for part, rows in ((old, running), (added, new)):
            kept = min(rows.length, length)
            cache[:, start : start + part.shape[1], :, length - kept : length] = part[
                :, :, :, rows.length - kept : rows.length
            ]
            start += part.shape[1]
        running.caches[place] = cache
        new.caches[place] = added.new_empty(0)
    # 3. What lies before a row's first column is another's, or nothing.
    column_S = torch.arange(length + room + COLUMNS, device=first_R.device)
    running.mask_RS = additive(column_S[None] >= first_R[:, None], running.mask_RS.dtype).to(first_R.device)
    running.position_R = torch.cat([rows.position_R for rows in both])
    running.first_R, running.length = first_R, length
