"""How many blocks has a model, and how wide are they, by its files alone?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from alignwright.core.model_shape import ModelShape
from alignwright.files.fingerprint import weights_hash
from alignwright.files.model_folder import json_object
from alignwright.files.models import ModelRef, gguf_shapes

_NAMES = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_WIDTHS = ("hidden_size", "n_embd", "d_model")
_GGUF = re.compile(r"blk\.(\d+)\.")


def blocks_of(model: ModelRef) -> int | None:
    """None where its files are not here or do not say it."""
    if model.path is None:
        return None
    if not model.path.is_dir():
        return 1 + max((int(match[1]) for name in gguf_shapes(model.path) if (match := _GGUF.match(name))), default=-1)
    return _count(model.path, _NAMES)


def shape_of(model: ModelRef) -> ModelShape:
    """All that can be told without opening it."""
    return ModelShape(model.name, blocks_of(model), _hidden_of(model), lambda: weights_hash(model))


def _hidden_of(model: ModelRef) -> int | None:
    if model.path is None:
        return None
    if model.path.is_dir():
        return _count(model.path, _WIDTHS)
    return next(iter(gguf_shapes(model.path).get("output_norm.weight", ())), None)


def _count(folder: Path, names: tuple[str, ...]) -> int | None:
    """The number that a configuration has under one of these names, its text model's first."""
    outer = _mapping(json_object(folder / "config.json"))
    inner = _mapping(outer.get("text_config"))
    counts = (place.get(name) for place in (inner, outer) for name in names)
    return next((count for count in counts if isinstance(count, int)), None)


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
