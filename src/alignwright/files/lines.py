"""Where does a line of JSON Lines end? At a line feed, and a carriage return before it belongs to the end;
nowhere else.

Records are written one a line, and a text in one may hold what Python's `splitlines` takes for an
end (U+2028, U+0085, a form feed): what was written as one line must be read as one.
"""

from __future__ import annotations

import os
from pathlib import Path


def lines_of(text: str) -> list[str]:
    """The lines of a text, without their ends; what follows the last end is a line where it is
    not empty."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def read_lines(path: Path) -> list[str]:
    """The lines of a file in UTF-8."""
    return lines_of(path.read_bytes().decode("utf-8"))


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a file of ours that lines are added to. What follows the last line end was torn
    off by a kill: it is cut away, so that the next line starts clean."""
    *lines, torn = path.read_bytes().split(b"\n")
    if torn:
        with path.open("r+b") as file:
            file.truncate(sum(len(line) + 1 for line in lines))
    return lines


def append_durably(path: Path, line: bytes) -> None:
    """Add a line, on disk before this returns: not even a power cut loses it then."""
    with path.open("ab") as file:
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())
