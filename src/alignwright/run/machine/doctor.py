"""Is this machine ready, and if not, what is to be done? Every part in one table.

Looked at without torch: system, packages, extras, bundled model, processor, memory, folders, server.
Torch is loaded for the accelerator, the precision of training and the compiled kernels (which are
compiled by it, seconds the first time); `quick` leaves these three out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alignwright.core.amount import amount
from alignwright.report.text import one_line
from alignwright.run.console import screen
from alignwright.run.machine import hardware, installation
from alignwright.run.machine.machine_part import MachinePart, MachineReport

SIGNS = {"ok": "✓", "note": "·", "fault": "✕"}


def doctor(
    *,
    endpoint: str | None = None,
    runs: str | os.PathLike[str] = "runs",
    quick: bool = False,
    quiet: bool = False,
) -> MachineReport:
    """Look at this machine: versions, hardware, precision, compiled kernels, disk, the bundled model, extras, and
    with `endpoint` a server, which is asked one short question.

    `quick` leaves out what loads torch. `exit_code` of what is returned is 1 where a part is at fault; each
    fault has its `cure`. Raises nothing for what it finds."""
    report = MachineReport(parts=tuple(_parts(endpoint, Path(runs), quick)))
    if not quiet:
        show(report, screen())
    return report


def show(report: MachineReport, console: Console) -> None:
    """Print the table, then how many faults there are."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", "part", "seen", "what to do"):
        table.add_column(heading, overflow="fold")
    for part in report.parts:
        table.add_row(*(escape(one_line(text)) for text in (SIGNS[part.state], part.part, part.seen, part.cure)))
    console.print(table)
    console.print(amount(len(report.faults), "fault") if report.faults else "no fault", highlight=False)


def _parts(endpoint: str | None, runs: Path, quick: bool) -> Iterator[MachinePart]:
    from alignwright.model.tokenizer import cache_folder

    yield installation.system()
    yield installation.packages()
    yield installation.extras()
    yield installation.bundled_model()
    yield hardware.computer()
    yield hardware.memory()
    yield hardware.folder("cache", cache_folder(), "ALIGNWRIGHT_CACHE")
    yield hardware.folder("runs", runs, "--runs")
    if not quick:
        from alignwright.run.machine.engine import engine

        yield from engine()
    if endpoint is not None:
        from alignwright.run.machine.server import server

        yield server(endpoint)
