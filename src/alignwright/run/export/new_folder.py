"""Where is an exported folder written, so that a kill leaves no half of one and nobody's files are lost?

Beside its place, and renamed when it is whole. The run's own `export/` is ours: what lies there of
an earlier export is replaced. A folder that was named must be new or empty.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

WEIGHTS = (".safetensors", ".safetensors.index.json")
OF_THE_MODEL = ("config.json", "README.md")


@contextmanager
def new_folder(place: Path, *, ours: bool) -> Iterator[Path]:
    """A folder that becomes `place` when all is written. Raises ValueError where `place` holds files
    that are not `ours`."""
    if not ours and place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise ValueError(f"{place} is not an empty folder; name another with --out, so that nothing in it is lost")
    partial = place.with_name(f".{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if place.exists():
            shutil.rmtree(place)
        partial.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def copy_files(files: Sequence[Path], folder: Path) -> None:
    """Copy files into a folder, readable as new files are there."""
    for file in files:
        shutil.copyfile(file, folder / file.name)


def tokenizer_files(model: Path) -> list[Path]:
    """The files of a model's folder that are its tokenizer, chat template and licence."""
    return [file for file in model_files(model) if not file.name.endswith(WEIGHTS) and file.name not in OF_THE_MODEL]


def model_files(model: Path) -> list[Path]:
    """The files of a model's folder; what begins with a dot is the run's own note."""
    return [file for file in sorted(model.iterdir()) if file.is_file() and not file.name.startswith(".")]


def size(*files: Path) -> str:
    """What files hold together, as a person reads it."""
    count = sum(file.stat().st_size for file in files)
    scale, unit = next(((10**n, unit) for n, unit in _UNITS if count >= 10**n), (1, "bytes"))
    return f"{count / scale:.1f} {unit}" if scale > 1 else f"{count} bytes"


_UNITS = ((9, "GB"), (6, "MB"), (3, "kB"))
