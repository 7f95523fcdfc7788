"""Does a saved model's config.json (rotary base, RoPE scaling) say the same to those who read it
with transformers 4?

transformers 5 keeps what rotary positions need in `rope_parameters`; 4 looks for `rope_theta`,
`rope_scaling`, `partial_rotary_factor` and `rope_local_base_freq` at the top of `config.json`, and
takes a default in silence where it does not find them: another model. They are written at both
places. And 4 knows no tokenizer class `TokenizersBackend`, which is 5's name for
`PreTrainedTokenizerFast`: both read the old name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_CLASSES = {"TokenizersBackend": "PreTrainedTokenizerFast"}


def write_legacy_config(folder: Path) -> None:
    """Add to a saved folder what transformers 4 reads."""
    _change(folder / "config.json", legacy_rope_keys)
    _change(folder / "tokenizer_config.json", _legacy_tokenizer_class)


def legacy_rope_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a configuration's `rope_parameters` is missing at its top."""
    rope = config.get("rope_parameters")
    if not isinstance(rope, dict) or not rope:
        return {}
    if any(
        isinstance(value, dict) for value in rope.values()
    ):  # of each kind of layer: 4 reads those of full attention, and of others the base
        local = rope.get("sliding_attention") or {}
        extra = {"rope_local_base_freq": local["rope_theta"]} if "rope_theta" in local else {}
        return {
            name: value
            for name, value in (_flat(rope.get("full_attention") or {}) | extra).items()
            if name not in config
        }
    return {name: value for name, value in _flat(rope).items() if name not in config}


def _flat(parameters: Mapping[str, Any]) -> dict[str, Any]:
    legacy = {name: parameters[name] for name in ("rope_theta", "partial_rotary_factor") if name in parameters}
    return legacy | ({"rope_scaling": dict(parameters)} if parameters.get("rope_type", "default") != "default" else {})


def _legacy_tokenizer_class(config: Mapping[str, Any]) -> dict[str, Any]:
    name = config.get("tokenizer_class")
    return {"tokenizer_class": _CLASSES[name]} if name in _CLASSES else {}


def _change(path: Path, missing: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
    if path.is_file():
        config = json.loads(path.read_text(encoding="utf-8"))
        if more := missing(config):
            path.write_text(
                json.dumps(config | more, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8"
            )
