"""Which data file does a spec name, with which column mapping?

A file is named by its path alone, or by a mapping: `{file: advbench.csv, kind: harmful}` where a
file of requests holds one kind, and `{file: pairs.csv, columns: {question: prompt, response_a:
chosen}}` where its columns have names of their own (theirs: ours). Either is kept as one text, the
path with what is said of it behind it as JSON, so that a stage's knobs stay plain texts and a job's
key sees both. Of a data set of the Hub which part is read, and at which revision, becomes part of
its address (`hub_address`).
"""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from alignwright.core.records import Record
from alignwright.files.hub_address import HUB, SETTINGS, with_settings

__all__ = [
    "HUB",
    "MARK",
    "DataFile",
    "Paths",
    "Principles",
    "all_or_many",
    "as_name",
    "as_names",
    "data_file",
    "one_or_many",
]

MARK = " {"


class DataFile(Record):
    """A data file as a spec names it. A column that is mapped to itself is meant as it is,
    however near another name it is."""

    file: str = Field(min_length=1, description="the file, or hf://owner/name[:split]")
    config: str | None = Field(default=None, min_length=1, description="of a data set of the Hub: which of its parts")
    split: str | None = Field(
        default=None, min_length=1, description="of a data set of the Hub: train, where none is said"
    )
    revision: str | None = Field(
        default=None, min_length=1, description="of a data set of the Hub: the commit, tag or branch that is read"
    )
    limit: int | None = Field(
        default=None, ge=1, description="of a data set of the Hub: only so many of its first rows"
    )
    streaming: bool | None = Field(
        default=None, description="of a data set of the Hub: fetch the rows that are read, not all files first"
    )
    kind: Literal["harmful", "harmless"] | None = Field(default=None, description="what all requests of the file are")
    columns: dict[str, str] = Field(
        default_factory=dict, description="the file's columns by the names that are read here: {theirs: ours}"
    )

    @model_validator(mode="after")
    def _in_the_address(self) -> DataFile:
        settings = {name: getattr(self, name) for name in SETTINGS if getattr(self, name) is not None}
        if settings and not self.file.startswith(HUB):
            raise ValueError(
                f"{next(iter(settings))!r} is for a data set of the Hub ({HUB}owner/name), and this is a file"
            )
        if settings:
            object.__setattr__(self, "file", with_settings(self.file, settings))
            for name in settings:
                object.__setattr__(self, name, None)
            self.model_fields_set.difference_update(settings)
        return self

    @model_validator(mode="after")
    def _one_column_each(self) -> DataFile:
        ours = list(self.columns.values())
        for name in ours:
            if ours.count(name) > 1:
                raise ValueError(f"'columns' maps two columns to {name!r}")
        return self

    def __str__(self) -> str:
        extras = self.model_dump(exclude_defaults=True, exclude={"file"})
        return f"{self.file} {json.dumps(extras, ensure_ascii=False, sort_keys=True)}" if extras else self.file

    def at(self, path: str) -> DataFile:
        """The same, lying elsewhere."""
        return self.model_copy(update={"file": path})


@cache
def data_file(name: str) -> DataFile:
    """What a name says: the other way round from `str`. A name without a mapping behind it is a
    path, whatever it looks like."""
    path, mark, extras = name.partition(MARK)
    if mark and path and name.endswith("}"):
        try:
            return DataFile(file=path, **json.loads("{" + extras))
        except (ValueError, TypeError, RecursionError):
            return DataFile(file=name)
    return DataFile(file=name or " ")


def as_name(value: Any) -> Any:
    """A mapping in a spec as the text that stands for it; anything else as it is."""
    if not isinstance(value, dict):
        return value
    mapping = cast("dict[str, Any]", value)
    unknown = [name for name in mapping if name not in DataFile.model_fields]
    if unknown or "file" not in mapping:
        raise ValueError(
            "a file is a path, or a mapping with file, kind and columns, of a data set of the Hub also with"
            f" {', '.join(SETTINGS)}{f'; there is no {unknown[0]!r}' if unknown else ''}"
        )
    try:
        return str(DataFile.model_validate_json(json.dumps(mapping)))
    except ValidationError as error:
        from alignwright.files.wording import describe_row_errors

        raise ValueError(describe_row_errors(error, DataFile.model_fields)) from None


def one_or_many(value: Any) -> Any:
    """A single string stands for a list of one. Strict validation wants the tuple itself from
    here on."""
    if isinstance(value, str):
        return (value,)
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value


def all_or_many(value: Any) -> Any:
    return value if value == "all" else one_or_many(value)


def as_names(value: Any) -> Any:
    """Files by their paths, or by mappings that say more of them, each as one text."""
    items = one_or_many([value] if isinstance(value, dict) else value)
    return tuple(as_name(each) for each in cast("tuple[Any, ...]", items)) if isinstance(items, tuple) else items


Paths = Annotated[
    tuple[str, ...], BeforeValidator(as_names, json_schema_input_type=str | DataFile | list[str | DataFile])
]
Principles = Annotated[
    Literal["all"] | tuple[str, ...], BeforeValidator(all_or_many, json_schema_input_type=str | list[str])
]
