"""Of what are knobs made? Types and descriptions that stages of every kind share."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field

from alignwright.files.data_file import DataFile, as_name

Effort = Literal["demo", "study", "full"]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0.0)]


def one_or_many(value: Any) -> Any:
    """A single string stands for a list of one. Strict validation wants the tuple itself from
    here on."""
    if isinstance(value, str):
        return (value,)
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value


def files(value: Any) -> Any:
    """Files by their paths, or by mappings that say more of them (`files.data_file`), each as one
    text."""
    listed = one_or_many([value] if isinstance(value, dict) else value)
    return tuple(as_name(each) for each in cast("tuple[Any, ...]", listed)) if isinstance(listed, tuple) else listed


def all_or_many(value: Any) -> Any:
    return value if value == "all" else one_or_many(value)


Paths = Annotated[tuple[str, ...], BeforeValidator(files, json_schema_input_type=str | DataFile | list[str | DataFile])]
Principles = Annotated[
    Literal["all"] | tuple[str, ...], BeforeValidator(all_or_many, json_schema_input_type=str | list[str])
]

NEW_TOKENS = "the longest reply in tokens (from effort)"
