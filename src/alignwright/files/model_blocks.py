"""How many blocks has a model, by its files alone?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from alignwright.files.model_folder import json_object
from alignwright.files.models import ModelRef, gguf_shapes

_NAMES = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_GGUF = re.compile(r"blk\.(\d+)\.")


def blocks_of(model: ModelRef) -> int | None:
    """None where its files are not here or do not say it."""
    if model.path is None:
        return None
    if not model.path.is_dir():
        return 1 + max((int(match[1]) for name in gguf_shapes(model.path) if (match := _GGUF.match(name))), default=-1)
    outer = _mapping(json_object(model.path / "config.json"))
    inner = _mapping(outer.get("text_config"))
    counts = (place.get(name) for place in (inner, outer) for name in _NAMES)
    return next((count for count in counts if isinstance(count, int)), None)


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
