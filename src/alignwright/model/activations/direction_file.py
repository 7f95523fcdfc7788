"""Which direction does a file hold, and of which block? A safetensors file as the looks inside keep them:
`direction.LAYER` [H] (a saved probe's `weights.LAYER` is one too)."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from alignwright.files.contents import given_by_a_person
from alignwright.files.direction_header import by_block, several_blocks
from alignwright.model.activations.layout import Layout
from alignwright.model.activations.sites import resolve_layer
from alignwright.model.weights import load_tensors


def direction_in(path: Path, layer: float | None, layout: Layout) -> tuple[int, Tensor]:
    """The direction of a file, and its block: the one that there is, or of several that of this layer (None: there must
    be one alone). Raises ValueError for a file that holds none of this model."""
    with given_by_a_person():
        tensors = load_tensors(path)
    vectors = by_block(tensors)
    if layer is None and len(vectors) > 1:
        raise ValueError(several_blocks(path, len(vectors)))
    place = next(iter(vectors)) if len(vectors) == 1 else resolve_layer(layer or 0, len(layout.blocks))
    if place not in vectors:
        raise ValueError(
            f"{path}: no direction of block {place}; it has those of blocks {', '.join(map(str, vectors)) or 'none'}:"
            " name one by 'layer'"
        )
    vector_H = vectors[place].float()
    if vector_H.shape != (layout.hidden,) or not 0 <= place < len(layout.blocks):
        raise ValueError(
            f"{path}: direction.{place} has the shape {list(vector_H.shape)}, and the model {len(layout.blocks)} blocks"
            f" of {layout.hidden}; was it made of another model?"
        )
    if not 0 < float(vector_H.norm()) < float("inf"):
        raise ValueError(f"{path}: direction.{place} is 0, or not finite, and points nowhere; name another file")
    return place, vector_H
