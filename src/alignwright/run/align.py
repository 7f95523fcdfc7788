"""How does a spec file become an aligned model and a report?

Plan the jobs, skip those the ledger knows, run the rest, draw the findings, answer the promises,
write the report. Nothing about the run lives outside its folder, so running the same command again
resumes it, wherever it was killed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignwright.core.amount import amount
from alignwright.core.promises import Header, PromiseReport, Verdict
from alignwright.core.records import content_id
from alignwright.core.stage import written_knobs
from alignwright.experiment.cache_key import job_keys, start_fingerprint
from alignwright.experiment.check import CheckReport, check, unused_chat
from alignwright.experiment.experiment import Experiment, claims_of, model_stages, resolve_effort
from alignwright.experiment.labels import labels
from alignwright.experiment.load import load
from alignwright.experiment.plan import jobs_until, plan
from alignwright.experiment.spec_source import SpecSource, spec_text
from alignwright.files import collector
from alignwright.files.models import resolve
from alignwright.files.quantization import in_4_bits
from alignwright.files.server import is_server
from alignwright.files.sources import write_rejected
from alignwright.job.job import Job, stage_name
from alignwright.job.ledger import Ledger, run_lock, write_json, write_text
from alignwright.run import disk_space
from alignwright.run.crash import within
from alignwright.run.estimate import RunEstimate, estimate_jobs, learn_rates
from alignwright.run.mirror.beside import mirrors
from alignwright.run.named_files import check_named_files
from alignwright.run.power import power_of
from alignwright.run.progress import View
from alignwright.run.rates import rates_of, store_rates
from alignwright.run.run_path import run_path, spec_place
from alignwright.run.saved_models import keep_models, reason_to_skip
from alignwright.run.served import server_facts
from alignwright.run.steered import start_facts
from alignwright.run.threads import set_num_threads
from alignwright.run.token_counts import lengths_of

if TYPE_CHECKING:
    from alignwright.job.model_store import ModelStore


@dataclass(frozen=True)
class Request:
    """What was asked for, on the command line or in a program."""

    spec: SpecSource
    overrides: tuple[str, ...] = ()
    until: str | None = None
    runs: Path = Path("runs")
    audit: str | None = None
    """Only measure and attack this model; train nothing."""


def prepare(request: Request, experiment: Experiment | None = None) -> tuple[Experiment, tuple[Job, ...], Path]:
    """The resolved experiment, its jobs up to `until`, and its run folder. Imports no torch,
    and settles how many threads it will take. `experiment`: the spec as it was read before."""
    experiment = experiment or load(request.spec, request.overrides, _audited(request))
    check_named_files(experiment)
    if (audited := _audited(request)) is not None:
        experiment = only_audit(experiment, audited)
    experiment = resolve_effort(experiment)
    set_num_threads(experiment)
    jobs = plan(experiment)
    if request.until is not None:
        jobs = jobs_until(jobs, request.until)
    return experiment, jobs, run_path(request.runs, experiment)


def estimate(request: Request, *, probed: bool = False, known: set[tuple[str, str]] | None = None) -> RunEstimate:
    """What the run would do and cost, without doing it; `probed`: the machine's rates are measured
    first, which loads the model. `known`: stages by name and key that a run before this one has, and
    that cost nothing here; this run's are added."""
    experiment, jobs, folder = prepare(request)
    if probed:
        from alignwright.run.probe import probe

        if is_server(experiment.model):
            raise ValueError("--probe measures this machine with the model, and the model is behind a server")
        model = start_fingerprint(experiment)
        store_rates(model, probe(experiment, rates_of(model)))
    keys = job_keys(experiment, jobs)
    new = [job for job in jobs if known is None or (job.name, keys[job.name].key) not in known]
    powers = () if known or request.until else power_of(experiment)  # of the first of several runs
    if known is not None:
        known |= {(job.name, keys[job.name].key) for job in jobs}
    estimated = estimate_jobs(experiment, new, keys, Ledger(folder), lengths_of(experiment))
    return replace(estimated, powers=powers)


