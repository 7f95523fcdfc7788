"""How many bytes do a model's weights take in float32, in bfloat16 and in 4 bits, and how far from
the whole model's are its log-probabilities in 4 bits?

    python benchmarks/weight_bytes.py [MODEL]

Bytes are summed over all tensors of the loaded model, the scales of quantised blocks among them.
Log-probabilities are those of a few sentences, in nats a token.
"""

from __future__ import annotations

import resource
import sys
from typing import Any

from alignwright.files.models import BUNDLED
from alignwright.model.load import load
from alignwright.model.quantization import is_quantized

TEXTS = (
    "The capital of France is Paris, and the river that runs through it is the Seine.",
    "Water boils at a lower temperature in the mountains, because the air presses less on it.",
    "To make bread, mix flour, water, salt and yeast, let it rise for some hours, and bake it.",
)


def weight_bytes(model: Any) -> int:
    """Bytes of all parameters of a model, with the scales of those in 4 bits."""
    total = sum(p.numel() * p.element_size() for p in model.parameters())
    for layer in model.modules():
        if is_quantized(layer):
            state = layer.weight.quant_state
            total += sum(t.numel() * t.element_size() for t in (state.absmax, state.code))
    return total


def main(name: str) -> None:
    """Print a line for each way of keeping the weights."""
    whole: list[float] = []
    for label, dtype, quantization in (
        ("float32", "float32", None),
        ("bfloat16", "bfloat16", None),
        ("NF4, computing in float32", "float32", "nf4"),
        ("NF4, computing in bfloat16", "bfloat16", "nf4"),
    ):
        policy = load(name, dtype=dtype, quantization=quantization)
        scored = policy.text_logprobs(TEXTS)
        nats = [part.total / part.tokens for part in scored]
        whole = whole or nats
        gap = max(abs(a - b) for a, b in zip(nats, whole, strict=True))
        print(f"{label:28}{weight_bytes(policy.model) / 1e6:8.1f} MB  mean {sum(nats) / len(nats):.4f}  gap {gap:.4f}")
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else BUNDLED)
