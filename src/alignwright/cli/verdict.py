"""How does a command end that answers promises? With the summary of the run, and its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from alignwright.run.run_folder import Run as FinishedRun


def show_verdict(run: FinishedRun) -> None:
    from alignwright.report import summary
    from alignwright.run.console import screen

    screen().print(summary(run.results, run.path))
    raise typer.Exit(run.exit_code)
