"""Which runs lie in a folder, how far did each get, and what became of its promises?

A run is known by the files that it keeps: `spec/` from its first second, `ledger.json` from its
first finished stage, `promises.json` once it came to its end. Nothing is measured, and no file of
a stage is read: whether what a stage left is still whole, `align` and `--dry-run` say. A folder
whose files cannot be read is told in one line among the others. The runs of a sweep come after it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from alignwright.core.promises import Verdict
from alignwright.experiment.plan import plan
from alignwright.job.ledger import Ledger
from alignwright.report.results import answers
from alignwright.report.text import one_line
from alignwright.run.run_folder import OtherVersion, resolved_experiment
from alignwright.run.sweep.members import Members, members_of

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
    runs: int = 0
    """Of a sweep: how many runs it is; `done` and `planned` count these."""
    sweep: str = ""
    """The folder's name of the sweep that it is a run of, and what is its own there."""
    own: str = ""

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
        raise FileNotFoundError(
            f"{folder}: no such folder, so no run was made here; name the folder that holds run folders"
        )
    places = [folder] if _is_run(folder) else [path for path in sorted(folder.iterdir()) if _is_run(path)]
    return _by_sweep(sorted(map(_summary, places), key=lambda run: -run.written))


def _by_sweep(runs: Sequence[RunSummary]) -> list[RunSummary]:
    """The same runs, those of a sweep after it, in its order; a grid goes before the sweeps over
    seeds that are its points."""
    by_name = {run.path.name: run for run in runs}
    members = {run.path.name: _members(run) for run in runs}
    over_seeds = {name for own in members.values() for name, _ in own if members.get(name)}
    order: dict[str, RunSummary] = {}

    def place(run: RunSummary, sweep: str, own: str) -> None:
        if run.path.name in order:
            return
        order[run.path.name] = replace(run, sweep=sweep, own=own)
        for name, words in members[run.path.name]:
            if name in by_name:
                place(by_name[name], run.path.name, words)

    sweeps = [run for run in runs if members[run.path.name]]
    heads = {run.path.name for run in sweeps if run.path.name not in over_seeds}
    owned = {name for own in members.values() for name, _ in own}
    for run in runs:
        if run.path.name in heads or run.path.name not in owned:
            place(run, "", "")
    return list(order.values())


def _members(run: RunSummary) -> list[tuple[str, str]]:
    """The folders of a sweep's runs, each with what is its own."""
    try:
        members = members_of(run.path)
    except (OSError, ValueError):
        return []
    return [(member.folder, member.words) for member in members.runs] if members else []


def show_runs(runs: Sequence[RunSummary], folder: Path, console: Console) -> None:
    """A line a run, and beneath it a line a promise."""
    if not runs:
        console.print(f"no run in {one_line(str(folder))}", markup=False, highlight=False)
        return
    now, table = time.time(), Table(box=None, pad_edge=False)
    depth: dict[str, int] = {}
    for heading in ("run", "last written", "stages", "promises"):
        table.add_column(heading, overflow="fold")
    for run in runs:
        of = "" if run.planned is None else f" of {run.planned}"
        depth[run.path.name] = depth.get(run.sweep, -1) + 1 if run.sweep else 0
        name = "· " * depth[run.path.name] + (run.path.name or str(run.path)) + (f" ({run.own})" if run.own else "")
        cells = (name, age(now - run.written), f"{run.done}{of}{' runs' * bool(run.runs)}", run.outcome)
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
        if (members := members_of(run)) is not None:
            return _sweep(run, members, written)
        ledger, names = Ledger(run), _planned(run)
        at = _under_way(ledger, names)
        finished = (run / "promises.json").exists()
        done = len(ledger.entries.keys() & names) if names else len(ledger.entries)
        verdicts = answers(run).verdicts if finished else None
        return RunSummary(run, written, done, len(names) if names else None, verdicts, at)
    except (OSError, ValueError) as error:
        return RunSummary(run, written, damage=str(error).removeprefix(f"{run}/"))


def _sweep(run: Path, members: Members, written: float) -> RunSummary:
    """A sweep: how many of its runs came to their end."""
    open_runs = [member for member in members.runs if not (run.parent / member.folder / "promises.json").exists()]
    verdicts = answers(run).verdicts if (run / "promises.json").exists() else None
    at, count = open_runs[0].words if open_runs else "", len(members.runs)
    return RunSummary(run, written, count - len(open_runs), count, verdicts, at, runs=count)


def _planned(run: Path) -> list[str]:
    """The stages of a run's spec, in order; none where it is of a version with other knobs."""
    try:
        return [job.name for job in plan(resolved_experiment(run))]
    except OtherVersion:
        return []


def _under_way(ledger: Ledger, names: Sequence[str]) -> str:
    """The stage that was begun and is not done; of a run that has not come to its end, else the
    first that is not done."""
    open_names = [name for name, _ in ledger.begun() if name not in ledger.entries]
    if not open_names and not (ledger.run / "promises.json").exists():
        open_names = [name for name in names if name not in ledger.entries]
    return open_names[0] if open_names else ""
