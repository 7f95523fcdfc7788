"""What kind of data does a file hold, where nobody has said it, and how surely?

A spec's knob says what a file is read as. Without a spec every reader is tried on the file's first
rows: the one that reads most of them is taken; of those that read as good as all, the one that leaves the
fewest columns unread; then the one for the more particular kind (pairs also have prompts, a
question with choices also is a question). The others that could read it are named beside it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from alignwright.core.amount import amount
from alignwright.core.records import Record
from alignwright.core.stage import Rows
from alignwright.files.data_file import DataFile
from alignwright.files.errors import NoUsableRow, SpecError
from alignwright.files.items import (
    FaithfulItem,
    MathItem,
    MeantItem,
    OpinionItem,
    PushbackItem,
    RefusalItem,
    TextItem,
)
from alignwright.files.kinds import read_kind
from alignwright.files.public_questions import PersonaItem
from alignwright.files.reading import FileRows
from alignwright.files.rows import Raw
from alignwright.files.sources import read_judged

SAMPLE = 300
"""Rows that the readers are tried on."""
KINDS: dict[str, Rows | type[Record]] = {
    "pairs": "pairs",
    "votes": "votes",
    "conversations": "conversations",
    "labels": "labels",
    "opinion": OpinionItem,
    "pushback": PushbackItem,
    "meant": MeantItem,
    "faithful": FaithfulItem,
    "trait": PersonaItem,
    "choice": "choices",
    "problems": MathItem,
    "refusal": RefusalItem,
    "text": TextItem,
    "prompts": "prompts",
}
"""The kinds by the names that `docs/spec.md` has for them, the more particular first."""
_FEW = 0.1
FEW_ROWS = 10
"""In a file of fewer rows the share that a reader can use says little."""
_UNREAD = "columns not read: "
Sureness = Literal["sure", "likely", "doubtful"]


@dataclass(frozen=True)
class FormatGuess:
    """What a file is taken for. `others`: kinds that it could be read as as well."""

    kind: str
    sureness: Sureness
    reason: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Trial:
    kind: str
    good: int
    total: int
    leftover: tuple[str, ...]


def guess_format(file: DataFile, raws: Sequence[Raw]) -> FormatGuess:
    """The kind that suits the file's first rows best. Raises SpecError where no reader reads any."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        rows = [raw.columns for raw in raws[:SAMPLE] if raw.columns is not None]
        path.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows), encoding="utf-8")
        trials = _trials(file.at(str(path)))
    if not trials:  # tables without a header, votes with their statements in a file beside them
        trials = _trials(file)
    if not trials and not rows:
        raise SpecError([_no_columns(file, raws)])
    if not trials:
        columns = ", ".join(dict.fromkeys(name for row in rows for name in row))
        raise SpecError(
            [
                f"{file.file}: no reader knows these columns: {columns or 'none'}. Say what they are (theirs: ours),"
                " such as question: prompt; the names that are known are in docs/spec.md, 'Data files'"
            ]
        )
    best, *rest = [trial for trial in trials if trial.good]
    # what knows two more of the columns is what the file is meant as, though no row tried can be used
    if unusable := [t for t in trials if not t.good and len(set(best.leftover) - set(t.leftover)) > 1]:
        tried, others = amount(unusable[0].total, "row"), (best, *rest)
        return FormatGuess(unusable[0].kind, "doubtful", f"0 of {tried} tried", tuple(trial.kind for trial in others))
    coverage = f"{best.good:,} of {amount(best.total, 'row')} tried"
    if best.leftover:
        coverage += f", without the column{'s' * (len(best.leftover) > 1)} {', '.join(best.leftover)}"
    rivals = [trial for trial in rest if trial.good == best.good and len(trial.leftover) <= len(best.leftover)]
    whole = best.good == best.total
    sureness: Sureness = "sure" if whole and not rivals and not best.leftover else "likely"
    if best.good < (1 - _FEW) * best.total:
        sureness = "doubtful"
    return FormatGuess(best.kind, sureness, coverage, tuple(trial.kind for trial in rest))


def _no_columns(file: DataFile, raws: Sequence[Raw]) -> str:
    """Why no row has a column."""
    if any(mark in raw.text for raw in raws for mark in ("\0", "\N{REPLACEMENT CHARACTER}")):
        return f"{file.file}: it is no text but binary data; a file of rows is JSON lines, JSON, CSV, TSV or Parquet"
    first = raws[0]
    why = f" ({first.reason})" if first.reason else ""
    return f"{file.file}:{first.number}: no row of the first {len(raws)} has columns{why}, seen {first.text[:60]!r}"


def read_as(kind: str, file: DataFile) -> FileRows[Any]:
    """All rows of a file as a kind, however many of them are bad. Of pairs also the replies that are
    labelled by themselves."""
    reader = read_judged if kind == "pairs" else partial(read_kind, KINDS[kind])
    return reader(str(file), bad_rows=1.0)


def _trials(file: DataFile) -> list[_Trial]:
    """The readers that know the columns, the best first; none where none reads a row."""
    trials: list[_Trial] = []
    for kind in KINDS:
        try:
            rows = read_as(kind, file)
        except NoUsableRow as error:
            trials.append(_Trial(kind, 0, error.rows, _leftover(error.notes)))
        except SpecError:
            continue
        else:
            total = len(rows.numbers) + len(rows.rejected)
            trials.append(_Trial(kind, len(rows.numbers), total, _leftover(rows.notes)))
    if not any(trial.good for trial in trials):
        return []
    return sorted(trials, key=lambda trial: _badness(trial, trials))


def _leftover(notes: Sequence[str]) -> tuple[str, ...]:
    unread = [note.removeprefix(_UNREAD) for note in notes if note.startswith(_UNREAD)]
    return tuple(unread[0].split(", ")) if unread else ()


def _badness(trial: _Trial, trials: Sequence[_Trial]) -> tuple[bool, float, int]:
    """A few bad rows say less against a reader than columns that it leaves unread. In a file of few rows
    a few are a large share: there two columns that it leaves to another reader, such as chosen and
    rejected, say more than any bad row."""
    lost = 1 - trial.good / max(1, trial.total)
    rivals = [len(set(trial.leftover) - set(other.leftover)) for other in trials if other.good and other is not trial]
    leaves = trial.total < FEW_ROWS and max(rivals, default=0) > 1
    return leaves, (0.0 if lost <= _FEW else lost), len(trial.leftover)
