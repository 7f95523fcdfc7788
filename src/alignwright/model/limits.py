"""What can a model not do (context length, LoRA, shared prompts), as its own configuration says?

How long a row may be, whether an adapter can be put over it, whether replies can share a row with
their prompt: read from `config.json` before any weight is loaded, and again from the model that was
loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

_LENGTHS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length", "context_length")
_UNSTATED = 2048
_LONGROPE, _ORIGINAL_NAME = ("longrope", "su"), "original_max_position_embeddings"
_ORIGINAL = 4096  # of a Phi-3 that does not say
_SHARING = {"attention", "full_attention", "sliding_attention", "mlp", "moe"}
_ALIBI = "it tells positions by a bias on attention (ALiBi)"
_STATES = "it has layers that carry a state from token to token"
_UNSHARED = {
    "bloom": _ALIBI,
    "mpt": _ALIBI,
    "gpt_neo": "it masks its local layers itself",
    **dict.fromkeys(
        (
            *("rwkv", "mamba", "mamba2", "falcon_mamba", "falcon_h1", "jamba", "bamba", "zamba2", "nemotron_h"),
            *("recurrent_gemma", "kimi_linear"),
        ),
        _STATES,
    ),
}
_TRANSPOSED = ("gpt2", "openai-gpt")
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")


@dataclass(frozen=True)
class Limit:
    """The longest row that the model reads: its context. Not `stated`: its configuration gives
    none (ALiBi, state-space layers: nothing in it is as long as the context). `longrope`: its rows
    turn by other frequencies beyond it."""

    tokens: int
    stated: bool = True
    longrope: bool = False

    def __str__(self) -> str:
        if self.longrope:
            return f"the {self.tokens:,} tokens beyond which the model's longrope turns the whole row another way"
        if self.stated:
            return f"the model's context of {self.tokens:,} tokens"
        return f"the {self.tokens:,} tokens that are read by a model whose configuration states no context"

    @property
    def help(self) -> str:
        """What helps with a row that is longer."""
        if self.longrope:
            return (
                "shorten or split them: a token's probability would change when the row grows, or a longer row is near"
            )
        if self.stated:
            return "shorten or split them, or use a model with a longer context"
        return "shorten or split them, or state the context in config.json (max_position_embeddings)"


def limit(config: Mapping[str, Any]) -> Limit | None:
    """How long a row may be; None where the configuration does not say. Layers with a sliding
    window read rows of any length. With longrope it is the length at which the frequencies
    change: of the whole batch, and of tokens that were drawn before."""
    text = _of_text(config)
    context = next((int(text[name]) for name in _LENGTHS if text.get(name)), None)
    rope = cast("Mapping[str, Any]", text.get("rope_parameters") or text.get("rope_scaling") or {})
    if (rope.get("rope_type") or rope.get("type")) in _LONGROPE:
        stays = _ORIGINAL if text.get("model_type") == "phi3" else context
        stays = rope.get(_ORIGINAL_NAME) or text.get(_ORIGINAL_NAME) or stays
        if stays and (context is None or int(stays) < context):
            return Limit(int(stays), longrope=True)
    return None if context is None else Limit(context)


def limit_of_model(config: Mapping[str, Any]) -> Limit:
    """How long a row may be, from the whole configuration of a model that was loaded. One that
    states no context is read to 2,048 tokens, as such models were mostly trained."""
    return limit(config) or Limit(_UNSTATED, stated=False)


def unshared(config: Mapping[str, Any]) -> str | None:
    """Why several replies cannot share one row with their prompt, as far as the configuration
    tells; None where they can."""
    text = _of_text(config)
    kinds = set(cast("list[str]", text.get("layer_types") or ())) - _SHARING
    if kinds:
        return f"it has layers of kind {', '.join(sorted(kinds))}"
    if text.get("alibi") is True:
        return _ALIBI
    return None if text.get("layer_types") else _UNSHARED.get(str(text.get("model_type")))


def _of_text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A model that sees too keeps what bounds its text under a name of its own."""
    return cast("Mapping[str, Any]", config.get("text_config") or config)


def window(config: Any) -> int | None:
    """The sliding window of a loaded model's configuration: how many tokens back, itself
    counted, a token sees in the layers that have one. None where no layer has."""
    reach = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if not reach or getattr(config, "use_sliding_window", None) is False:
        return None
    return int(reach) if kinds is None or "sliding_attention" in kinds else None


def no_adapter(config: Mapping[str, Any]) -> str | None:
    """Why an adapter cannot be put over the model; None where it can."""
    text = _of_text(config)
    kinds = cast("list[str]", text.get("layer_types") or text.get("layers_block_type") or ())
    if "mlp" in kinds and "moe" not in kinds:
        return None  # no layer has the experts that the configuration could have
    experts = next((int(text[name]) for name in _EXPERTS if isinstance(text.get(name), int) and text[name] > 1), None)
    if experts:
        return f"it is a mixture of {experts} experts whose weights are fused, not layers of their own"
    if text.get("model_type") in _TRANSPOSED:
        return f"its layers ({text['model_type']}) keep their weights the other way round (Conv1D)"
    return None


ADAPTERS = "LoRA is put over plain linear layers alone; train all weights with 'rank: 0', or use another model"
