"""In how many bits may a start model be kept, and what needs to be installed for it?

`quantization: nf4` is QLoRA's base (Dettmers et al. 2023, arXiv:2305.14314): each weight of a linear
layer is one of sixteen numbers times the largest of its block of 64, so 4.5 bits each; embeddings,
norms and the head stay whole. Left out on purpose: 8 bits, FP4, and quantised block sizes (double
quantisation saves 0.37 bits more).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Literal, cast

from alignwright.files.model_folder import tensors
from alignwright.files.models import ModelRef, gguf_shapes

Quantization = Literal["nf4"]
NEEDS = ("bitsandbytes", "accelerate")
INSTALL = "pip install 'alignwright[quant]'"
BITS = 4 + 32 / 64
"""Of a quantised weight: four, and its share of a block's float32 scale."""


def in_4_bits(quantization: Quantization) -> str:
    """What a report says of such a run's base, and of the model that it saves."""
    return (
        f"kept in 4 bits ({quantization.upper()}), the reference too; model/ holds these weights dequantised, with the"
        " adapter added, in float32: what was measured, up to rounding"
    )


NO_WHOLE = "weights in 4 bits cannot be trained themselves, only an adapter over them"


def why_not_quantized() -> str | None:
    """What is missing to keep weights in 4 bits; None where all is there."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    return f"a base in 4 bits needs {' and '.join(missing)}, not installed here: {INSTALL}" if missing else None


def weight_bytes(ref: ModelRef, parameters: int, quantization: Quantization | None) -> float:
    """Bytes of a model's weights while it is measured: in float32, those of linear layers in 4 bits
    where they are to be. Of a model on the Hub, whose layers are not known, all count as whole."""
    quantized = linear_parameters(ref) if quantization else 0
    return 4 * (parameters - quantized) + BITS / 8 * quantized


def linear_parameters(ref: ModelRef) -> int:
    """How many of a model's parameters are weights of linear layers between its embeddings and its
    head, by the names and shapes in its files."""
    if ref.path is None:
        return 0
    if ref.path.is_file():
        return _sum(gguf_shapes(ref.path), lambda name: name.startswith("blk."))
    return sum(_sum(cast("dict[str, list[int]]", tensors(file)), _is_inside) for file in ref.path.glob("*.safetensors"))


def _is_inside(name: str) -> bool:
    return "embed" not in name and not name.startswith(("lm_head.", "embed_out.", "output."))


def _sum(shapes: Mapping[str, Sequence[int]], inside: Callable[[str], bool]) -> int:
    return sum(
        prod(shape) for name, shape in shapes.items() if len(shape) == 2 and name.endswith(".weight") and inside(name)
    )
