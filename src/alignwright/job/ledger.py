"""Ledger: which jobs are finished, and are their files still those that they left?

A run folder's `ledger.json` maps each finished job to its key, its cost and a SHA-256 of every file
that it left. A job whose key is there and whose files are still those is not done again; one whose
result lies in a sibling run under the same key is taken over from there, after the same look. Each
job works in its own folder, which carries the key it was begun with: an unfinished folder is
continued when the key still fits and cleared when it does not.

Sizes are compared first, then contents, always: a time stamp shows neither a flipped bit nor a file
that was edited through a hard link from another run. A file is read once when its job ends and once
by each later command, at about a gigabyte a second. The entry of a job also lies in the job's
folder (`.done`), so that a ledger that was cut short is built again from what is there; with it lie
the hashes of what the key was made of, by name, for whoever asks why a job is to be done again.

Whatever a ledger says is checked before it is believed: an entry of another form is none of ours,
and a folder is one name under `stages`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

from alignwright.files.contents import are_marks, changed, contents

AT_WORK = ".at_work"
"""The folder, in that of a job, of what a killed job goes on from. It is no part of the result, and goes
when the job is entered as finished, never before: a kill on the way there loses nothing."""
LARGEST = 64 * 2**20
"""Bytes of a ledger that are read. Ours have a few hundred for each file of a run."""


@dataclass(frozen=True)
class Entry:
    """A finished job: the key of its content, the folder (relative to the run) that holds it,
    what it cost, and what it left there."""

    key: str
    folder: str
    seconds: float
    tokens: int
    files: Mapping[str, str]
    """Each file by its path in the folder: its size in bytes, a colon, and the beginning of its
    SHA-256."""


class Ledger:
    """The finished jobs of one run folder. `told` is what a person should know of: damage, and
    what became of it."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.path = run / "ledger.json"
        self.warnings: list[str] = []
        self.entries, self._damaged = self._read()

    def finished_folder(self, name: str, key: str) -> Path | None:
        """The folder of the finished job, from here or from a sibling run; None when it has to be done."""
        return self._own(name, key) or self._borrow(name, key)

    def knows(self, name: str, key: str) -> bool:
        """Whether the job would be found done. Nothing is taken over from a sibling yet."""
        return (self._own(name, key) or self._sibling(name, key)) is not None

    def intact(self, name: str) -> Path:
        """The folder of a finished job, whose files are what the job left: for commands that look at
        a run without doing what is missing. Raises ValueError where they are not."""
        folder = self.run / self.entries[name].folder
        if damage := changed(self.entries[name].files, folder):
            raise ValueError(f"{folder}: {damage}; run the same spec again, which does the stage again")
        return folder

    def begun(self) -> list[tuple[str, str]]:
        """Name and key of each job that has a folder, in the order of the plan, finished or not."""
        marks = (mark for mark in sorted((self.run / "stages").glob("*/key")) if mark.is_file())
        return [(mark.parent.name.partition("-")[2], mark.read_bytes().decode(errors="replace")) for mark in marks]

    def folder(self, number: int, name: str, key: str) -> Path:
        """The working folder of a job about to run: what an interrupted try with the same key
        left, or an empty one."""
        path = self.run / "stages" / f"{number:02d}-{name}"
        mark = path / "key"
        finished = (
            name in self.entries and self.entries[name].key == key
        )  # yet it is to be done: it was damaged, and is begun anew
        if finished or not (mark.is_file() and mark.read_bytes() == key.encode()):
            self._clear(name)
            if self.entries.pop(name, None):
                self._write()
            path.mkdir(parents=True)
            mark.write_text(key)
        return path

    def finish(
        self,
        name: str,
        key: str,
        folder: Path,
        seconds: float,
        tokens: int = 0,
        parts: Mapping[str, str] | None = None,
    ) -> None:
        """Enter a job that is done, with a hash of everything it left; `parts` are the hashes of what
        its key is made of, which stay in its folder."""
        entry = Entry(key, folder.relative_to(self.run).as_posix(), round(seconds, 2), tokens, contents(folder))
        write_json(folder / ".done", {"name": name, "parts": dict(parts or {}), **asdict(entry)})
        self.entries[name] = entry
        self._write()
        shutil.rmtree(folder / AT_WORK, ignore_errors=True)

    def _own(self, name: str, key: str) -> Path | None:
        entry = self.entries.get(name)
        if entry is None or entry.key != key:
            return None
        folder = self.run / entry.folder
        if damage := changed(entry.files, folder):
            self._tell(f"{folder}: {damage}; the stage is done again")
            return None
        return folder

    def _sibling(self, name: str, key: str) -> tuple[Path, Entry] | None:
        for sibling in sorted(self.run.parent.glob("*/ledger.json")):
            entry = None if sibling == self.path else (_entries(json_of(sibling)) or {}).get(name)
            if entry is None or entry.key != key:
                continue
            source = sibling.parent / entry.folder
            if damage := changed(entry.files, source):
                self._tell(f"{source}: {damage}; it is not taken over")
                continue
            return source, entry
        return None

    def _borrow(self, name: str, key: str) -> Path | None:
        sibling = self._sibling(name, key)
        if sibling is None:
            return None
        source, entry = sibling
        target = self.run / "stages" / source.name
        partial = target.with_name(f"{source.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(source, partial, copy_function=_link_or_copy)
        self._clear(name)
        partial.rename(target)
        self.finish(name, key, target, entry.seconds, entry.tokens, key_parts(source.parents[1], entry))
        return target

    def _clear(self, name: str) -> None:
        for stale in (self.run / "stages").glob("*"):
            if stale.name.partition("-")[2] == name:
                shutil.rmtree(stale)

    def _tell(self, line: str) -> None:
        if line not in self.warnings:
            self.warnings.append(line)

    def _read(self) -> tuple[dict[str, Entry], bool]:
        """The entries, and whether the file cannot be kept as it is. What it does not hold is
        taken from the jobs' own folders."""
        if not self.path.exists():
            return {}, False
        value = json_of(self.path)
        entries = _entries(value)
        if entries is not None and isinstance(value, dict) and len(entries) == len(cast("dict[str, object]", value)):
            return entries, False
        entries_left = entries or {}
        for mark in sorted((self.run / "stages").glob("*/.done")):
            mark_value = json_of(mark)
            name = cast("dict[str, Any]", mark_value).pop("name", None) if isinstance(mark_value, dict) else None
            cast("dict[str, Any]", mark_value).pop("parts", None) if isinstance(mark_value, dict) else None
            entry = _entry(name, mark_value) if isinstance(name, str) else None
            if entry is not None and isinstance(name, str) and self.run / entry.folder == mark.parent:
                entries_left.setdefault(name, entry)
        self._tell(
            f"{self.path}: cut short, or not as this version writes it; {len(entries_left)} finished stages are known"
            " from their folders"
        )
        return entries_left, True

    def _write(self) -> None:
        if self._damaged:
            self.path.replace(self.path.with_name("ledger.json.damaged"))
            self._damaged = False
        write_json(self.path, {n: asdict(e) for n, e in self.entries.items()})


def entries_of(run: Path) -> dict[str, Entry]:
    """The finished jobs of a run, as its ledger says; none where it cannot be read."""
    return _entries(json_of(run / "ledger.json")) or {}


def key_parts(run: Path, entry: Entry) -> dict[str, str]:
    """The hashes of what a finished job's key was made of, by name; none where they were not kept."""
    mark = json_of(run / entry.folder / ".done")
    if not isinstance(mark, dict):
        return {}
    mark_values = cast("dict[str, object]", mark)
    parts = mark_values.get("parts")
    if mark_values.get("key") != entry.key or not isinstance(parts, dict):
        return {}
    kept = cast("dict[str, object]", parts)
    return {name: value for name, value in kept.items() if isinstance(value, str)}


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write JSON so that a kill leaves the old file or the new one, never half of it."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


@contextmanager
def run_lock(run: Path) -> Iterator[None]:
    """Hold the run folder for this process. Raises RuntimeError when another process works in it."""
    run.mkdir(parents=True, exist_ok=True)
    with (run / ".lock").open("w") as lock:
        try:
            _take(lock.fileno())
        except OSError:
            raise RuntimeError(f"another alignwright works in {run} now; wait for it, or stop it first") from None
        yield


def _take(lock: int) -> None:
    """Lock an open file until it is closed or the process ends, by the call of this system. Raises
    OSError where another holds it."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        lock_byte: Callable[[int, int, int], None] = getattr(msvcrt, "locking")  # noqa: B009 - typed on Windows alone
        lock_byte(lock, getattr(msvcrt, "LK_NBLCK"), 1)  # noqa: B009
        return
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def json_of(path: Path) -> object:
    """A file's JSON; None for what is none, or no file, or larger than any of ours."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return None
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _entries(value: object) -> dict[str, Entry] | None:
    """The entries that are ours; None where it is no ledger at all."""
    if not isinstance(value, dict):
        return None
    entries = {name: _entry(name, entry) for name, entry in cast("dict[str, object]", value).items()}
    return {name: entry for name, entry in entries.items() if entry is not None}


def _entry(name: str, value: object) -> Entry | None:
    if not isinstance(value, dict) or set(cast("dict[str, object]", value)) != {field.name for field in fields(Entry)}:
        return None
    values = cast("dict[str, Any]", value)
    kinds = (
        isinstance(values["key"], str),
        isinstance(values["folder"], str),
        type(values["seconds"]) in (int, float),
        type(values["tokens"]) is int,
    )
    if not all(kinds) or not are_marks(values["files"]):
        return None
    home, slash, folder = cast("str", values["folder"]).partition("/")
    if home != "stages" or not slash or folder.partition("-")[2] != name or set(folder) & {"/", "\\", "\0"}:
        return None
    return Entry(**values)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
