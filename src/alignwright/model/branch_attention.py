"""How do many branches attend to what stands before them and to themselves (tree attention)?

Hundreds of candidates for the same place of a prompt share what stands before it. One call takes their
tokens flat, one branch after the other: nothing is put on a grid, the row's keys are arranged once for
all branches and never copied beside a branch's own. `shared_prompt_attention` does the same from a grid,
with a gradient; there a branch costs a copy of the row. Branches may also go on from one another, at any
depth, as in a prefix tree (`PathBranches`): then the keys of a path stay arranged while branches share it.

Only where `kernels` have attention, and without a gradient.

Shapes: P tokens of the row, K branches, M tokens of all branches, A query heads * D, C key heads * D.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from alignwright.model.kernels import kernels


class KeysValues(NamedTuple):
    """What a block keeps of P tokens, for those after them: keys, rotated, and values."""

    key_PC: Tensor
    value_PC: Tensor


class Branches(NamedTuple):
    """Where each branch begins among the flat tokens, and how many tokens of the row it sees."""

    fork_K: Tensor
    begin_K1: Tensor
    heads: int  # key heads

    @classmethod
    def of(cls, branches: Sequence[tuple[int, int]], heads: int) -> Branches:
        """Of branches (fork, length)."""
        length_K = torch.tensor([length for _, length in branches])
        begin_K1 = torch.cat([length_K.new_zeros(1), length_K.cumsum(0)])
        return cls(torch.tensor([fork for fork, _ in branches]), begin_K1, heads)


def attend_branches(query_MA: Tensor, key_MC: Tensor, value_MC: Tensor, row: KeysValues, at: Branches) -> Tensor:
    """Attention of every token to its part of the row and to its own branch up to itself; queries
    come scaled."""
    native = kernels(query_MA, key_MC, value_MC, *row)
    assert native is not None, "branches are flat where there are kernels"
    size, out_MA = key_MC.shape[1] // at.heads, torch.empty_like(query_MA)
    tensors = [each.contiguous() for each in (query_MA, key_MC, value_MC, *row)]
    shape = len(at.fork_K), at.heads, query_MA.shape[1] // key_MC.shape[1], len(row.key_PC), size
    native.attend_branches(*tensors, at.fork_K, at.begin_K1, out_MA, *shape)
    return out_MA


class PathBranches(NamedTuple):
    """Where each branch begins among the flat tokens, and how many tokens of the path of the branch
    before it it goes on from: these and its own are its path. `longest`: tokens of the longest."""

    fork_K: Tensor
    begin_K1: Tensor
    heads: int  # key heads
    longest: int

    @classmethod
    def of(cls, branches: Sequence[tuple[int, int]], heads: int) -> PathBranches:
        """Of branches (fork, length); the first goes on from nothing."""
        flat = Branches.of(branches, heads)
        return cls(flat.fork_K, flat.begin_K1, heads, max(fork + length for fork, length in branches))


def attend_paths(query_MA: Tensor, key_MC: Tensor, value_MC: Tensor, at: PathBranches) -> Tensor:
    """Attention of every token to its path up to itself; queries come scaled."""
    native = kernels(query_MA, key_MC, value_MC)
    assert native is not None, "branches are flat where there are kernels"
    out_MA = torch.empty_like(query_MA)
    tensors = [each.contiguous() for each in (query_MA, key_MC, value_MC)]
    shape = len(at.fork_K), at.heads, query_MA.shape[1] // key_MC.shape[1], at.longest, key_MC.shape[1] // at.heads
    native.attend_paths(*tensors, at.fork_K, at.begin_K1, out_MA, *shape)
    return out_MA
