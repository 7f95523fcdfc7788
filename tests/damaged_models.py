"""Model folders as downloads, editors and disks leave them: cut short, garbled, emptied, of
another form, a value changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ODD: tuple[Any, ...] = (None, -1, 0, 2**70, 1.5, "x", "", True, [], {}, [[]], {"a": None}, float("inf"))
NOT_OBJECTS = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"7",
    b'"x"',
    b"\xff\xfe\x00",
    b"<!DOCTYPE html><html>404</html>",
    b"version https://git-lfs.github.com/spec/v1\n",
)
Damage = Callable[[Path], None]


def damages(folder: Path) -> Iterator[tuple[str, Damage]]:
    """Each damage of a whole model folder, by name; given a copy of the folder it does it."""
    files = sorted(path.name for path in folder.iterdir() if path.is_file())
    for name in files:
        yield f"{name} missing", lambda copy, name=name: (copy / name).unlink()
        data = (folder / name).read_bytes()
        for share in (1, len(data) // 3, len(data) - 1):
            yield f"{name} cut to {share}", _writes(name, data[:share])
        for content in NOT_OBJECTS:
            yield f"{name} is {content[:12]!r}", _writes(name, content)
        middle = len(data) // 2
        yield (
            f"{name} garbled",
            _writes(
                name, data[:middle] + bytes(255 - byte for byte in data[middle : middle + 16]) + data[middle + 16 :]
            ),
        )
        if name.endswith(".json"):
            yield from _values(name, json.loads(data))
    yield from _headers((folder / "model.safetensors").read_bytes())
    yield "a folder for a file", lambda copy: ((copy / "config.json").unlink(), (copy / "config.json").mkdir())[1]


def _values(name: str, held: Any) -> Iterator[tuple[str, Damage]]:
    """Each value of a JSON file, two levels deep, gone or of another kind."""
    for path in _paths(held):
        yield f"{name} without {'.'.join(path)}", _writes(name, json.dumps(_with(held, path, ...)).encode())
        for odd in ODD:
            yield f"{name} {'.'.join(path)} = {odd!r}", _writes(name, json.dumps(_with(held, path, odd)).encode())


def _paths(held: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, value in held.items():
        yield (key,)
        if isinstance(value, dict) and len(value) < 12:
            yield from ((key, inner) for inner in value)


def _with(held: Any, path: tuple[str, ...], value: Any) -> Any:
    copy = dict(held)
    if len(path) > 1:
        copy[path[0]] = _with(copy[path[0]], path[1:], value)
    elif value is ...:
        del copy[path[0]]
    else:
        copy[path[0]] = value
    return copy


def _headers(data: bytes) -> Iterator[tuple[str, Damage]]:
    """A safetensors file whose header says something else than what follows."""
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    first = next(name for name in header if name != "__metadata__")

    def write(changed: Any) -> Damage:
        text = json.dumps(changed).encode()
        return _writes("model.safetensors", len(text).to_bytes(8, "little") + text + body)

    for what, value in [
        ("dtype", "F8"),
        ("dtype", 3),
        ("shape", [-1, 2]),
        ("shape", "x"),
        ("shape", [2**40]),
        ("shape", []),
        ("data_offsets", [0]),
    ]:
        yield f"header {what} = {value!r}", write(header | {first: header[first] | {what: value}})
    yield "header offsets beyond the file", write(header | {first: header[first] | {"data_offsets": [0, 2**50]}})
    yield "header offsets backwards", write(header | {first: header[first] | {"data_offsets": [64, 0]}})
    yield "header tensor is a number", write(header | {first: 3})
    yield "header is a list", write([1, 2])
    yield "header without a tensor", write({name: value for name, value in header.items() if name != first})
    yield (
        "header with a stranger",
        write({name.replace("layers.0", "layers.7"): value for name, value in header.items()}),
    )
    yield "header length beyond the file", _writes("model.safetensors", (2**62).to_bytes(8, "little") + data[8:])
    yield "header of four gigabytes", _writes("model.safetensors", (2**32).to_bytes(8, "little") + data[8:])


def _writes(name: str, data: bytes) -> Damage:
    return lambda copy: (copy / name).write_bytes(data) and None


def damaged(folder: Path, damage: Damage, place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder, place)
    damage(place)
    return place
