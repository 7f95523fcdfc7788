"""Is a folder, or a file of a run's own, still what was left there?

A finished stage is held against the size and the SHA-256 of each file that it left, which the
ledger keeps (`job.ledger`); a part of a stage that is whole by itself has the same in a file of its
own, its seal. What an interrupted stage left for the next try (a checkpoint, a number that was
found) is in no ledger: whoever reads it raises `DamagedFile` where it cannot be gone on from, which
names the file, what is wrong with it, and what to delete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeGuard, TypeVar, cast

from pydantic import ValidationError

from alignwright.core.records import Record
from alignwright.files.lines import read_lines

R = TypeVar("R", bound=Record)
SEAL = ".whole"
_LARGEST = 64 * 2**20  # bytes of JSON that are read of a file of ours


class DamagedFile(ValueError):
    """A file of a run's own is not what the run wrote."""

    def __init__(self, path: Path, why: str, whole: Path | None = None) -> None:
        """`whole` is the folder that must be made anew; none: the one that the file is in."""
        self.path, self.why = path, why
        remedy = f"delete {whole or path.parent} and run the same command again, which makes anew what was in it"
        super().__init__(f"{path}: {why}, so it is not as the run left it; {remedy}")


@contextmanager
def given_by_a_person() -> Generator[None]:
    """What is read meanwhile is named in a spec and no file of the run's own: no command makes it anew, so nobody is
    told to delete the folder that it is in. Raises ValueError in place of DamagedFile."""
    try:
        yield
    except DamagedFile as error:
        raise ValueError(f"{error.path}: {error.why}; save it again, or name another") from None


def contents(folder: Path) -> dict[str, str]:
    """Size and hash of every file under a folder, by its path there. Names that begin with a dot
    are no part of a result."""
    return {name: f"{path.stat().st_size}:{_hash(path)}" for name, path in _files(folder).items()}


def changed(files: Mapping[str, str], folder: Path, *, more: bool = False) -> str | None:
    """What in a folder is not as it was left, in words; None where everything is. `more`: files
    may have been added."""
    there = _files(folder)
    if not there:
        return "its files are gone"
    if lost := sorted(files.keys() - there.keys()):
        return f"{lost[0]} is missing"
    if not more and (new := sorted(there.keys() - files.keys())):
        return f"{new[0]} was not left by the stage"
    for name, mark in files.items():
        size, digest, now = *mark.split(":"), there[name].stat().st_size
        if str(now) != size:
            return f"{name} has {now} bytes, the stage left {size}"
        if _hash(there[name]) != digest:
            return f"{name} is not what the stage left (same size, other content)"
    return None


def are_marks(value: object) -> TypeGuard[dict[str, str]]:
    """Whether these are files with the size and hash of each, as `contents` notes them."""
    if not isinstance(value, dict) or not value:
        return False
    return all(isinstance(mark, str) and mark.count(":") == 1 for mark in cast("dict[str, object]", value).values())


def seal(folder: Path, without: Collection[str] = ()) -> None:
    """Note what is in a folder, which is whole from now on; what is under `without` may go."""
    held = {name: mark for name, mark in contents(folder).items() if name.partition("/")[0] not in without}
    partial = folder / f"{SEAL}.partial"
    partial.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / SEAL)


def sealed(folder: Path) -> bool:
    """Whether a folder was sealed. Raises DamagedFile where what is in it is no longer that."""
    path = folder / SEAL
    if not path.is_file():
        return False
    held = json_object(path, folder.parent)
    if not are_marks(held):
        raise DamagedFile(path, "it holds no sizes and hashes", folder.parent)
    if damage := changed(held, folder, more=True):
        raise DamagedFile(folder, damage, folder.parent)
    return True


def json_object(path: Path, whole: Path | None = None, **fields: type | tuple[type, ...]) -> dict[str, Any]:
    """The JSON object in a file of a run's own, with fields of these types. `whole` as in DamagedFile."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DamagedFile(path, "it is missing", whole) from None
    if not data:
        raise DamagedFile(path, "it is empty", whole)
    try:
        value: object = json.loads(data) if len(data) <= _LARGEST else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise DamagedFile(path, "it holds no JSON object", whole)
    held = cast("dict[str, Any]", value)
    for name, kind in fields.items():
        if not isinstance(held.get(name), kind) or isinstance(held[name], bool):
            raise DamagedFile(path, f"{name!r} is {'not there' if name not in held else 'of another kind'}", whole)
    return held


def records(path: Path, kind: type[R]) -> list[R]:
    """The records in a file of a run's own, one a line."""
    try:
        lines = read_lines(path)
    except FileNotFoundError:
        raise DamagedFile(path, "it is missing") from None
    except UnicodeDecodeError as error:
        raise DamagedFile(path, f"it is not UTF-8 text at byte {error.start}") from None
    rows: list[R] = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(kind.model_validate_json(line))
        except ValidationError:
            raise DamagedFile(path, f"line {number} is no {kind.__name__}") from None
    return rows


def prefix(path: Path) -> str:
    """The size and hash of a file to which lines will be added."""
    data = path.read_bytes()
    return f"{len(data)}:{hashlib.sha256(data).hexdigest()[:32]}"


def begins_as(path: Path, mark: object) -> bool:
    """Whether a file begins with what it held when its `prefix` was taken."""
    size, colon, digest = mark.partition(":") if isinstance(mark, str) else ("", "", "")
    if not colon or not size.isdecimal() or not path.is_file():
        return False
    with path.open("rb") as file:
        data = file.read(int(size))
    return len(data) == int(size) and hashlib.sha256(data).hexdigest()[:32] == digest


def _files(folder: Path) -> dict[str, Path]:
    paths = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name.as_posix(): path for name, path in paths.items() if not any(part.startswith(".") for part in name.parts)
    }


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]
