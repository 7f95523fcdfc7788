"""Why is a decoding step slow on a processor, and how do linear layers with prepacked weights cure
it?

Every product with a few rows first packs the whole weight into the layout that the matrix unit
wants: in bfloat16 eight rows cost as much as sixty-four. Here each weight is packed once and kept
for as long as the model generates, for a second copy of the weights: in the order of our own
products where there are any (`matmul`), else by the operation that torch's compiler uses, which is
1.4 times the tokens a second at 8 rows and 1.15 times at 64.

Where that operation is missing, or the model is on a GPU, the layers run as they are: the numbers
are the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from alignwright.model.matmul import PackedWeight, matmul_sum, pack_weight


@contextlib.contextmanager
def packed_linears(model: nn.Module, rows: int) -> Iterator[None]:
    """While this lasts the linear layers use packed weights, best for `rows` rows. The
    weights must not change meanwhile."""
    layers = [layer for name, layer in model.named_modules() if type(layer) is nn.Linear and ".lora_" not in name]
    try:
        for layer in layers:
            layer.forward = packed_linear(layer.weight, layer.bias, rows)  # type: ignore[method-assign]
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def packed_linear(weight_OI: Tensor, bias_O: Tensor | None, rows: int) -> Callable[[Tensor], Tensor]:
    """The linear layer of these weights, packed once where that is possible."""
    if ours := pack_weight(weight_OI):
        return partial(_packed_matmul, ours, bias_O)
    if not _possible(weight_OI):
        return partial(nn.functional.linear, weight=weight_OI, bias=bias_O)
    return partial(_product, torch.ops.mkldnn._reorder_linear_weight(weight_OI.detach(), rows), bias_O)


def _packed_matmul(weight: PackedWeight, bias_O: Tensor | None, x: Tensor) -> Tensor:
    out = matmul_sum([(x.reshape(-1, weight.inputs), weight)])
    return (out if bias_O is None else out.add_(bias_O)).view(*x.shape[:-1], weight.outputs)


def _product(weight: Tensor, bias_O: Tensor | None, x: Tensor) -> Any:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias_O, "none", [], "")


def _possible(weight: Tensor) -> bool:
    available = hasattr(torch.ops.mkldnn, "_reorder_linear_weight") and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    if not available or not torch.backends.mkldnn.is_available() or weight.device.type != "cpu":
        return False
    half = weight.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()  # not on every processor
    return weight.dtype == torch.float32 or bool(half)
