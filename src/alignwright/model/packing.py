"""How are a prompt and its replies packed into one row, and under which attention mask?

One row holds the prompt once, then every reply. A reply sees the prompt and itself, never a sibling
(block mask), and its positions restart after the prompt, so its probabilities are those of a row of
its own while the prompt is computed once.

Shapes: B rows, T tokens a row, N scored tokens, R replies. The mask is additive (0 or the dtype's
lowest number), because eager attention silently ADDS whatever mask it is given, and a boolean one
would then mask nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from alignwright.model.tokens import TokenRow

_PAD, _PROMPT = -1, 0  # segments of a row; reply k is segment k + 1
_WINDOW = 16  # batches of about one window are sorted together when training data are shuffled


@dataclass(frozen=True)
class PackedBatch:
    """Everything the model needs for a batch of rows, and where the scored tokens are."""

    input_ids_BT: Tensor
    position_ids_BT: Tensor
    segments_BT: Tensor  # 0 in the prompt, 1 .. K in the replies, negative in the padding
    dtype: torch.dtype  # of the mask
    target_N: Tensor  # flat index into B*T of the position whose hidden state predicts the label
    label_N: Tensor
    reply_N: Tensor  # index 0..R-1 of the reply that a scored token belongs to
    reply_count: int
    row_of_R: Tensor
    token_M: Tensor  # flat index into B*T of every token that is not padding, row by row
    lengths: tuple[tuple[int, tuple[int, ...]], ...]  # of each row: its prompt's, and its replies'

    @property
    def longest(self) -> int:
        """The most tokens that one token may look at."""
        return max(head + max(replies, default=0) for head, replies in self.lengths)

    @property
    def mask_B1TT(self) -> Tensor:
        """Who may look at whom, additive: a square of the length, so it is made only for who
        asks."""
        return additive(_allowed(self.segments_BT), self.dtype)[:, None]

    def window_mask(self, reach: int) -> Tensor:
        """The same under a sliding window: so many tokens back, itself counted, by position and
        not by column, since a reply's row may hold its siblings before it. Shape [B, 1, T, T]."""
        distance_BTT = self.position_ids_BT[:, :, None] - self.position_ids_BT[:, None, :]
        return additive(_allowed(self.segments_BT) & (distance_BTT < reach), self.dtype)[:, None]

    def to(self, device: torch.device | str) -> PackedBatch:
        """This batch on another device."""
        tensors = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **tensors)


def pack(
    rows: Sequence[TokenRow], pad_id: int, *, dtype: torch.dtype, pad_left: bool = False, shared: bool = True
) -> PackedBatch:
    """Lay out rows as one batch. `shared=False` gives every reply a row of its own (the same
    numbers, for checks)."""
    if not rows:
        raise ValueError("cannot pack a batch of no rows")
    # 1. A line of the batch is a row, or one reply of it where nothing is to be shared.
    lines = list(rows) if shared else [single for row in rows for single in _split(row)]
    if not all(line.prompt for line in lines):
        raise ValueError("a row has an empty prompt, so nothing can predict the first token of its replies")
    width = max(len(line) for line in lines)
    ids_BT = np.full((len(lines), width), pad_id, dtype=np.int64)
    positions_BT, segments_BT = np.zeros_like(ids_BT), np.full_like(ids_BT, _PAD)
    targets: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    tokens: list[np.ndarray] = []
    counts: list[int] = []
    # 2. Ids, positions and segments go where the line lies; the rest stays padding, which no segment may look at.
    for b, line in enumerate(lines):
        start = width - len(line) if pad_left else 0
        segments, positions, before, scored = _layout(line)
        here = slice(start, start + len(line))
        ids_BT[b, here] = [*line.prompt, *(token for reply in line.replies for token in reply)]
        positions_BT[b, here], segments_BT[b, here] = positions, segments
        tokens.append(np.arange(b * width + start, b * width + start + len(line)))
        # 3. Reply by reply, so that scored tokens lie in the order of the replies and `reply_N` is counts alone.
        #    The state that predicts a token is the one before it: for a reply's first token, the prompt's last.
        for segment in range(1, len(line.replies) + 1):
            chosen = np.flatnonzero(scored & (segments == segment))
            targets.append(before[chosen] + start + b * width)
            labels.append(ids_BT[b, here][chosen])
            counts.append(len(chosen))
    replies = [len(line.replies) for line in lines]
    return PackedBatch(
        input_ids_BT=torch.from_numpy(ids_BT),
        position_ids_BT=torch.from_numpy(positions_BT),
        segments_BT=torch.from_numpy(segments_BT),
        dtype=dtype,
        target_N=torch.from_numpy(np.concatenate(targets) if targets else np.zeros(0, dtype=np.int64)),
        label_N=torch.from_numpy(np.concatenate(labels) if labels else np.zeros(0, dtype=np.int64)),
        reply_N=torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts, dtype=torch.int64)),
        reply_count=len(counts),
        row_of_R=torch.repeat_interleave(torch.arange(len(lines)), torch.tensor(replies, dtype=torch.int64)),
        token_M=torch.from_numpy(np.concatenate(tokens)),
        lengths=tuple((len(line.prompt), tuple(len(reply) for reply in line.replies)) for line in lines),
    )


