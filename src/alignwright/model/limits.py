"""What can a model not do (context length, LoRA, kinds of layers), as its own configuration says?

How long a row may be and what bounds it, whether an adapter can be put over it, whether it can be
opened at all: read from `config.json` before any weight is loaded, and again from the model that
was loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

_LENGTHS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")
_ATTENTION = {"full_attention", "sliding_attention"}
_BIASED = ("bloom", "mpt")
_TRANSPOSED = ("gpt2", "openai-gpt")
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")


@dataclass(frozen=True)
class Limit:
    """The longest row of which every token still sees all before it. `window`: it is the model's
    sliding window, shorter than its `context`."""

    tokens: int
    window: bool = False
    context: int | None = None

    def __str__(self) -> str:
        return f"the model's {'sliding window' if self.window else 'context'} of {self.tokens:,} tokens"

    @property
    def help(self) -> str:
        """What helps with a row that is longer."""
        if self.window:
            return (
                "rows beyond a sliding window are not supported: shorten or split them, or use a model without a"
                " window, or with a longer one"
            )
        return "shorten or split them, or use a model with a longer context"


def limit(config: Mapping[str, Any]) -> Limit | None:
    """How long a row may be; None where the configuration does not say. Raises ValueError for a
    model that cannot be used at all."""
    if why := _unusable(config):
        raise ValueError(why)
    context = next((int(config[name]) for name in _LENGTHS if config.get(name)), None)
    window = config.get("sliding_window") if config.get("use_sliding_window") is not False else None
    layers = cast("list[str] | None", config.get("layer_types"))
    if window and (not layers or "sliding_attention" in layers) and (context is None or int(window) < context):
        return Limit(int(window), True, context)
    return None if context is None else Limit(context, False, context)


def _unusable(config: Mapping[str, Any]) -> str | None:
    kinds = set(cast("list[str]", config.get("layer_types") or ())) - _ATTENTION
    if kinds:
        return (
            f"this model has layers of kind {', '.join(sorted(kinds))}; only attention can share a prompt between"
            " replies; use another model"
        )
    if config.get("model_type") in _BIASED or config.get("alibi") is True:
        kind = config.get("model_type")
        why = "tells positions by a bias on attention (ALiBi), which rows of several replies cannot carry"
        return f"this model ({kind}) {why}; use a model with rotary positions"
    return None


def no_adapter(config: Mapping[str, Any]) -> str | None:
    """Why an adapter cannot be put over the model; None where it can."""
    experts = next(
        (int(config[name]) for name in _EXPERTS if isinstance(config.get(name), int) and config[name] > 1), None
    )
    if experts:
        return f"it is a mixture of {experts} experts whose weights are fused, not layers of their own"
    if config.get("model_type") in _TRANSPOSED:
        return f"its layers ({config['model_type']}) keep their weights the other way round (Conv1D)"
    return None


ADAPTERS = "LoRA is put over plain linear layers alone; train all weights with 'rank: 0', or use another model"
