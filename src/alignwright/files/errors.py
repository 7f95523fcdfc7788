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
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(names)}"


def dotted(loc: Loc) -> str:
    return ".".join(str(part) for part in loc)
