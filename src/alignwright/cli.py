"""The command line: `alignwright align spec.yaml`, and what helps before and after.

Imports happen inside the commands, so that `--help`, `check --quick`, `--dry-run`, `report` and
`diff` never load torch. Exit codes of `align`, `audit` and `report`: 0 every promise kept, 1 one
broken, 3 none broken but one untested. Of every command: 2 the input is wrong, 4 the program failed
or ran out of memory or disk (`run.crash`), 130 it was interrupted.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alignwright.core.version import __version__
from alignwright.run.compare_command import compare
from alignwright.run.exit_code import run_to_its_end

if TYPE_CHECKING:
    from alignwright.run.run_folder import Run as FinishedRun

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

Spec = Annotated[Path, typer.Argument(help="The spec file (YAML).", exists=True, dir_okay=False)]
Run = Annotated[Path, typer.Argument(help="A run folder.", exists=True, file_okay=False)]
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
def report(run: Run) -> None:
    """Render a run's report again from its findings, and repeat its verdict."""
    from alignwright.report import render
    from alignwright.run.run_folder import Run as FinishedRun

    render(run)
    _show(FinishedRun(run))


@app.command("runs")
def list_runs(
    folder: Annotated[Path, typer.Argument(help="The folder that run folders go into, or one run.")] = Path("runs"),
) -> None:
    """Which runs there are: when each last wrote, how many stages are done, and what became of its promises."""
    from alignwright.run import interface

    interface.runs(folder)


@app.command()
def diff(a: Run, b: Run) -> None:
    """What differs between two runs: knobs, then findings."""
    from alignwright.run import compare

    compare.show_changes(a, b)


app.command()(compare)


@app.command()
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


@app.command()
def chat(
    run: Annotated[
        str,
        typer.Argument(help="A run folder (its aligned model), any model's name, or a server https://host/v1#name."),
    ],
    seed: Annotated[int, typer.Option(help="Seed of the replies.")] = 0,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
) -> None:
    """Talk to a run's aligned model."""
    from alignwright.run.chat import talk

    talk(run, seed=seed, temperature=temperature)


