"""Which commands read what runs have left: reports, tables, comparisons, exports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alignwright.cli.options import RunFolder, Runs, Set
from alignwright.cli.verdict import show_verdict


def report(
    run: Annotated[Path, typer.Argument(help="A run folder, or an audit bundle (.zip).", exists=True)],
) -> None:
    """Render a run's report again from its findings, and repeat its verdict; of a bundle, check every file of it
    first."""
    from alignwright.run import interface

    show_verdict(interface.render_report(run))


def list_runs(
    folder: Annotated[Path, typer.Argument(help="The folder that run folders go into, or one run.")] = Path("runs"),
) -> None:
    """Which runs there are: when each last wrote, how many stages are done, and what became of its promises."""
    from alignwright.run import interface

    interface.runs(folder)


def diff(a: RunFolder, b: RunFolder) -> None:
    """What differs between two runs: knobs, then findings."""
    from alignwright.run import compare

    compare.show_changes(a, b)


def compare(
    a: Annotated[
        str, typer.Argument(help="A run folder, a log of Inspect (.eval, .json), lm-eval's samples, or a model.")
    ],
    b: Annotated[str, typer.Argument(help="Another of the same kind.")],
    spec: Annotated[
        Path | None, typer.Option(help="Of models: the spec whose questions are put to both.", exists=True)
    ] = None,
    set_: Set = None,
    runs: Runs = Path("runs"),
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

    comparison = interface.compare(
        a, b, spec=spec, overrides=set_ or (), runs=runs, margin=margin, claims=claim or (), lower=lower or (),
        quiet=json_,
    )  # fmt: skip
    if json_:
        print(comparison.model_dump_json())
    raise typer.Exit(comparison.exit_code)


def rejudge(
    attacks: Annotated[Path, typer.Argument(help="A run folder, or an attacks.jsonl.", exists=True)],
    judge: Annotated[
        str,
        typer.Option(help="rules, checks.yaml, file.py:function, a reward model's folder, a model, or a server."),
    ],
    bar: Annotated[float, typer.Option(help="The score from which on a scorer of replies says yes.")] = 0.5,
    labels: Annotated[
        list[Path] | None, typer.Option(help="Labelled replies ('fulfilled') on which a model that judges is checked.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write; none: under the run's rejudged/.")] = None,
) -> None:
    """Grade a run's attacks again by another judge, without asking the model: rates and paired differences."""
    from alignwright.run import interface

    interface.rejudge(attacks, judge=judge, bar=bar, labels=labels or (), out=out)


def front(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.", exists=True, file_okay=False)],
    gain: Annotated[str | None, typer.Option(help="The claim that was to be gained, such as value.pairs.")] = None,
    tax: Annotated[str | None, typer.Option(help="The claim that was paid with, such as tax.bits_per_byte.")] = None,
    margin: Annotated[
        float | None,
        typer.Option(help="The cost that is to be ruled out, in the tax's own unit; none: as the runs state it."),
    ] = None,
) -> None:
    """Which trained model gives the most for the least: gain against cost, over one run or several."""
    from alignwright.run import pareto_table

    pareto_table.show(runs, gain, tax, margin)


def export(
    run: RunFolder,
    to: Annotated[
        str, typer.Option(help="gguf:f16, gguf:bf16, gguf:q8_0, ollama, peft, hub; its numbers: inspect, eee, bundle.")
    ],
    out: Annotated[Path | None, typer.Option(help="Where to write it; none: under the run's export/.")] = None,
    verify: Annotated[bool, typer.Option(help="Answer the run's promises again on what was written.")] = True,
    engine: Annotated[str, typer.Option(help="What opens it for that: llama.cpp, transformers or auto.")] = "auto",
    ask: Annotated[str, typer.Option(help="Which questions for that: promised or all.")] = "promised",
    spec_folder: Annotated[Path | None, typer.Option(help="Where the spec's data lie, if they have moved.")] = None,
    repo: Annotated[str | None, typer.Option(help="With --to hub: the repository to upload to, owner/name.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --to hub: say what would be uploaded.")] = False,
) -> None:
    """Write a run's model for others to serve, its promises answered again (1: one changed), or its numbers as logs."""
    from alignwright.run import interface

    result = interface.export(
        run,
        to=to,
        out=out,
        verify=verify,
        engine=engine,
        ask=ask,
        spec_folder=spec_folder,
        repo=repo,
        dry_run=dry_run,
    )
    raise typer.Exit(result.exit_code)
