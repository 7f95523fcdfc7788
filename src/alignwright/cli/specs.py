"""Which commands take a spec: do what it says, say what that would take, or check it."""

from __future__ import annotations

from collections.abc import Sequence
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
    files: Annotated[list[str], typer.Argument(help="A spec file (YAML); or data files: paths, or hf://owner/name.")],
    set_: Set = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the rows of training: no tokenizer is loaded.")
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="Of data files: show them as this model reads them, with loss mask and tokens.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--as", help="Of data files: what they are read as, such as pairs; none: what their columns say."),
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="Of data files: a column by our name: question=prompt. May be repeated.")
    ] = None,
) -> None:
    """Check a spec file, all the data it names and the rows that training would see, without
    loading a model. Or check data files without a spec: their format, bad rows, personal data and
    secrets by line, and with --model what would be trained."""
    from alignwright.run import interface

    if not _is_spec(files):
        if set_ or quick:
            raise ValueError(f"{'--set' if set_ else '--quick'} is for a spec, and {files[0]} is a data file")
        _check_data(files, model, kind, column or ())
        return
    for option, value in {"--model": model, "--as": kind, "--column": column}.items():
        if value:
            raise ValueError(f"{option} is for data files, and {files[0]} is a spec, which says so itself")
    interface.check(Path(files[0]), overrides=set_ or (), quick=quick)


def _is_spec(files: Sequence[str]) -> bool:
    """Whatever is named as no data file is a spec, of which one is checked at a time."""
    from alignwright.files.data_file import HUB
    from alignwright.files.rows import KINDS

    data = [name.startswith(HUB) or name.removesuffix(".gz").endswith(KINDS) for name in files]
    if not all(data) and len(files) > 1:
        spec = files[data.index(False)]
        raise ValueError(f"{spec} is no data file ({', '.join(KINDS)}), and a spec is checked by itself")
    return not all(data)


def _check_data(files: Sequence[str], model: str | None, kind: str | None, column: Sequence[str]) -> None:
    from alignwright.files.errors import SpecError
    from alignwright.run import interface

    columns: dict[str, str] = {}
    for pair in column:
        theirs, _, ours = pair.partition("=")
        if not theirs or not ours:
            raise ValueError(f"--column {pair}: write THEIRS=OURS, such as --column question=prompt")
        columns[theirs] = ours
    checks = interface.check_data(*files, model=model, kind=kind, columns=columns)
    if problems := [problem for one in checks for problem in one.problems]:
        raise SpecError(problems)


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
