"""Where is a spec written: in a file, or in a program as a mapping?

A file's paths are read from its folder, a mapping's from the working directory, where a notebook
stands. A mapping may hold functions, as judges: each is named by the file that it stands in.
Problems in a file are told with its line, those in a mapping with `spec` in its place.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

import yaml

from alignwright.files import positions, safe_read
from alignwright.files.errors import SpecError
from alignwright.files.positions import Document
from alignwright.files.wording import describe_value

SpecSource: TypeAlias = str | os.PathLike[str] | Mapping[str, Any]
IN_A_PROGRAM = "spec"
"""What stands in errors in the place of a file and its line."""


def spec_document(spec: SpecSource) -> tuple[Document, Path]:
    """The data of a spec with the places of its values, and the folder that its paths are read
    from. Raises SpecError where it is no mapping, or cannot be read."""
    if isinstance(spec, Mapping):
        return Document(_plain(spec), {(): IN_A_PROGRAM}), Path()
    path = Path(spec)
    document = positions.read(_text(path), str(path))
    if not isinstance(document.data, dict):
        saw = describe_value(document.data)
        raise SpecError([f"{path}:1: a spec is a mapping that begins with 'name:', saw {saw}"])
    return document, path.parent


def spec_text(spec: SpecSource) -> str:
    """The spec as YAML: a file's own text, or the mapping written out."""
    if not isinstance(spec, Mapping):
        return _text(Path(spec))
    return yaml.safe_dump(_plain(spec), sort_keys=False, allow_unicode=True, width=120)


def _plain(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in the types of JSON, whatever mappings, tuples and paths it is written with."""
    try:
        return json.loads(json.dumps(dict(spec), default=_plain_value))
    except (TypeError, ValueError, RecursionError) as error:
        raise SpecError([f"{IN_A_PROGRAM}: cannot be written as YAML: {error}"]) from None


def _plain_value(value: object) -> object:
    if isinstance(value, os.PathLike):
        return os.fspath(cast("os.PathLike[str]", value))
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    if callable(value):
        return _function_name(value)
    raise TypeError(f"{str(value)[:80]!r} is a {type(value).__name__}; write text, numbers, lists and mappings")


def _function_name(function: object) -> str:
    """A function as a spec names it: by the file that it stands in, or by its installed module. Raises
    TypeError for one that stands in no file: a run is resumed by another process, which must find it."""
    name, module = str(getattr(function, "__qualname__", "")), str(getattr(function, "__module__", ""))
    try:
        file = Path(inspect.getsourcefile(cast("Any", function)) or "")
    except TypeError:
        file = Path()
    if not name.isidentifier() or not file.is_file():
        what = name or type(function).__name__
        raise TypeError(f"{what!r} is a function of no file; write it at the top of one, and name it file.py:function")
    if module != "__main__" and "site-packages" in file.parts:
        return f"{module}:{name}"
    place = file.resolve()
    return f"{place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place}:{name}"


def _text(file: Path) -> str:
    try:
        return safe_read.text(file)
    except FileNotFoundError:
        raise SpecError([f"{file}: there is no such file; write one with 'alignwright new NAME'"]) from None
    except IsADirectoryError:
        raise SpecError([f"{file}: this is a folder; name the spec file in it"]) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SpecError([f"{file}:{line}: not UTF-8 text: {error.reason}"]) from None
    except (OSError, ValueError) as error:  # too long a name, a name with a null in it, no right to read
        raise SpecError(
            [f"{str(file)[:200]!r} cannot be read: {error.strerror if isinstance(error, OSError) else error}"]
        ) from None
