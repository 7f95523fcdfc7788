"""How are many sequences read at once, what they have in common read once (a prefix tree, as in
RadixAttention, Zheng et al. 2024, arXiv 2312.07104)?

In the order of their tokens each sequence shares its longest beginning with the one before it. So a
sequence is a branch: the tokens of its own, which see those of its beginning where these lie, in
earlier branches, and themselves. Every distinct beginning goes through the blocks once, at whatever
depth it forks: the system message of all prompts, the question of several choices, the words that
two replies begin with. The states are those of plain rows up to rounding.

`can_read` says for which models: those whose blocks are ours. Only for reading, without a gradient.

Shapes: K sequences, P tokens before a branch, M tokens of a tree, N states asked for, H hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from alignwright.model.block_parts import embed
from alignwright.model.branch_attention import PathBranches
from alignwright.model.llama_blocks import blocks_hidden, has_fast_blocks, scored_hidden, short_enough, trunk
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.packing import pack, plan_batches
from alignwright.model.shared_prompt_attention import SharedPromptMask, attention_kernels, branch_mask
from alignwright.model.tokens import TokenRow

_PADDING = 4
"""The grid of all branches may have so many times the places of the tokens that are read at once."""


@dataclass(frozen=True)
class PrefixTree:
    """Sequences by their places, and where in the flat tokens each token of each one lies."""

    places: tuple[int, ...]
    ids: tuple[int, ...]
    positions: tuple[int, ...]
    paths: tuple[np.ndarray, ...]
    forks: tuple[int, ...]


def can_read(body: Any, longest: int) -> bool:
    """Whether sequences of this length may be read as a tree by this trunk."""
    return has_fast_blocks(body) and short_enough(body, longest)


def prefix_trees(sequences: Sequence[Sequence[int]], token_budget: int) -> Iterator[PrefixTree]:
    """All sequences in trees of at most so many tokens each; a longer one is a tree of its own."""
    order = sorted(range(len(sequences)), key=lambda k: (tuple(sequences[k]), k))
    batch, count, deepest = list[int](), 0, 0
    for k in order:
        own = len(sequences[k]) - (_shared(sequences[batch[-1]], sequences[k]) if batch else 0)
        full = count + own > token_budget or max(deepest, own) * (len(batch) + 1) > _PADDING * token_budget
        if batch and full:
            yield _tree(sequences, batch)
            batch, count, deepest, own = [], 0, 0, len(sequences[k])
        batch.append(k)
        count, deepest = count + own, max(deepest, own)
    if batch:
        yield _tree(sequences, batch)


class ReadBatch(NamedTuple):
    """Which rows were read together, and the states [N, H] that predict the tokens of their replies, row
    by row. `paths`: where each row's tokens lie among `blocks`, the flat keys and values of every block;
    empty where they were not kept."""

    rows: list[int]
    hidden_NH: Tensor
    paths: tuple[np.ndarray, ...] = ()
    blocks: tuple[tuple[Tensor, Tensor], ...] = ()


def reply_states(policy: LoadedModel, rows: Sequence[TokenRow], *, keep: bool = False) -> Iterator[ReadBatch]:
    """Of rows with one reply each, batch by batch. The whole of a batch is read as a tree where the model can
    be, and with `keep` its keys and values are kept."""
    body = trunk(policy.model)
    if not can_read(body, max((len(row) for row in rows), default=0)):
        for batch in plan_batches(rows, policy.token_budget, shuffle_seed=None):
            packed = pack([rows[i] for i in batch], policy.chat.pad_id, dtype=policy.dtype)
            yield ReadBatch(batch, scored_hidden(policy.model, packed))
        return
    # The last token of a reply predicts nothing that is asked for.
    for tree in prefix_trees([(*row.prompt, *row.replies[0][:-1]) for row in rows], policy.token_budget):
        states = [
            int(i)
            for place, path in zip(tree.places, tree.paths, strict=True)
            for i in path[len(rows[place].prompt) - 1 :][: len(rows[place].replies[0])]
        ]
        blocks = list[tuple[Tensor, Tensor]]()
        hidden_NH = tree_hidden(body, tree, states, _into(blocks) if keep else None)
        yield ReadBatch(list(tree.places), hidden_NH, tree.paths if keep else (), tuple(blocks))


def _into(blocks: list[tuple[Tensor, Tensor]]) -> Callable[[Tensor, Tensor], None]:
    return lambda key_MC, value_MC: blocks.append((key_MC, value_MC))


def tree_hidden(
    body: Any, tree: PrefixTree, state_N: Sequence[int], keep: Callable[[Tensor, Tensor], None] | None = None
) -> Tensor:
    """The last hidden states at these flat tokens of a tree: [N, H]. `keep` is given keys and values of
    every block."""
    device = body.embed_tokens.weight.device
    x_MH = embed(body, torch.tensor(tree.ids, device=device))
    position_M, asked_N = torch.tensor(tree.positions, device=device), torch.tensor(state_N, device=device)
    return blocks_hidden(body, x_MH, position_M, _attention(body, tree, x_MH), asked_N, keep=keep)


def _attention(body: Any, tree: PrefixTree, x_MH: Tensor) -> PathBranches | SharedPromptMask:
    """Which tokens each branch sees: by its path where there are kernels, else on a grid of all branches."""
    heads, size = body.config.num_key_value_heads, body.layers[0].self_attn.head_dim
    branches = [(path, fork) for path, fork in zip(tree.paths, tree.forks, strict=True) if len(path) > fork]
    own = [(fork, len(path) - fork) for path, fork in branches]
    if attention_kernels(x_MH.dtype, x_MH.device, size):
        return PathBranches.of(own, heads)
    width = max(fork for _, fork in branches)
    before_KP = np.full((len(branches), width), -1)
    for line, (path, fork) in zip(before_KP, branches, strict=True):
        line[:fork] = path[:fork]
    group = body.config.num_attention_heads // heads
    shape: dict[str, Any] = {"heads": heads, "group": group, "size": size, "dtype": x_MH.dtype, "device": x_MH.device}
    return branch_mask(width, own, **shape, before_KP=before_KP)


def _tree(sequences: Sequence[Sequence[int]], places: Sequence[int]) -> PrefixTree:
    ids, positions, paths, forks = list[int](), list[int](), list[np.ndarray](), list[int]()
    for k, place in enumerate(places):
        sequence = sequences[place]
        fork = _shared(sequences[places[k - 1]], sequence) if k else 0
        own = np.arange(len(ids), len(ids) + len(sequence) - fork)
        paths.append(np.concatenate([paths[-1][:fork], own]) if k else own)
        forks.append(fork)
        ids.extend(sequence[fork:])
        positions += range(fork, len(sequence))
    return PrefixTree(tuple(places), tuple(ids), tuple(positions), tuple(paths), tuple(forks))


def _shared(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens both begin with."""
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count
