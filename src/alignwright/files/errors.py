"""Which error says that a spec, a constitution or a data file is wrong? `SpecError`.

All that is wrong, one problem a line, each beginning with where it stands.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

Loc = tuple[str | int, ...]


class SpecError(Exception):
    """Everything that is wrong with what was written, one problem a line."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


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