def align(request: Request, view: View) -> Path:
    """Run what has to be run and write the report; returns the run folder."""
    with collector.paused(), view.job("reading the spec and its data"):
        checked = check(request.spec, request.overrides, _audited(request))
        experiment, jobs, folder = prepare(request, checked.experiment)
    threads = set_num_threads()
    with run_lock(folder), within(folder):
        hands = amount(threads, "thread")
        view.say(f"{experiment.name}: {amount(len(jobs), 'stage')} into {folder} ({hands})")
        if is_server(experiment.model) and (chat := checked.experiment.chat):
            view.say(unused_chat(chat))
        without = _write_spec(experiment, request, folder, threads)
        if without:
            view.say(
                f"no compiled kernels, so training and sampling on a processor take up to 1.5 times as long: {without}"
            )
        if checked.rejected:
            write_rejected(folder / "rejected.jsonl", checked.rejected)
            view.say(
                f"{len(checked.rejected)} bad rows set aside in {folder / 'rejected.jsonl'}, as intent.bad_rows allows"
            )
        if not (folder / "promises.json").exists():
            with collector.paused(), view.job("fitting the data to the model"):
                _fits(experiment, checked, view)
        ledger = Ledger(folder)
        try:
            with mirrors(experiment, folder, view):
                durations, dropped = run_jobs(experiment, jobs, ledger, view)
        except Exception as error:
            if not disk_space.is_full(error):
                raise
            open_jobs = [job for job in jobs if job.name not in ledger.entries]
            raise disk_space.DiskFull(disk_space.out_of_space_message(experiment, open_jobs, folder)) from error
        finished = [job for job in jobs if job.name not in dropped]
        with collector.paused(), view.job("findings, verdicts and report"):
            served = server_facts(experiment, folder)
            conclude(experiment, finished, folder, ledger, served, whole=jobs == plan(experiment))
        for name, fact in served.items():
            view.say(f"{name}: {fact}")
        if durations:
            learn_rates(experiment, durations)
    return folder


def _fits(experiment: Experiment, checked: CheckReport, view: View) -> None:
    """What would stop the run halfway stops it here, with file and row."""
    from alignwright.run.model_check import check_fit

    model = resolve(experiment.model, experiment.folder)
    if model.path is not None and model.path.is_file():
        from alignwright.model.load import (
            dequantised,
        )  # the run needs it in any case, and its tokenizer opens faster from there

        dequantised(model.path)
    if note := check_fit(experiment, checked.files):
        view.say(note)


def conclude(
    experiment: Experiment,
    jobs: Sequence[Job],
    folder: Path,
    ledger: Ledger,
    served: Mapping[str, str],
    *,
    whole: bool,
) -> None:
    """Findings from the jobs' stored outcomes, verdicts from the findings, the report from both.
    `served`: what there is to say of the server behind which the model is."""
    from alignwright.core.promises import answer, parse
    from alignwright.report import render
    from alignwright.run.attacks import write_attacks
    from alignwright.run.findings import findings_of
    from alignwright.run.sections import sections_of

    folders = {job.name: folder / ledger.entries[job.name].folder for job in jobs}
    findings = findings_of(experiment, [(job, folders[job.name]) for job in jobs])
    if whole:
        verdicts = tuple(answer(parse(text), findings, model_stages(experiment)) for text in experiment.promises)
    else:
        reason = "the run was stopped before its end (--until), so nothing final was measured"
        verdicts = tuple(Verdict(promise=text, answer="untested", reason=reason) for text in experiment.promises)
    write_text(folder / "findings.jsonl", "".join(f.model_dump_json() + "\n" for f in findings))
    write_attacks(folder, folders.values())
    model_names = [
        stage
        for stage in model_stages(experiment)
        if stage == "baseline" or not whole or any(job.name == stage for job in jobs)
    ]
    header = _header(experiment, folder, model_names, served)
    report = PromiseReport(header=header, verdicts=verdicts, claims=claims_of(experiment))
    write_text(folder / "promises.json", report.model_dump_json(indent=1) + "\n")
    trained = [(job.name, folders[job.name]) for job in jobs if job.section == "train"]
    sections = sections_of(experiment, findings, header, trained)
    write_text(folder / "sections.jsonl", "".join(section.model_dump_json() + "\n" for section in sections))
    render(folder)


def run_jobs(
    experiment: Experiment,
    jobs: Sequence[Job],
    ledger: Ledger,
    view: View,
    drafts: Mapping[str, str] | None = None,
) -> tuple[list[tuple[Job, float]], set[str]]:
    """Do what is not done, with `drafts` of the start model's replies where there are; returns the
    jobs that were done from their beginning, with their seconds, and those that were left out."""
    key_of, titles = job_keys(experiment, tuple(jobs)), labels(plan(experiment))
    keys = {name: job.key for name, job in key_of.items()}
    view.column = max(map(len, titles.values()), default=view.column)
    todo: list[tuple[int, Job]] = []
    durations: list[tuple[Job, float]] = []
    dropped: set[str] = set()
    for number, job in enumerate(jobs):
        folder_done = ledger.finished_folder(job.name, keys[job.name])
        while ledger.warnings:
            view.say(ledger.warnings.pop(0))
        if folder_done:
            view.done(titles[job.name], 0.0, cached=True)
        else:
            todo.append((number, job))
    models: ModelStore | None = None
    with ExitStack() as engine:
        if todo:
            if tight := disk_space.low_space_warning(experiment, [job for _, job in todo], ledger.run):
                view.say(tight)
            with collector.paused():  # torch starts here, only when something has to be computed
                from alignwright.run.context import job_context, model_store
                from alignwright.run.execute import execute
                from alignwright.run.judges import judge_models

            engine.enter_context(collector.set_aside())
            models, by_name = model_store(experiment, ledger, drafts), {job.name: job for job in plan(experiment)}
            for at, (number, job) in enumerate(todo):
                if refused := reason_to_skip(job, jobs, ledger, dropped):
                    dropped.add(job.name)
                    view.say(f"- {titles[job.name]}: left out, {refused}")
                    continue
                folder = ledger.folder(number, job.name, keys[job.name])
                fresh = [path.name for path in folder.iterdir()] == ["key"]
                started = time.perf_counter()
                with view.job(titles[job.name]) as bar:
                    note = execute(job_context(job, by_name, experiment, models, folder, bar))
                seconds = time.perf_counter() - started
                ledger.finish(job.name, keys[job.name], folder, seconds, bar.tokens, key_of[job.name].parts)
                view.done(titles[job.name], seconds, note, refused=bar.refused)
                durations += [(job, seconds)] if fresh else []
                models.forget_judge(judge_models(later for _, later in todo[at + 1 :]))
        with view.job("saving the model"):
            keep_models(experiment, [job for job in jobs if job.name not in dropped], keys, ledger, view, models)
    return durations, dropped


