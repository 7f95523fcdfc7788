"""Which texts stand in a stage's files with two labels?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from alignwright.core.stage import Knob, KnobRows
from alignwright.files.errors import bad_row_lines


def two_labels(
    files: Sequence[KnobRows], label_and_text: Callable[[Any, str], tuple[str, str]] | None = None
) -> Iterator[tuple[Knob, str]]:
    """Texts that stand somewhere with another label; `label_and_text`: of a row under a knob of this name."""
    labels: dict[str, str] = {}
    for file in files:
        conflicts: list[tuple[int, str]] = []
        for row, number in zip(file.rows, file.numbers, strict=True):
            label, text = label_and_text(row, str(file.knob[0])) if label_and_text else (row.label, row.shown)
            if (other := labels.setdefault(text, label)) != label:
                conflicts.append((number, f"the same text is {label} here and {other} elsewhere; keep one of them"))
        yield from ((file.knob, line) for line in bad_row_lines(file.file, conflicts))
