"""Which commands begin a project, and show what can go wrong in one?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def new(
    name: Annotated[str, typer.Argument(help="The folder to make.")],
    example: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="An example to begin with: quickstart, rlhf, constitutional, dpo, tax_front, goodhart,"
            " goodhart_stopped, or audit, conduct or lens (train nothing).",
        ),
    ] = None,
) -> None:
    """Start a project of your own: a spec, a constitution and data files to edit."""
    from alignwright.report.text import visible
    from alignwright.run.scaffold import scaffold

    print(visible(scaffold(Path(name), example)))


def schema() -> None:
    """Print the JSON Schema of spec files, for editors."""
    import json

    from alignwright.experiment.schema import experiment_schema

    print(json.dumps(experiment_schema(), indent=1))


def worlds(
    out: Annotated[Path, typer.Option(help="The page to write.", dir_okay=False)] = Path("worlds.html"),
    seeds: Annotated[int, typer.Option(help="Learners of each kind, at least 2.", min=2)] = 10,
    only: Annotated[
        list[str] | None,
        typer.Option(help="A world, such as points_loop; several with commas, or given more than once."),
    ] = None,
) -> None:
    """Six small worlds whose reward can be gamed: what learners make of them, with pictures.
    About a minute."""
    from alignwright.run.worlds_study import study

    study(out, seeds, only or ())
