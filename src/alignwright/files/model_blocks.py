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
    config = json_object(model.path / "config.json")
    outer = cast("Mapping[str, Any]", config) if isinstance(config, dict) else {}
    inner = cast("Any", outer.get("text_config"))
    for place in (inner, outer):
        for name in _NAMES:
            if isinstance(place, dict) and isinstance(count := cast("Mapping[str, Any]", place).get(name), int):
                return count
    return None
