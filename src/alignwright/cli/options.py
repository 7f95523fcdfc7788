"""Which arguments and options do several commands share?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Spec = Annotated[Path, typer.Argument(help="The spec file (YAML).", exists=True, dir_okay=False)]
RunFolder = Annotated[Path, typer.Argument(help="A run folder.", exists=True, file_okay=False)]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="Override a knob: train.1.beta=0.2. May be given more than once.")
]
Runs = Annotated[Path, typer.Option(help="The folder that run folders go into.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print stages, what is cached, tokens, minutes and memory; do nothing.")
]
Probe = Annotated[
    bool, typer.Option("--probe", help="With --dry-run: first measure this machine's speed with the model (a minute).")
]
