"""Which options has the command `compare`? Those of `run.interface.compare`, and `--json`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    a: Annotated[Path, typer.Argument(help="A run folder, a log of Inspect (.eval, .json), or lm-eval's samples.")],
    b: Annotated[Path, typer.Argument(help="Another of the same kind.")],
    margin: Annotated[
        float | None, typer.Option(help="A fall beyond this, in the claim's own unit, is held against B: 1, 3 or 0.")
    ] = None,
    claim: Annotated[list[str] | None, typer.Option(help="Only this claim; may be given more than once.")] = None,
    lower: Annotated[list[str] | None, typer.Option(help="A claim of which less is better.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the comparison as one JSON object.")] = False,
) -> None:
    """Is B worse than A on the same items, and on which? Paired, with intervals; with a margin it
    ends with 0 (no fall beyond it), 1 (one is shown) or 3 (undecided)."""
    from alignwright.run import interface

    comparison = interface.compare(a, b, margin=margin, claims=claim or (), lower=lower or (), quiet=json_)
    if json_:
        print(comparison.model_dump_json())
    raise typer.Exit(comparison.exit_code)
