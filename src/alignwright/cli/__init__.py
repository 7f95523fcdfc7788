"""The command line: `alignwright align spec.yaml`, and what helps before and after.

Imports happen inside the commands, so that `--help`, `check --quick`, `--dry-run`, `report` and
`diff` never load torch. Exit codes of `align`, `audit` and `report`: 0 every promise kept, 1 one
broken, 3 none broken but one untested. Of every command: 2 the input is wrong, 4 the program failed
or ran out of memory or disk (`run.crash`), 130 it was interrupted.
"""

from __future__ import annotations

from typing import Annotated

import typer

from alignwright.cli import calibration, machine, models, people, projects, runs, specs
from alignwright.core.version import __version__
from alignwright.run.exit_code import run_to_its_end

CODES = """Exit codes of align, audit and report: 0 every promise kept, 1 one broken, 3 none broken but one untested.
Of every command: 2 the input is wrong, 4 the program failed or ran out of memory or disk (the line says where the
traceback lies), 130 interrupted."""
app = typer.Typer(
    help="Align a language model to what you meant, and find out whether it worked.",
    epilog=CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(is_requested: bool) -> None:
    if is_requested:
        print(f"alignwright {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Align a language model to what you meant, and find out whether it worked."""


app.command()(machine.doctor)
app.command()(specs.align)
app.command()(specs.audit)
app.command()(specs.check)
app.command()(calibration.calibrate)
app.command()(runs.report)
app.command("runs")(runs.list_runs)
app.command()(runs.diff)
app.command()(runs.compare)
app.command()(runs.rejudge)
app.command()(runs.front)
app.command()(models.chat)
app.command()(models.serve)
app.command()(runs.export)
app.command()(people.grade)
app.command()(people.label)
app.command()(people.rate)
app.command()(projects.worlds)
app.command()(projects.new)
app.command()(projects.schema)


def main() -> None:
    """Run the command line; whatever goes wrong is one message with its exit code, not a traceback."""
    run_to_its_end(app)
