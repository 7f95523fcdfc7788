"""Which runs lie in a folder, how far did each get, and what became of its promises?

A run is known by the files that it keeps: `spec/` from its first second, `ledger.json` from its
first finished stage, `promises.json` once it came to its end. Nothing is measured, and no file of
a stage is read: whether what a stage left is still whole, `align` and `--dry-run` say. A folder
whose files cannot be read is told in one line among the others.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from alignwright.core.promises import Verdict
from alignwright.experiment.plan import plan
from alignwright.job.ledger import Ledger
from alignwright.report.results import answers
from alignwright.report.text import one_line
from alignwright.run.run_folder import resolved_experiment

MARKS = ("spec/resolved.json", "ledger.json", "promises.json")
"""Files of which a folder with one is taken for a run; they are written as it goes on."""
UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))
SIGNS = {"kept": "✓", "broken": "✕", "untested": "?"}


@dataclass(frozen=True)
class RunSummary:
    """A run in a list. `written`: when it last wrote a finished stage or its answers, in seconds
    since 1970; `done` of `planned` stages are finished (None: this version cannot tell)."""

    path: Path
    written: float
    done: int = 0
    planned: int | None = None
    verdicts: tuple[Verdict, ...] | None = None
    """The answer to each promise; None: it has not come to its end."""
    at: str = ""
    """The stage that is under way, or was when the run stopped."""
    damage: str = ""
    """Why the run cannot be read, where it cannot."""

    @property
    def outcome(self) -> str:
        """In a few words: how many promises were kept, or where it stands."""
        if self.damage:
            return f"damaged: {self.damage}"
        if self.verdicts is None:
            return f"not finished, at {self.at}" if self.at else "not finished"
        counts = Counter(verdict.answer for verdict in self.verdicts)
        words = ", ".join(f"{counts[answer]} {answer}" for answer in SIGNS if counts[answer]) or "nothing promised"
        return f"{words}; being done again, at {self.at}" if self.at else words


def run_list(folder: Path) -> list[RunSummary]:
    """The runs in a folder, or the one that the folder is, the newest first. Raises
    FileNotFoundError where there is no such folder."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give the one that run folders go into, such as runs")
    places = [folder] if _is_run(folder) else [path for path in sorted(folder.iterdir()) if _is_run(path)]
    return sorted(map(_summary, places), key=lambda run: -run.written)


def show_runs(runs: Sequence[RunSummary], folder: Path, console: Console) -> None:
    """A line a run, and beneath it a line a promise."""
    if not runs:
        console.print(f"no run in {one_line(str(folder))}", markup=False, highlight=False)
        return
    now, table = time.time(), Table(box=None, pad_edge=False)
    for heading in ("run", "last written", "stages", "promises"):
        table.add_column(heading, overflow="fold")
    for run in runs:
        of = "" if run.planned is None else f" of {run.planned}"
        cells = (run.path.name or str(run.path), age(now - run.written), f"{run.done}{of}", run.outcome)
        table.add_row(*(Text(one_line(cell)) for cell in cells))
        for verdict in run.verdicts or ():
            table.add_row("", "", "", Text(f"{SIGNS[verdict.answer]} {verdict.answer}: {one_line(verdict.promise)}"))
    console.print(table)


def age(seconds: float) -> str:
    """How long ago, in the largest whole unit."""
    for unit, length in UNITS:
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' * (count != 1)} ago"
    return "just now"


def _is_run(folder: Path) -> bool:
    return folder.is_dir() and any((folder / mark).exists() for mark in MARKS)


def _summary(run: Path) -> RunSummary:
    written = max(
        (path.stat().st_mtime for path in (run / mark for mark in MARKS) if path.is_file()),
        default=run.stat().st_mtime,
    )
    try:
        ledger, names = Ledger(run), _planned(run)
        at = _under_way(ledger, names)
        finished = (run / "promises.json").exists()
        done = len(ledger.entries.keys() & names) if names else len(ledger.entries)
        verdicts = answers(run).verdicts if finished else None
        return RunSummary(run, written, done, len(names) if names else None, verdicts, at)
    except (OSError, ValueError) as error:
        return RunSummary(run, written, damage=str(error).removeprefix(f"{run}/"))


def _planned(run: Path) -> list[str]:
    """The stages of a run's spec, in order; none where it is of a version with other knobs."""
    try:
        return [job.name for job in plan(resolved_experiment(run))]
    except ValidationError:
        return []


def _under_way(ledger: Ledger, names: Sequence[str]) -> str:
    """The stage that was begun and is not done; of a run that has not come to its end, else the
    first that is not done."""
    open_names = [name for name, _ in ledger.begun() if name not in ledger.entries]
    if not open_names and not (ledger.run / "promises.json").exists():
        open_names = [name for name in names if name not in ledger.entries]
    return open_names[0] if open_names else ""
