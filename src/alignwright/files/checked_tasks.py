"""Which tasks have no check, so that nobody can tell whether a reply keeps to them?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alignwright.core.stage import Knob, KnobRows
from alignwright.files.errors import bad_row_lines

_BARE = "has no checks, so nobody can tell whether a reply keeps to what it asks; give it some, or leave it out"


def unchecked_tasks(files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
    """The rows under `prompts` that have no checks."""
    for file in files:
        rows = zip(file.rows, file.numbers, strict=True) if file.knob[0] == "prompts" else ()
        bare = [(number, _BARE) for row, number in rows if not row.checks]
        yield from ((file.knob, line) for line in bad_row_lines(file.file, bare))
