"""Which commands take a spec: do what it says, say what that would take, or check it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alignwright.cli.options import DryRun, Probe, Runs, Set, Spec
from alignwright.cli.verdict import show_verdict


def align(
    spec: Spec,
    dry_run: DryRun = False,
    probe: Probe = False,
    until: Annotated[str | None, typer.Option(help="Stop after this stage, such as train.0.sft.")] = None,
    set_: Set = None,
    runs: Runs = Path("runs"),
) -> None:
    """Align the model, measure it before and after, and answer the promises. Run it again to resume."""
    _perform(spec, set_, until, runs, None, dry_run, probe)


def audit(
    spec: Spec,
    model: Annotated[
        str,
        typer.Option(help="The model to measure: a name, folder, .gguf file, Hub id or server https://host/v1#name."),
    ],
    dry_run: DryRun = False,
    probe: Probe = False,
    set_: Set = None,
    runs: Runs = Path("runs"),
) -> None:
    """Measure and attack another model with the spec's questions; train nothing."""
    _perform(spec, set_, None, runs, model, dry_run, probe)


def check(
    spec: Spec,
    set_: Set = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the rows of training: no tokenizer is loaded.")
    ] = False,
) -> None:
    """Check a spec file, all the data it names and the rows that training would see, without
    loading a model."""
    from alignwright.run import interface

    interface.check(spec, overrides=set_ or (), quick=quick)


def _perform(
    spec: Path, set_: list[str] | None, until: str | None, runs: Path, audit: str | None, dry_run: bool, probe: bool
) -> None:
    from alignwright.run import interface

    if probe and not dry_run:
        raise ValueError("--probe has no effect without --dry-run: a run measures itself")
    overrides = set_ or ()
    if dry_run:
        interface.estimate(spec, model=audit, overrides=overrides, until=until, runs=runs, probe=probe)
    elif audit is not None:
        show_verdict(interface.audit(spec, model=audit, overrides=overrides, runs=runs))
    else:
        show_verdict(interface.align(spec, overrides=overrides, until=until, runs=runs))
