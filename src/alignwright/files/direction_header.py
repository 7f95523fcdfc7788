"""Can a stage use the direction in this file, as far as its header tells before any model is opened?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from alignwright.core.layer import block_number, why_no_layer
from alignwright.core.model_shape import ModelShape
from alignwright.files.model_folder import AGAIN, tensors

Vector = TypeVar("Vector")

_NAMES = ("direction.", "weights.")
_CURE = "name a file with one vector for each block, direction.LAYER, as lens stages keep them"


def by_block(tensors: Mapping[str, Vector]) -> dict[int, Vector]:
    """The directions of a file by their block: `direction.LAYER`, and a saved probe's `weights.LAYER`."""
    named = ((name.rpartition(".")[2], tensor) for name, tensor in tensors.items() if name.startswith(_NAMES))
    return {int(block): tensor for block, tensor in named if block.isdigit()}


def several_blocks(path: Path, count: int) -> str:
    """What is wrong with a file of several directions, where one alone must be in it."""
    return (
        f"{path}: directions of {count} blocks; give a file of one, such as direction.safetensors of persona or steer"
    )


def direction_fault(path: Path, layer: float | str | None, model: ModelShape | None) -> str | None:
    """Why there is no direction of this block in the file (None: it must hold one alone), or none of this model;
    None where there is."""
    shapes = tensors(path)
    if isinstance(shapes, str):
        return f"{shapes.removesuffix(AGAIN).rstrip('; ')}; {_CURE}"
    of_block = by_block(shapes)
    if not of_block:
        return f"{path}: no direction in it; {_CURE}"
    if layer is None and len(of_block) > 1:
        return several_blocks(path, len(of_block))
    blocks, hidden = (model.blocks, model.hidden) if model is not None else (None, None)
    place = _block(of_block, layer, blocks)
    if place is not None and place not in of_block:
        return (
            f"{path}: no direction of block {place}; it has those of blocks {', '.join(map(str, of_block))}: name one"
            " by 'layer'"
        )
    for block, shape in of_block.items() if place is None else ((place, of_block[place]),):
        if (hidden is not None and shape != [hidden]) or (blocks is not None and block >= blocks):
            return (
                f"{path}: direction.{block} has the shape {shape}, and the model {blocks} blocks of {hidden}; was it"
                " made of another model?"
            )
    return None


def _block(of_block: dict[int, list[int]], layer: float | str | None, blocks: int | None) -> int | None:
    """Which of several is asked for; None where that cannot be told without the model."""
    if len(of_block) == 1:
        return next(iter(of_block))
    if isinstance(layer, str) or layer is None or blocks is None or why_no_layer(layer, blocks):
        return None
    return block_number(layer, blocks)
