"""Which error says that a spec, a constitution or a data file is wrong? `SpecError`.

All that is wrong, one problem a line, each beginning with where it stands.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

Loc = tuple[str | int, ...]
_REASONS, _ROWS = 10, 5
"""How many reasons are said of a file's bad rows, and how many rows of each are named."""


class SpecError(Exception):
    """Everything that is wrong with what was written, one problem a line."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class NoUsableRow(SpecError):
    """A file whose columns a reader knows and of whose `rows` it can use none; `notes` as of a file
    that it reads."""

    def __init__(self, problems: Sequence[str], rows: int, notes: Sequence[str]) -> None:
        super().__init__(problems)
        self.rows, self.notes = rows, tuple(notes)


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """`did you mean 'beta'?` where one choice is near, else the choices."""
    names = list(choices)
    near = nearest(name, names)
    return f"choose from {', '.join(names)}" if near is None else f"did you mean {near!r}?"


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice that a name may be a slip of the pen for; None where none is near."""
    return next(iter(difflib.get_close_matches(name, list(choices), n=1, cutoff=0.6)), None)


def dotted(loc: Loc) -> str:
    return ".".join(str(part) for part in loc)


def bad_row_lines(file: str, bad_rows: Iterable[tuple[int, str]]) -> list[str]:
    """What is wrong with rows of a file, (number, reason) each: a line for each reason at its first row,
    with how many rows it is true of and the first few of them."""
    numbers: dict[str, list[int]] = {}
    for number, reason in bad_rows:
        numbers.setdefault(reason, []).append(number)
    lines = [f"{file}:{those[0]}: {reason}{_also(those)}" for reason, those in [*numbers.items()][:_REASONS]]
    more = sum(map(len, [*numbers.values()][_REASONS:]))
    return [*lines, f"{file}: and {more:,} more"] if more else lines


def _also(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return ""
    first = ", ".join(f"{number}" for number in numbers[:_ROWS])
    return f" ({len(numbers):,} rows: {first}{', ...' if len(numbers) > _ROWS else ''})"
