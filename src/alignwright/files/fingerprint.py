"""What names the content of a file or of a model's weights?"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache
from pathlib import Path

from alignwright.core.records import content_id
from alignwright.files.models import ModelRef
from alignwright.files.steering_folder import STEERING, VECTORS

MODEL_FILES = (".safetensors", ".json", ".jinja", ".model", ".txt")
"""What a model folder's result depends on: weights, configurations, the chat template, the
tokenizer's tables."""


def file_hash(path: Path) -> str:
    """Sixteen hex digits of the SHA-256 of a file, which is read once while it is unchanged."""
    status = path.stat()
    return _hash(path, status.st_size, status.st_mtime_ns)


def folder_hash(folder: Path) -> str:
    """The hash of a model's folder: names and contents of the files that its result depends on."""
    files = sorted(file for file in folder.iterdir() if file.suffix in MODEL_FILES)
    return content_id([[file.name, file_hash(file)] for file in files])


def model_fingerprint(ref: ModelRef) -> str:
    """What names a model's weights: the hash of its files, or the Hub id where there are none yet.
    Of a model behind a server its address and name are all that is known."""
    if ref.steering is not None:
        own = model_fingerprint(replace(ref, steering=None))
        return content_id([own, *(file_hash(ref.steering / name) for name in (STEERING, VECTORS))])
    if ref.path is None:
        return ref.name
    path = Path(ref.path)
    return folder_hash(path) if path.is_dir() else content_id([[path.name, file_hash(path)]])


def weights_hash(ref: ModelRef) -> str | None:
    """What names a model's weights whatever else lies beside them; None where they are not here."""
    if ref.path is None:
        return None
    path = Path(ref.path)
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if ref.steering is not None:
        files += [ref.steering / STEERING, ref.steering / VECTORS]
    return content_id([file_hash(file) for file in files])


def in_bits(fingerprint: str, quantization: str | None) -> str:
    """What names weights that are kept in so few bits; of whole ones their own fingerprint."""
    return f"{fingerprint}-{quantization}" if quantization else fingerprint


@cache
def _hash(path: Path, size: int, mtime: int) -> str:  # noqa: ARG001 - size and time are the cache's key
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
