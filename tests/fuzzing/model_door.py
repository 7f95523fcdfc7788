"""Model folders and GGUF files, cut, garbled, exchanged, of another form: resolved, the
tokenizer opened, now and then the model loaded."""

from __future__ import annotations

import json
import random
import shutil
import struct
from pathlib import Path

import damaged_models
from tiny import make_tiny

from alignwright.files.models import ModelError, gguf_facts, resolve
from alignwright.model.load import load
from alignwright.model.tokenizer import load_tokenizer_without_torch
from fuzzing import mutations
from fuzzing.template_door import CHATML, PIECES
from fuzzing.trials import refusal

LOADED = 0.04
"""The share of folders that are loaded as well."""
OURS = ("template", "tokenize", "log-probabilities")
"""What is wrong with a model that opens is said without its folder."""


class Opened:
    def __init__(self, folder: Path) -> None:
        self.folder, self.whole = folder / "bad", make_tiny(folder / "whole")
        self.damages = list(damaged_models.damages(self.whole))
        self.files = {path.name: path.read_bytes() for path in sorted(self.whole.iterdir())}
        load(str(self.whole))

    def attempt(self, rng: random.Random) -> str:
        if rng.random() < 0.25:
            return self._gguf(rng)
        place = self._damaged(rng)
        try:
            found = resolve(str(place))
        except ModelError as error:
            return refusal(error, place.name, kind=ModelError)
        opened = (
            lambda: load_tokenizer_without_torch(found),
            *([lambda: load(str(place))] if rng.random() < LOADED else []),
        )
        for open_it in opened:
            try:
                open_it()
            except ValueError as error:
                return refusal(error, place.name, *OURS, kind=ValueError)
        return "accepted"

    def _damaged(self, rng: random.Random) -> Path:
        if rng.random() < 0.3:
            return damaged_models.damaged(self.whole, rng.choice(self.damages)[1], self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        files = dict(self.files)
        for _ in range(rng.choice((1, 1, 2))):
            name = rng.choice(sorted(files))
            files[name] = self._changed(rng, name, files)
        if rng.random() < 0.1:
            files["chat_template.jinja"] = (CHATML + rng.choice(PIECES)).encode("utf-8", "surrogatepass")
        for name, data in files.items():
            (self.folder / name).write_bytes(data)
        if rng.random() < 0.05:
            name = rng.choice(sorted(files))
            (self.folder / name).unlink()
            (self.folder / name).symlink_to(rng.choice((name, "nothing", ".", "/dev/null")))
        return self.folder

    def _changed(self, rng: random.Random, name: str, files: dict[str, bytes]) -> bytes:
        data = self.files[name]
        if rng.random() < 0.15:
            return files[rng.choice(sorted(files))]
        if name.endswith(".safetensors"):
            length = int.from_bytes(data[:8], "little")
            head = (
                mutations.as_json(rng, mutations.mutated(rng, json.loads(data[8 : 8 + length])))
                if rng.random() < 0.7
                else data[8 : 8 + length]
            )
            data = len(head).to_bytes(8, "little") + head + data[8 + length :]
            return data if rng.random() < 0.7 else mutations.data(rng, data[: len(head) + 8]) + data[len(head) + 8 :]
        try:
            held = json.loads(data)
        except ValueError:
            return mutations.data(rng, data)
        return (
            mutations.as_json(rng, mutations.mutated(rng, held, rng.choice((1, 1, 3))))
            if rng.random() < 0.7
            else mutations.data(rng, data)
        )

    def _gguf(self, rng: random.Random) -> str:
        path = self.folder.with_name("m.gguf")
        path.write_bytes(gguf(rng))
        try:
            found = resolve(str(path))
            assert found.path is not None
            gguf_facts(found.path)
        except ModelError as error:
            return refusal(error, path.name, kind=ModelError)
        return "accepted"


def gguf(rng: random.Random) -> bytes:
    """The header of a GGUF file, right or not: names, texts, arrays within arrays, tensors of
    any size."""
    entries = [
        _entry(rng, f"general.{name}")
        for name in rng.sample(("name", "license", "organization", "x", "tags", "base_model.0.name"), 4)
    ]
    tensors = [_tensor(rng, f"blk.{i}.weight") for i in range(rng.randrange(3))]
    counts = [rng.choice((0, 2**63, 2**32)) if rng.random() < 0.05 else len(part) for part in (tensors, entries)]
    data = b"GGUF" + struct.pack("<IQQ", 3, *counts) + b"".join(entries) + b"".join(tensors)
    return mutations.data(rng, data) if rng.random() < 0.4 else data


def _string(rng: random.Random, said: str) -> bytes:
    data = said.encode("utf-8", "surrogatepass")
    size = rng.choice((2**31, 2**63, 2**64 - 1)) if rng.random() < 0.03 else len(data)
    return struct.pack("<Q", size) + data


def _entry(rng: random.Random, name: str) -> bytes:
    head = _string(rng, name)
    match rng.randrange(6):
        case 0 | 1 | 2:
            return head + struct.pack("<I", 8) + _string(rng, rng.choice(mutations.TEXTS))
        case 3:
            return head + struct.pack("<I", rng.choice((4, 5, 6, 7, 13, 2**31))) + struct.pack("<I", 1)
        case 4:
            levels = rng.choice((1, 3, 1200))
            return (
                head
                + struct.pack("<I", 9)
                + struct.pack("<IQ", 9, 1) * levels
                + struct.pack("<IQ", 4, 2)
                + struct.pack("<II", 1, 2)
            )
        case _:
            count = rng.choice((1, 3, 2**40, 2**62, 2**64 - 1))
            return head + struct.pack("<IIQ", 9, rng.choice((4, 8, 12)), count) + struct.pack("<Q", 1) * 3


def _tensor(rng: random.Random, name: str) -> bytes:
    dimensions = rng.choice((0, 5, 2**20, 2**30, 2**32 - 1)) if rng.random() < 0.2 else 2
    return (
        _string(rng, name)
        + struct.pack("<I", dimensions)
        + struct.pack("<2Q", 3, rng.choice((4, 2**63)))
        + struct.pack("<IQ", 0, 0)
    )
