"""How is a model used whose linear layers are kept in 4 bits (NF4), with adapters over them (QLoRA)?

QLoRA (Dettmers et al. 2023, arXiv:2305.14314), by bitsandbytes' layers: a weight is dequantised for
the product that needs it and forgotten, forward and backward, so it is never trained, and no adapter
is ever merged into it: the sum has no 4-bit form, and rounding it to one would be another model.
Adapters stay beside such layers when the model generates or is measured.

Three things are done to what transformers loads. Weights are quantised from their float32 values
whatever precision is computed in, else what is trained (in bfloat16) and what is measured (in
float32) would be two models: 1 code in 80 differs. What is not quantised is cast to the wanted
precision. And the repacking that bitsandbytes does on processors with bfloat16 instructions is
turned off: after the first pass without a gradient every product would be in bfloat16, whatever
was asked for, and no gradient would pass through it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BitsAndBytesConfig

from alignwright.files.quantization import Quantization


def loading_options(quantization: Quantization, device: str) -> dict[str, Any]:
    """What `from_pretrained` is told besides, to quantise each weight as it is read."""
    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type=quantization, bnb_4bit_compute_dtype=torch.float32
    )
    return {"quantization_config": config, "device_map": {"": device}}


def is_quantized(layer: Any) -> bool:
    """Whether a layer keeps its weight in 4 bits."""
    return getattr(getattr(layer, "weight", None), "quant_state", None) is not None


def quantized_layers(model: nn.Module) -> Iterator[Any]:
    """The layers of a model whose weights are in 4 bits; none of a plain one."""
    return (module for module in model.modules() if is_quantized(module))


def has_quantized(model: nn.Module) -> bool:
    """Whether any weight of the model is in 4 bits."""
    return any(True for _ in quantized_layers(model))


def set_dtype(model: nn.Module, dtype: torch.dtype) -> None:
    """Let a quantised model compute in this precision: its products, and all that is not
    quantised."""
    set_compute_dtype(model, dtype)
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)


def set_compute_dtype(model: nn.Module, dtype: torch.dtype) -> None:
    """Let the layers in 4 bits multiply in this precision; nothing where there are none."""
    for layer in quantized_layers(model):
        layer.compute_dtype, layer.compute_type_is_set = dtype, True
        layer.weight.quant_state.dtype = dtype
        layer.support_avx512bf16_for_cpu = False


def dequantized(layer: Any) -> Tensor:
    """The weight of a quantised layer as it is, in float32: [O, I]."""
    from bitsandbytes.functional import dequantize_4bit

    state = layer.weight.quant_state
    dtype, state.dtype = state.dtype, torch.float32
    try:
        return dequantize_4bit(layer.weight.data, state)
    finally:
        state.dtype = dtype
