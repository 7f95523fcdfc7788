"""Which block of a model does a knob name? A block's number, or a part of the depth, for any model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

FORM = "a block is named by its number from 0 (-1 is the last), or as a part of the depth between 0 and 1, such as 0.5"


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} names no block: {FORM}")
    if isinstance(value, float) and not 0 < value < 1:
        raise ValueError(f"{value} names no block: {FORM}")
    return value


def _number_or_none(value: object) -> object:
    return None if value is None else _number(value)


def _number_or_selected(value: object) -> object:
    if isinstance(value, str) and value != SELECTED:
        raise ValueError(f"{value!r} names no block: {FORM}; or '{SELECTED}'")
    return value if value == SELECTED else _number(value)


SELECTED = "selected"
_Depth = Annotated[float, Field(gt=0, lt=1)]
Layer = Annotated[int | _Depth, BeforeValidator(_number)]
"""A block's number, from 0 or from the end, or a part of the depth."""
AnyLayer = Annotated[int | _Depth | None, BeforeValidator(_number_or_none)]
"""The same, or none: to be chosen."""
LayerOrSelected = Annotated[int | _Depth | Literal["selected"], BeforeValidator(_number_or_selected)]
"""The same, or the one that a stage selects, with the token that is read there."""


def why_no_layer(layer: float | str | None, blocks: int) -> str | None:
    """Why a model of so many blocks has not the one that is named; None where it has."""
    if not isinstance(layer, int) or -blocks <= layer < blocks:
        return None
    return (
        f"layer {layer} is not there: the model has {blocks} blocks, 0 to {blocks - 1} (or -1, the last; or a part of"
        " the depth, such as 0.5)"
    )


def block_number(layer: float, blocks: int) -> int:
    """Which block that is, of a model of so many, that has it."""
    return min(int(layer * blocks), blocks - 1) if isinstance(layer, float) else layer % blocks
