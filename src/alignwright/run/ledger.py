"""What has been done already?

A run folder's `ledger.json` maps each finished job to its key and cost. A job whose key is there is not done again; one whose
result lies in a sibling run under the same key is taken over from there. Each job works in its own folder, which carries the key
it was begun with: an unfinished folder is continued when the key still fits and cleared when it does not.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """A finished job: the key of its content, what it cost, and the folder (relative to the run) that holds it."""

    key: str
    folder: str
    seconds: float
    tokens: int = 0


class Ledger:
    """The finished jobs of one run folder."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.path = run / "ledger.json"
        self.entries: dict[str, Entry] = {}
        if self.path.exists():
            self.entries = {name: Entry(**entry) for name, entry in json.loads(self.path.read_text(encoding="utf-8")).items()}

    def done(self, name: str, key: str) -> Path | None:
        """The folder of the finished job, from here or from a sibling run; None when it has to be done."""
        return self._own(name, key) or self._borrow(name, key)

    def knows(self, name: str, key: str) -> bool:
        """Whether the job would be found done. Nothing is taken over from a sibling yet."""
        return (self._own(name, key) or self._sibling(name, key)) is not None

    def folder(self, number: int, name: str, key: str) -> Path:
        """The working folder of a job about to run: what an interrupted try with the same key left, or an empty one."""
        path = self.run / "stages" / f"{number:02d}-{name}"
        mark = path / "key"
        if not (mark.exists() and mark.read_text() == key):
            for stale in (self.run / "stages").glob(f"*-{name}"):
                shutil.rmtree(stale)
            path.mkdir(parents=True)
            mark.write_text(key)
        return path

    def finish(self, name: str, key: str, folder: Path, seconds: float, tokens: int = 0) -> None:
        self.entries[name] = Entry(key, str(folder.relative_to(self.run)), round(seconds, 2), tokens)
        write_json(self.path, {n: asdict(e) for n, e in self.entries.items()})

    def _own(self, name: str, key: str) -> Path | None:
        entry = self.entries.get(name)
        found = entry is not None and entry.key == key and (self.run / entry.folder).is_dir()
        return self.run / entry.folder if entry and found else None

    def _sibling(self, name: str, key: str) -> tuple[Path, Entry] | None:
        for sibling in sorted(self.run.parent.glob("*/ledger.json")):
            if sibling == self.path:
                continue
            entry = _entry(sibling, name)
            source = sibling.parent / entry.folder if entry else None
            if entry and source and entry.key == key and source.is_dir():
                return source, entry
        return None

    def _borrow(self, name: str, key: str) -> Path | None:
        found = self._sibling(name, key)
        if found is None:
            return None
        source, entry = found
        target = self.run / "stages" / source.name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, copy_function=_link_or_copy)
        self.finish(name, key, target, entry.seconds, entry.tokens)
        return target


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write JSON so that a kill leaves the old file or the new one, never half of it."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


@contextmanager
def only_one(run: Path) -> Iterator[None]:
    """Hold the run folder for this process. Raises RuntimeError when another process works in it."""
    import fcntl

    run.mkdir(parents=True, exist_ok=True)
    with (run / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RuntimeError(f"another alignwright works in {run} now; wait for it, or stop it first") from None
        yield


def _entry(path: Path, name: str) -> Entry | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8")).get(name)
    except (OSError, ValueError):
        return None
    return Entry(**found) if found else None


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
