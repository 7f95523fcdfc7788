"""Which reader reads the rows that a knob names? Data files to records, by the knob's `Reads`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alignwright.core.records import Record
from alignwright.core.stage import Rows
from alignwright.files import sources
from alignwright.files.attacks import read_attacks
from alignwright.files.choices import read_choices
from alignwright.files.public_questions import read_questions
from alignwright.files.reading import FileRows, Keep
from alignwright.files.replies import read_labels
from alignwright.files.transcripts import read_transcripts


def read_kind(
    kind: Rows | type[Record] | None, source: str | Path, *, bad_rows: float = 0.0, keep: Keep = frozenset()
) -> FileRows[Any]:
    """The rows of a file as records of that kind; `keep`: columns that stay with prompts. Raises
    SpecError where more rows are bad than `bad_rows` allows."""
    match kind:
        case "prompts":
            return sources.read_prompts(source, bad_rows=bad_rows, keep=keep)
        case "pairs":
            return sources.read_pairs(source, bad_rows=bad_rows, keep=keep)
        case "votes":
            return sources.read_votes(source, bad_rows=bad_rows)
        case "conversations":
            return sources.read_conversations(source, bad_rows=bad_rows)
        case "choices":
            return read_choices(source, bad_rows=bad_rows)
        case "questions":
            return read_questions(source, bad_rows=bad_rows)
        case "labels":
            return read_labels(source, bad_rows=bad_rows)
        case "attacks":
            return read_attacks(source, bad_rows=bad_rows)
        case "transcripts":
            return read_transcripts(source, bad_rows=bad_rows)
        case None:
            raise ValueError(f"{source}: a file of settings, which has no rows")
        case record:
            return sources.read_items(source, record, bad_rows=bad_rows)
