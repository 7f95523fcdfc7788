"""Where does a line of JSON Lines end? At a line feed, and a carriage return before it belongs to the end;
nowhere else.

Records are written one a line, and a text in one may hold what Python's `splitlines` takes for an
end (U+2028, U+0085, a form feed): what was written as one line must be read as one.
"""

from __future__ import annotations

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