def _write_spec(experiment: Experiment, request: Request, folder: Path, threads: int) -> str | None:
    """What was asked and where it runs, on disk; why the compiled kernels are missing, where
    they are."""
    from alignwright.model.kernels import why_no_kernels
    from alignwright.run.provenance import data_sets, provenance

    place = folder / "spec"
    place.mkdir(parents=True, exist_ok=True)
    write_text(place / "spec.yaml", spec_text(request.spec))
    if experiment.intent.constitution:
        write_text(
            place / "constitution.md", experiment.path(experiment.intent.constitution).read_text(encoding="utf-8")
        )
    write_json(place / "resolved.json", experiment.model_dump(mode="json"))
    weights = start_fingerprint(experiment)
    without = why_no_kernels()
    write_json(
        place / "provenance.json",
        provenance(experiment.folder.resolve(), experiment.seed, threads, weights, without or "compiled")
        | {"data_sets": data_sets(experiment)}
        | spec_place(experiment, folder),
    )
    return without


def _header(experiment: Experiment, folder: Path, stages: Sequence[str], served: Mapping[str, str]) -> Header:
    import json

    facts = json.loads((folder / "spec" / "provenance.json").read_text(encoding="utf-8"))
    facts_shown = {
        "spec": experiment.id,
        "alignwright": str(facts["alignwright"]),
        "code": str(facts["code"]),
        "machine": (
            f"{facts['processor'] or 'unknown processor'}, {facts['threads']} threads, "
            + ("compiled kernels" if facts["kernels"] == "compiled" else "no compiled kernels")
        ),
        "packages": ", ".join(
            f"{name} {number}"
            for name, number in facts["packages"].items()
            if name in ("torch", "transformers", "peft")
        ),
        "commit": (
            str((facts["git"]["commit"] or "not in a git checkout")[:12])
            + (" with changes" if facts["git"]["diff"] else "")
        ),
        "measured in": "float32, greedy replies, fixed batch layout",
    }
    if experiment.quantization:
        facts_shown["base"] = in_4_bits(experiment.quantization)
    if served:
        facts_shown |= dict(served) | {
            "measured in": "the server's own arithmetic, which may change with what else it is asked"
        }
    if experiment.chat:
        facts_shown["chat template"] = f"{experiment.chat}, given by the spec"
    facts_shown |= start_facts(resolve(experiment.model, experiment.folder))
    constitution = experiment.data.constitution
    return Header(
        name=experiment.name,
        model=experiment.model,
        seed=experiment.seed,
        effort=experiment.effort,
        stages=tuple(stages),
        facts=facts_shown,
        principles=tuple((p.slug, p.title) for p in constitution.principles) if constitution else (),
        titles={f"train.{place}.{stage.by}": stage.title for place, stage in enumerate(experiment.train)},
        methods=tuple(
            stage.by for place, stage in enumerate(experiment.train) if stage_name("train", place, stage.by) in stages
        ),
    )


def _audited(request: Request) -> str | None:
    """The other model that is to be measured: a path is one from the working directory."""
    if request.audit is None or is_server(request.audit):
        return request.audit
    path = Path(request.audit).expanduser()
    return str(path.resolve()) if path.exists() else request.audit


def only_audit(experiment: Experiment, name: str) -> Experiment:
    """The same questions put to another model, nothing trained: only levels can be answered,
    gains are untested."""
    resolve(name)
    parts: dict[str, Any] = written_knobs(experiment) | {
        "name": f"{experiment.name[:50]}-audit-{content_id(name)[:6]}",
        "model": name,
    }
    parts.pop("quantization", None)  # a property of the spec's own start model; this one is measured as it is
    if is_server(name):
        parts.pop("chat", None)  # the server writes conversations by its own, and the report must not say otherwise
    parts |= {"collect": None, "feedback": (), "train": ()}
    return Experiment(**parts).at(experiment.folder)
