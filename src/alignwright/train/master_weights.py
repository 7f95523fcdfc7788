"""How does a bfloat16 parameter train with a float32 master (mixed precision without a scaler)?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


@contextlib.contextmanager
def gradients_to_masters(parameters: Sequence[Tensor], masters: Sequence[Tensor]) -> Iterator[None]:
    """While this lasts a gradient is added to its float32 master's as soon as it is there:
    accumulation never rounds to bfloat16, and no two copies of all gradients are there at once."""
    pairs = [
        (parameter, master) for parameter, master in zip(parameters, masters, strict=True) if parameter is not master
    ]
    hooks = [
        parameter.register_post_accumulate_grad_hook(partial(_add_to_master, master)) for parameter, master in pairs
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _add_to_master(master: Tensor, parameter: Tensor) -> None:
    assert master.grad is not None
    assert parameter.grad is not None
    master.grad += parameter.grad
    parameter.grad = None


@torch.no_grad()
def copy_masters(masters: Sequence[Tensor], parameters: Sequence[Tensor]) -> None:
    for master, parameter in zip(masters, parameters, strict=True):
        if parameter is not master:
            parameter.copy_(master)
