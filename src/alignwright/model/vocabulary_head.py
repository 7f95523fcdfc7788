"""What does a model make of a hidden state: which logits, by which scale and soft cap?

Most heads are one product with the vocabulary. Some families multiply its logits by a number
(Cohere, Granite, Falcon-H1) or bend them into (-cap, cap) by `cap * tanh(logits / cap)` (Gemma 2 and
later): both are read from the configuration, and `engine_check` compares them with the model's own.

Shapes: N tokens, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from alignwright.model.packed_linear import packed_linear

_TIMES = ("logit_scale", "lm_head_multiplier")
_DIVIDED_BY = ("logits_scaling",)
_CAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")


@dataclass(frozen=True)
class VocabularyHead:
    """The linear layer from hidden states to the vocabulary, and what is done to its logits."""

    layer: Any
    scale: float = 1.0
    cap: float | None = None

    @property
    def weight(self) -> Tensor:
        return self.layer.weight

    @property
    def bias(self) -> Tensor | None:
        return getattr(self.layer, "bias", None)

    def __call__(self, hidden_NH: Tensor) -> Tensor:
        """The model's own logits. Shape [N, V]."""
        return self._finished(self.layer(self.cast(hidden_NH)))

    def cast(self, hidden_NH: Tensor) -> Tensor:
        """In the precision of the head: some trunks end in float32 whatever their weights are."""
        return hidden_NH.to(self.weight.dtype) if self.weight.is_floating_point() else hidden_NH

    def packed(self, rows: int) -> Callable[[Tensor], Tensor]:
        """The same, the weight packed once, best for so many rows."""
        product = packed_linear(self.weight, self.bias, rows)
        return lambda hidden_NH: self._finished(product(self.cast(hidden_NH)))

    def _finished(self, logits_NV: Tensor) -> Tensor:
        scaled_NV = logits_NV if self.scale == 1 else logits_NV * self.scale
        return scaled_NV if self.cap is None else (scaled_NV / self.cap).tanh() * self.cap


def head_of(model: Any) -> VocabularyHead:
    """The head of a model, an adapter over it or not."""
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = plain.config.get_text_config()
    scale = 1.0
    for name in _TIMES:
        scale *= _number(config, name) or 1.0
    for name in _DIVIDED_BY:
        scale /= _number(config, name) or 1.0
    cap = next((cap for name in _CAPS if (cap := _number(config, name))), None)
    return VocabularyHead(plain.get_output_embeddings(), scale, cap)


def _number(config: Any, name: str) -> float | None:
    value = getattr(config, name, None)
    return float(value) if isinstance(value, int | float) else None
