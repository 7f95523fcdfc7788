"""Which weight matrices did training change, by how much, and in how many directions?

The change of a matrix is its difference; its **effective rank** is the exponential of the entropy of its squared
singular values (Roy and Vetterli 2007): 1 of a rank-one edit, near the smaller side of a random change.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from alignwright.model.local_model import LocalModel

SPECTRA = 12
"""Matrices whose spectra are looked at: those that changed most."""


@dataclass(frozen=True)
class MatrixChange:
    """How much a matrix changed, beside its own size; `rank`: the change's effective rank, `top`: the part of it in its
    first direction, `random_top`: the same of a random change of this shape. None where no spectrum was looked at."""

    name: str
    size: float
    relative: float
    rank: float | None = None
    top: float | None = None
    random_top: float | None = None


def same_shape(policy: LocalModel, start: LocalModel) -> None:
    """Raises ValueError for two models whose weights cannot be compared."""
    ours, theirs = (dict(model.model.named_parameters()) for model in (policy, start))
    for name in {*ours, *theirs}:
        shapes = [list(own[name].shape) if name in own else "none" for own in (ours, theirs)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"{policy.name} and {start.name} are no models of one shape ({name}: {shapes[0]} and {shapes[1]}): what"
                " changed from the one to the other cannot be told; name the model that it was trained from"
            )


@torch.no_grad()
def matrix_changes(policy: LocalModel, start: LocalModel) -> list[MatrixChange]:
    """Every tensor that differs, the most changed first."""
    before = dict(start.model.named_parameters())
    changes: list[tuple[MatrixChange, Tensor]] = []
    for name, weight in policy.model.named_parameters():
        change = weight.float() - before[name].float()
        if size := float(change.norm()):
            relative = size / max(float(before[name].float().norm()), 1e-12)
            changes.append((MatrixChange(name, size, relative), change))
            changes.sort(key=lambda pair: -pair[0].relative)
            changes[SPECTRA:] = [(each, torch.empty(0)) for each, _ in changes[SPECTRA:]]
    return [_spectrum(each, change) for each, change in changes]


def _spectrum(change: MatrixChange, difference: Tensor) -> MatrixChange:
    if difference.dim() != 2:
        return change
    wide = difference if difference.shape[0] >= difference.shape[1] else difference.T
    squares = torch.linalg.eigvalsh((wide.T @ wide).double()).clamp_min(0.0)
    parts = squares / squares.sum()
    rank = float(torch.exp(-(parts * parts.clamp_min(1e-30).log()).sum()))
    rows, columns = wide.shape
    random_top = (rows**0.5 + columns**0.5) ** 2 / (rows * columns)  # the edge of the law of Marchenko and Pastur
    return MatrixChange(change.name, change.size, change.relative, rank, float(parts[-1]), min(1.0, random_top))