def plan_batches(rows: Sequence[TokenRow], token_budget: int, *, shuffle_seed: int | None) -> list[list[int]]:
    """Indices of rows, batch by batch: rows of like length together, each batch within the budget
    with its padding.

    A row longer than the budget is a batch of its own: nothing is dropped or cut. With a seed the
    rows are shuffled, sorted by length only inside windows, and the batches shuffled; without one
    the layout is a function of the rows alone.
    """
    if token_budget < 1:
        raise ValueError(f"a token budget must be at least 1, not {token_budget}")
    lengths = [len(row) for row in rows]
    if shuffle_seed is None:
        return _fill(sorted(range(len(rows)), key=lambda i: (lengths[i], i)), lengths, token_budget)
    rng = np.random.default_rng(shuffle_seed)
    order = [int(i) for i in rng.permutation(len(rows))]
    per_batch = max(1, token_budget * len(rows) // max(1, sum(lengths)))
    batches: list[list[int]] = []
    for start in range(0, len(order), per_batch * _WINDOW):
        window = order[start : start + per_batch * _WINDOW]
        batches += _fill(sorted(window, key=lambda i: lengths[i]), lengths, token_budget)
    return [batches[int(i)] for i in rng.permutation(len(batches))]


def additive(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """A boolean mask (True: may look) as numbers to add to attention scores."""
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill_(~allowed, torch.finfo(dtype).min)


def _fill(order: Sequence[int], lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    batches: list[list[int]] = []
    widest = 0
    for i in order:
        widest = max(widest, lengths[i]) if batches else lengths[i]
        if not batches or widest * (len(batches[-1]) + 1) > token_budget:
            batches.append([])
            widest = lengths[i]
        batches[-1].append(i)
    return batches


def _split(row: TokenRow) -> list[TokenRow]:
    masks = row.masks if row.masks is not None else tuple((True,) * len(reply) for reply in row.replies)
    return [TokenRow(row.prompt, (reply,), (mask,)) for reply, mask in zip(row.replies, masks, strict=True)]


def _layout(line: TokenRow) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of each token of a row: its segment, its position, the place that predicts it, and whether
    it is scored."""
    head, lengths = len(line.prompt), [len(reply) for reply in line.replies]
    segments = np.repeat(np.arange(len(lengths) + 1), [head, *lengths])
    within = np.concatenate([np.arange(head), *(np.arange(n) for n in lengths)])
    positions = within + np.where(segments == _PROMPT, 0, head)
    before = np.where(within == 0, head - 1, np.arange(len(segments)) - 1)
    scored = segments != _PROMPT
    if line.masks is not None:
        marks = [mark for mask in line.masks for mark in mask]
        if [len(mask) for mask in line.masks] != lengths:
            raise ValueError(f"masks of {[len(mask) for mask in line.masks]} tokens for replies of {lengths} tokens")
        scored = np.array([False] * head + marks, dtype=bool)
    return segments, positions, before, scored


def _allowed(segments_BT: Tensor) -> Tensor:
    """Who may look at whom: back only, at the prompt or one's own segment. Padding looks at
    itself, so that no row is empty."""
    width = segments_BT.shape[1]
    query, key = segments_BT[:, :, None], segments_BT[:, None, :]
    square = torch.ones(width, width, dtype=torch.bool, device=segments_BT.device)
    return (square.tril() & ((key == _PROMPT) | (key == query)) & (key != _PAD)) | torch.eye(
        width, dtype=torch.bool, device=segments_BT.device
    )
