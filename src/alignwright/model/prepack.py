"""Why is a decoding step slow on a processor?

Because every product with a few rows first rearranges the whole weight into the layout that the matrix unit wants: in bfloat16 eight
rows cost as much as sixty-four. Here each weight is rearranged once, by the operation that torch's own compiler uses, and kept for as
long as the model speaks: 1.4 times the tokens a second at 8 rows, 1.15 times at 64, for a second copy of the weights.

Where that operation is missing, or the model is on a GPU, the layers run as they are: the numbers are the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


@contextlib.contextmanager
def prepacked(model: nn.Module, rows: int) -> Iterator[None]:
    """While this lasts the linear layers use rearranged weights, best for `rows` rows. The weights must not change meanwhile."""
    layers = [layer for name, layer in model.named_modules() if type(layer) is nn.Linear and ".lora_" not in name] if _possible(model) else []
    try:
        for layer in layers:
            weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), rows)
            layer.forward = partial(_product, weight, layer.bias)  # type: ignore[method-assign]
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def _product(weight: Tensor, bias: Tensor | None, x: Tensor) -> Any:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def _possible(model: nn.Module) -> bool:
    first = next(model.parameters())
    known = hasattr(torch.ops.mkldnn, "_reorder_linear_weight") and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return known and torch.backends.mkldnn.is_available() and first.device.type == "cpu" and first.dtype in (torch.bfloat16, torch.float32)