@app.command()
def serve(
    run: Annotated[str, typer.Argument(help="A run folder (its aligned model), or any model's name.")],
    host: Annotated[str, typer.Option(help="The address to listen at; another than this machine's has no key.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="0 is any free one.", min=0, max=65_535)] = 8000,
    name: Annotated[
        str | None, typer.Option(help="What requests call the model; none: the run's or model's own name.")
    ] = None,
    dtype: Annotated[
        str, typer.Option(help="float32 (as findings are computed), bfloat16, or auto: the faster one here.")
    ] = "auto",
    rows: Annotated[int, typer.Option(help="Replies under way at once.", min=1)] = 64,
    cache_tokens: Annotated[int, typer.Option(help="Tokens that the cache of all replies may hold.", min=64)] = 65_536,
    longest_reply: Annotated[int, typer.Option(help="Tokens of a reply whose request does not say.", min=1)] = 1024,
) -> None:
    """Put a run's aligned model behind an OpenAI-compatible server, for tools that audit over HTTP."""
    from alignwright.run.serve import ServeOptions
    from alignwright.run.serve import serve as run_serve

    run_serve(run, ServeOptions(host, port, name, dtype, rows, cache_tokens, longest_reply))


@app.command()
def export(
    run: Run,
    to: Annotated[str, typer.Option(help="gguf:f16, gguf:bf16 or gguf:q8_0: a file for llama.cpp; inspect: logs.")],
    out: Annotated[Path | None, typer.Option(help="Where to write it; none: under the run's export/.")] = None,
    verify: Annotated[bool, typer.Option(help="Answer the run's promises again on what was written.")] = True,
    engine: Annotated[str, typer.Option(help="What opens it for that: llama.cpp, transformers or auto.")] = "auto",
    spec_folder: Annotated[Path | None, typer.Option(help="Where the spec's data lie, if they have moved.")] = None,
) -> None:
    """Write a run's model for others to serve, its promises answered again (1: one changed), or its numbers as logs."""
    from alignwright.run import interface

    result = interface.export(run, to=to, out=out, verify=verify, engine=engine, spec_folder=spec_folder)
    raise typer.Exit(result.exit_code)


@app.command()
def grade(
    replies: Annotated[
        Path, typer.Argument(help="A file of replies: JSONL, JSON, CSV or Parquet.", exists=True, dir_okay=False)
    ],
    out: Annotated[
        Path | None, typer.Option(help="Write every row with verdict and reason here, as JSON Lines.", dir_okay=False)
    ] = None,
    examples: Annotated[int, typer.Option(help="Examples of each verdict.", min=0)] = 2,
) -> None:
    """Which replies of any log refused, and which did what was asked; and how far the graders are
    right. Loads no model.

    A row has a prompt and a reply (or response, completion, output), or messages that end with the
    assistant's turn; optionally request (the bare one, where the prompt wraps it), topic, and what
    people said: refused, fulfilled (true or false).
    """
    from alignwright.run.console import screen
    from alignwright.run.grade import grade as graded
    from alignwright.run.grade import show, write

    log = graded(replies)
    if out is not None:
        write(log, out)
    show(log, screen(), examples)
    if out is not None:
        print(f"every row with verdict and reason: {out}")


@app.command()
def label(
    run: Run,
    out: Annotated[Path, typer.Option(help="The file to write; it must not be there yet.", dir_okay=False)] = Path(
        "labels.jsonl"
    ),
    each: Annotated[int, typer.Option(help="Replies drawn for each claim.", min=1)] = 40,
    claim: Annotated[
        str | None, typer.Option(help="Only for this claim: value.refusal, value.over_refusal or attack.success.")
    ] = None,
    stage: Annotated[str | None, typer.Option(help="Replies of the model after this stage; none: of the last.")] = None,
) -> None:
    """Draw replies of a run at random, to be labelled by people: true or false under refused or
    fulfilled."""
    from alignwright.report.text import visible
    from alignwright.run.sample_replies import draw

    for line in draw(run, out, each=each, claim=claim, stage=stage):
        print(visible(line))
    print(
        f"write true or false under 'refused' or 'fulfilled' in {out}, name it under 'labels:' in the spec, and run"
        " align again"
    )


@app.command()
def rate(
    source: Annotated[Path, typer.Argument(help="A run folder, a file of pairs, or one of 'label'.", exists=True)],
    rater: Annotated[str, typer.Option(help="Who answers: a name or number.")],
    group: Annotated[str, typer.Option(help="The rater's group.")] = "",
    out: Annotated[Path | None, typer.Option(help="The file of votes; none: votes.jsonl.", dir_okay=False)] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many questions now.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Seed of order and sides.")] = 0,
) -> None:
    """Which of two replies is better (or: which labels are missing)? Asks a person, blind; run it again to go on."""
    from alignwright.run.rate import rate_in_terminal

    rate_in_terminal(source, out, rater=rater, group=group, seed=seed, limit=limit)


@app.command()
def worlds(
    out: Annotated[Path, typer.Option(help="The page to write.", dir_okay=False)] = Path("worlds.html"),
    seeds: Annotated[int, typer.Option(help="Learners of each kind, at least 2.", min=2)] = 10,
    only: Annotated[
        list[str] | None,
        typer.Option(help="A world, such as points_loop; several with commas, or given more than once."),
    ] = None,
) -> None:
    """Five small worlds whose reward can be gamed: what learners make of them, with pictures.
    About a minute."""
    from alignwright.run.worlds_study import study

    study(out, seeds, only or ())


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The folder to make.")],
    example: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="An example to begin with: quickstart, rlhf, constitutional, dpo, tax_front, goodhart,"
            " goodhart_stopped, or audit (trains nothing).",
        ),
    ] = None,
) -> None:
    """Start a project of your own: a spec, a constitution and data files to edit."""
    from alignwright.report.text import visible
    from alignwright.run.scaffold import scaffold

    print(visible(scaffold(Path(name), example)))


@app.command()
def schema() -> None:
    """Print the JSON Schema of spec files, for editors."""
    import json

    from alignwright.experiment.schema import experiment_schema

    print(json.dumps(experiment_schema(), indent=1))


def main() -> None:
    """Run the command line; whatever goes wrong is one message with its exit code, not a traceback."""
    run_to_its_end(app)


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
        _show(interface.audit(spec, model=audit, overrides=overrides, runs=runs))
    else:
        _show(interface.align(spec, overrides=overrides, until=until, runs=runs))


def _show(run: FinishedRun) -> None:
    from alignwright.report import summary
    from alignwright.run.console import screen

    screen().print(summary(run.results, run.path))
    raise typer.Exit(run.exit_code)
