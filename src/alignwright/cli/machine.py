"""Which command looks at the machine?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alignwright.cli.options import Runs


def doctor(
    endpoint: Annotated[
        str | None, typer.Option(help="A server, https://host/v1#name, to put one short question to.")
    ] = None,
    runs: Runs = Path("runs"),
    quick: Annotated[bool, typer.Option("--quick", help="Leave out what loads torch.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print what was seen as one JSON object.")] = False,
) -> None:
    """Is this machine ready? Versions, hardware, precision, kernels, disk, model, extras, a server; 1 where a
    part is at fault, with what to do."""
    from alignwright.run.machine.doctor import doctor as look

    report = look(endpoint=endpoint, runs=runs, quick=quick, quiet=json_)
    if json_:
        print(report.model_dump_json())
    raise typer.Exit(report.exit_code)
