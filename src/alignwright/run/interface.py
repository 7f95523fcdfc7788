"""How do a program, a notebook and the command line ask for a check, a run, an audit or an estimate?

By the same four functions: the commands of `alignwright.cli` are these with options, and `import
alignwright` offers them by name. Each prints what the command prints unless it is told to be quiet,
raises what is wrong in words for a person, never ends the process, and returns records. A spec is a
path, or a mapping whose paths are read from the working directory. Torch is loaded when something
has to be computed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignwright.experiment.spec_source import SpecSource
from alignwright.files.collector import paused

if TYPE_CHECKING:
    from rich.console import Console

    from alignwright.files.rows import BadRow
    from alignwright.run.comparison.log_comparison import LogComparison
    from alignwright.run.data_check import DataCheck
    from alignwright.run.doctor import Examination
    from alignwright.run.estimate import RunEstimate
    from alignwright.run.export.export import Export
    from alignwright.run.rejudge.rejudge import Rejudged
    from alignwright.run.run_folder import Run
    from alignwright.run.run_list import RunSummary

Overrides = Mapping[str, Any] | Sequence[str]
"""Knobs that win over the spec: {"train.1.beta": 0.2}, or ["train.1.beta=0.2"] as on the command line."""


@dataclass(frozen=True)
class SpecCheck:
    """A spec that holds together, and what the check has to say of it."""

    lines: tuple[str, ...]
    """The model, each data file with its rows, the stages, claims and promises, a line each."""
    rejected: tuple[BadRow, ...]
    """Bad rows that were set aside, as `intent.bad_rows` allows."""
    examinations: tuple[Examination, ...] = ()
    """What the data doctor says of each training stage; none with `quick`."""


def check(spec: SpecSource, *, overrides: Overrides = (), quick: bool = False, quiet: bool = False) -> SpecCheck:
    """Check a spec, all the data that it names, and the rows that training would see.

    `quick` leaves out the rows of training, so that no tokenizer is loaded. Raises SpecError with
    everything that is wrong, a problem a line, each with file and line; ModelError where the
    model's name leads nowhere; ValueError where the data would not teach what was meant.
    """
    from alignwright.experiment.check import check as check_spec
    from alignwright.run.named_files import check_named_files

    report, console = check_spec(spec, settings(overrides)), _console(quiet)
    check_named_files(report.experiment)
    _say(console, *report.lines)
    if quick:
        return SpecCheck(report.lines, report.rejected)
    from alignwright.run.model_check import check_fit

    if note := check_fit(report.experiment, report.files):
        _say(console, note)
    lines = (*report.lines, note) if note else report.lines
    if not report.experiment.train:
        return SpecCheck(lines, report.rejected)
    from alignwright.run.doctor import examine, tell

    examinations = examine(report.experiment)
    tell(examinations, console)
    return SpecCheck(lines, report.rejected, tuple(examinations))


def check_data(
    *files: str | os.PathLike[str] | Mapping[str, Any],
    model: str | os.PathLike[str] | None = None,
    kind: str | None = None,
    columns: Mapping[str, str] | None = None,
    quiet: bool = False,
) -> tuple[DataCheck, ...]:
    """Look at data files without a spec: the format that is found, bad rows, personal data and
    secrets by line; with a `model` also the rows that training would see, and their tokens.

    A file is a path, `hf://owner/name`, or a mapping as in a spec. `kind` says what all are read
    as, `columns` what their columns are called here (theirs: ours). What is wrong with a file's rows
    is in the result (`problems`); raises SpecError where a file cannot be read at all.
    """
    from alignwright.files.data_file import as_names, data_file
    from alignwright.run.data_check import check_file, tell

    if not files:
        raise TypeError("check_data needs a file")
    names = as_names([one if isinstance(one, Mapping) else os.fspath(one) for one in files])
    sources = [data_file(name) for name in names]
    if columns:
        sources = [source.model_copy(update={"columns": {**source.columns, **columns}}) for source in sources]
    tokenizer = None
    if model is not None:
        from alignwright.files.models import resolve
        from alignwright.model.tokenizer import TokenizerMissing, load_tokenizer

        try:
            tokenizer = load_tokenizer(resolve(os.fspath(model)))
        except TokenizerMissing as reason:
            raise ValueError(f"--model: {reason}; without it format, rows and personal data are looked at") from None
    checks = tuple(check_file(source, tokenizer, kind) for source in sources)
    tell(checks, _console(quiet))
    return checks


def align(
    spec: SpecSource,
    *,
    overrides: Overrides = (),
    until: str | None = None,
    runs: str | os.PathLike[str] = "runs",
    quiet: bool = False,
) -> Run:
    """Align the model, measure it before and after each stage, answer the promises, write the report.

    What was done before, in this run or in another in `runs`, is not done again: the same call
    resumes a run that was stopped. `until` ends it after a stage, such as "train.0.sft". A spec with
    `seeds` or a `grid` is several runs, and what is returned tells of them all. Raises SpecError
    where the spec or its data are wrong, RuntimeError where another process works in the same run,
    and OSError where the disk is full.
    """
    return _perform(spec, overrides, until, runs, None, quiet)


def audit(
    spec: SpecSource,
    *,
    model: str | os.PathLike[str],
    overrides: Overrides = (),
    runs: str | os.PathLike[str] = "runs",
    quiet: bool = False,
) -> Run:
    """Measure and attack another model with the spec's questions; train nothing.

    `model` is a name as in a spec: a folder, a .gguf file, a Hub id, the bundled model, or one behind
    a server, https://host/v1#name. Only levels can be answered: a promise on a gain is untested, and
    so is what a server does not give. Raises as `align`.
    """
    return _perform(spec, overrides, None, runs, os.fspath(model), quiet)


def estimate(
    spec: SpecSource,
    *,
    model: str | os.PathLike[str] | None = None,
    overrides: Overrides = (),
    until: str | None = None,
    runs: str | os.PathLike[str] = "runs",
    probe: bool = False,
    quiet: bool = False,
) -> RunEstimate:
    """What a run (or, with `model`, an audit of it) would do, without doing it: stages, what is done
    already, tokens, minutes, memory in GB.

    `probe` measures this machine's speed with the model first, about a minute. Raises SpecError
    where the spec is wrong.
    """
    with paused():
        from alignwright.run.align import Request
        from alignwright.run.progress import show_estimate
        from alignwright.run.sweep.estimate import estimate_all

    audited = None if model is None else os.fspath(model)
    estimated = estimate_all(Request(spec, settings(overrides), until, Path(runs), audited), probed=probe)
    show_estimate(estimated, _console(quiet))
    return estimated


def runs(folder: str | os.PathLike[str] = "runs", *, quiet: bool = False) -> list[RunSummary]:
    """The runs in a folder, the newest first: how many stages each has done, and the answer to each
    promise, or where it stands. Raises FileNotFoundError where there is no such folder."""
    from alignwright.run.run_list import run_list, show_runs

    summaries = run_list(Path(folder))
    show_runs(summaries, Path(folder), _console(quiet))
    return summaries


def render_report(run: str | os.PathLike[str], *, quiet: bool = False) -> Run:
    """Render the report of a run's folder again; or of a bundle that `export` wrote, which is checked and laid
    into a folder beside it. Raises ValueError where a file of a bundle is changed, missing, added, or in none."""
    from alignwright.report import render
    from alignwright.run.export.bundle_reader import open_bundle
    from alignwright.run.run_folder import Run

    bundle = open_bundle(Path(run)) if Path(run).is_file() else None
    _say(_console(quiet), *(bundle.lines if bundle else ()))
    folder = bundle.run if bundle else Path(run)
    render(folder)
    return Run(folder)


def compare(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str],
    *,
    spec: SpecSource | None = None,
    overrides: Overrides = (),
    runs: str | os.PathLike[str] = "runs",
    margin: float | None = None,
    claims: Sequence[str] = (),
    lower: Sequence[str] = (),
    quiet: bool = False,
) -> LogComparison:
    """Compare two models, two runs, two logs of Inspect or two of lm-eval's sample files, item by item.

    A model is what `audit` takes; the questions of `spec` are put to it (`overrides` and `runs` as there),
    and an audit that was done before is not done again.

    Each claim's change, B minus A, has a paired interval, a p adjusted by Holm, and the items on
    which B is worse. With a `margin`, in the claim's own unit, each claim's `answer` says whether a
    fall beyond it is ruled out, and `exit_code` is 1, 3 or 0 as of promises. `claims` keeps these
    alone; of `lower` less is better, where the log does not say so. Raises FileNotFoundError, or
    ValueError with file and line where a log cannot be read, nothing is paired, or a model comes
    without a spec; and as `audit`.
    """
    with paused():
        from alignwright.run.comparison.paired import compare_logs, margin_of
        from alignwright.run.comparison.sides import Questions, scores_of_both
        from alignwright.run.comparison.table import show
        from alignwright.run.progress import View

    console = _console(quiet)
    if spec is None and overrides:
        raise ValueError("overrides have no effect without a spec: logs are compared as they are")
    questions = None if spec is None else Questions(spec, settings(overrides), Path(runs), View(console))
    margin = margin_of(margin)  # before minutes of audits
    one, two = scores_of_both(os.fspath(a), os.fspath(b), questions)
    with paused():
        comparison = compare_logs(one, two, margin=margin, claims=claims, lower=lower)
    show(comparison, console)
    return comparison


def rejudge(
    attacks: str | os.PathLike[str],
    *,
    judge: str,
    bar: float = 0.5,
    labels: Sequence[str | os.PathLike[str]] = (),
    out: str | os.PathLike[str] | None = None,
    quiet: bool = False,
) -> Rejudged:
    """Grade stored attacks again, those of a run's folder or of an attacks.jsonl, without asking the model
    that was attacked.

    `judge` is "rules", a YAML file of checks, file.py:function, the folder of a reward model, a model or a
    server; `bar` is the score from which on a scorer of replies says yes. A model is checked first, on replies
    of our own and on `labels`. Returns the rates and their paired differences to the stored ones. Raises
    ValueError for a judge that is the model itself, and where nothing is stored."""
    with paused():
        from alignwright.run.rejudge.rejudge import rejudge as run_rejudge
        from alignwright.run.rejudge.table import show as show_rejudged

    result = run_rejudge(Path(attacks), judge, bar=bar, labels=[*map(Path, labels)], out=Path(out) if out else None)
    show_rejudged(result, _console(quiet))
    return result


def export(
    run: str | os.PathLike[str],
    *,
    to: str,
    out: str | os.PathLike[str] | None = None,
    verify: bool = True,
    engine: str = "auto",
    ask: str = "promised",
    spec_folder: str | os.PathLike[str] | None = None,
    repo: str | None = None,
    dry_run: bool = False,
    quiet: bool = False,
) -> Export:
    """Write a run's model in the form that others serve: "gguf:f16", "gguf:bf16", "gguf:q8_0", "ollama",
    "peft" for its adapter, "hub" for a repository's folder; or its numbers as Inspect's logs, "inspect",
    as records of Every Eval Ever, "eee", or as a zip that `report` checks and opens elsewhere, "bundle".

    `verify` opens the file again (`engine`: "llama.cpp", "transformers", or "auto", which takes the
    first that is installed) and answers the run's promises anew, by the questions that they rest on or,
    with `ask="all"`, by every one; `exit_code` of what is returned is 1 where one changed its verdict.
    "hub" uploads to `repo` where one is named, with the token of `hf auth login`; `dry_run` says what
    would go. Raises ValueError for what cannot be written so, and FileNotFoundError where the run has no
    model.
    """
    with paused():
        from alignwright.run.export.export import export as run_export
        from alignwright.run.progress import View
        from alignwright.run.sweep.members import check_one_run

    console = _console(quiet)
    places = {"out": Path(out) if out else None, "spec_folder": Path(spec_folder) if spec_folder else None}
    check_one_run(Path(run))
    result = run_export(
        Path(run), to, View(console), verify=verify, engine=engine, ask=ask, repo=repo, dry_run=dry_run, **places
    )
    _say(console, *result.lines)
    return result


def _perform(
    spec: SpecSource,
    overrides: Overrides,
    until: str | None,
    runs: str | os.PathLike[str],
    model: str | None,
    quiet: bool,
) -> Run:
    with paused():
        from alignwright.run.align import Request
        from alignwright.run.progress import View
        from alignwright.run.run_folder import Run
        from alignwright.run.sweep.align import align_all

    return Run(align_all(Request(spec, settings(overrides), until, Path(runs), model), View(_console(quiet))))


def settings(overrides: Overrides) -> tuple[str, ...]:
    """Overrides as the command line writes them: PATH=VALUE, the value as YAML."""
    if isinstance(overrides, Mapping):
        return tuple(f"{path}={json.dumps(value)}" for path, value in overrides.items())
    if isinstance(overrides, str):
        raise TypeError(f"overrides are a mapping or a list of PATH=VALUE, not the text {overrides!r}")
    return tuple(overrides)


def _console(quiet: bool) -> Console:
    from alignwright.run.console import screen

    console = screen()
    console.quiet = quiet
    return console


def _say(console: Console, *lines: str) -> None:
    from alignwright.report.text import visible

    for line in lines:
        console.print(visible(line), markup=False, highlight=False, soft_wrap=True)
