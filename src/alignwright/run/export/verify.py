"""Does the file that ships keep what the measured model promised?

The run's own questions are put to the file, opened in the engine that will serve it: llama.cpp's
server where xllamacpp is installed, else transformers. They are those that a promise rests on
(`promised`), or with `ask="all"` every one. What it answered takes the place of what the
run's last model answered, and every promise is answered again from that: a gain against the run's
own start model. Beside it stands the paired difference of each claim to the measured model, item by
item, and how many greedy replies are word for word the same.

Through transformers the measured model's replies are drafts, read in one pass and decoded from the
first token that differs, and what texts share at their beginning is read once (`model.prefix_tree`).
A server gives no log-probabilities of given text, so what needs them is untested there, and said;
`engine="transformers"` reads the same file's weights for these.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from alignwright.core import wording
from alignwright.core.amount import amount
from alignwright.core.promises import Verdict, answer, parse
from alignwright.core.records import Finding, SampleResult
from alignwright.experiment.experiment import Experiment, claims_of, model_stages, open_knobs
from alignwright.experiment.plan import plan
from alignwright.files.contents import records
from alignwright.files.server import Server
from alignwright.job.job import BASELINE, Job, probe_name
from alignwright.job.ledger import Ledger, json_of, run_lock, write_json
from alignwright.job.records import FINDINGS, SAMPLES, read_samples, write_records
from alignwright.measure.findings import differences
from alignwright.measure.knobs import CHOICE
from alignwright.report import read
from alignwright.run.align import only_audit, run_jobs
from alignwright.run.export.promised import asked_again
from alignwright.run.findings import findings_of
from alignwright.run.llama_cpp import Engine, has_llama_cpp, serving
from alignwright.run.progress import View
from alignwright.run.run_folder import OtherVersion, resolved_experiment
from alignwright.run.stored_samples import stored_samples
from alignwright.run.threads import set_num_threads

CALLS, CONTEXT = 2, 4096
Ask = Literal["promised", "all"]
"""Which of the run's questions: those that a promise rests on, or every one."""


@dataclass(frozen=True)
class Reanswered:
    """A promise as the run answered it, and as the file does. `asked` is false where its engine
    cannot be asked."""

    promise: str
    before: str
    now: Verdict
    asked: bool

    @property
    def changed(self) -> bool:
        return self.asked and self.now.answer != self.before


@dataclass(frozen=True)
class Verification:
    """What the file answers. `exit_code`: 1 where a promise changed its verdict, 3 where none did but
    one cannot be asked of the engine."""

    engine: str
    promises: tuple[Reanswered, ...]
    differences: tuple[Finding, ...]
    same_replies: tuple[int, int]
    not_asked: tuple[str, ...] = ()
    """The claims of the run on which no promise rests, and of which nothing was asked."""

    @property
    def exit_code(self) -> int:
        if any(promise.changed for promise in self.promises):
            return 1
        return 3 if any(not promise.asked and promise.before != "untested" for promise in self.promises) else 0

    def lines(self) -> Iterator[str]:
        """For the terminal."""
        same, of = self.same_replies
        yield f"opened in {self.engine}: {same} of {of} replies word for word those of the measured model"
        for promise in self.promises:
            mark = "CHANGED" if promise.changed else "not asked" if not promise.asked else "the same"
            yield f"{mark}: {promise.promise}: {promise.before} -> {promise.now.answer} ({promise.now.reason})"
        for finding in self.differences:
            if finding.value is None:
                yield f"{finding.claim}: no difference can be had ({amount(finding.n, 'item')})"
                continue
            value = wording.number(finding.value, finding.unit, change=True)
            items = amount(finding.n, "item")
            yield f"{finding.claim}: {value} {wording.interval(finding)} to the measured model, {items}"
        if self.not_asked:
            yield f"not asked, as no promise rests on them (--ask all): {', '.join(self.not_asked)}"


def verify(
    run: Path,
    file: Path,
    view: View,
    *,
    spec_folder: Path | None = None,
    engine: Engine = "auto",
    ask: Ask = "promised",
) -> Verification:
    """Put the run's questions to a GGUF file that was made of its model, and answer its promises
    again. Leaves what it asked and heard beside the file, in `FILE.verify/`."""
    experiment = _experiment(run, spec_folder)
    last = model_stages(experiment)[-1]
    work, measured = file.with_name(f"{file.name}.verify"), stored_samples(run, last)
    with _serving(file, engine) as (name, title, served):
        questions = asked_again(_audit_of(experiment, name, served), experiment.promises if ask == "promised" else ())
        audited = questions.experiment
        with run_lock(work):
            ledger = Ledger(work)
            set_num_threads(audited)
            jobs = [job for job in plan(audited) if job.stage_name in questions.stages]
            run_jobs(audited, jobs, ledger, view, _drafts(measured))
    samples = list[SampleResult]()
    finished: list[tuple[Job, Path]] = []
    own = Ledger(run)
    for job in plan(experiment):
        if job.probes and job.model == last:
            if (
                job.stage_name in questions.stages
                and (folder := _answers(job, ledger, work, last, served=served)) is not None
            ):
                finished.append((job, folder))
                samples += read_samples(folder)
        elif job.name in own.entries:
            finished.append((job, own.intact(job.name)))
    claims = claims_of(experiment)
    findings = findings_of(experiment, finished, attributed=False)
    verification = Verification(
        title,
        tuple(_reanswer(run, findings, experiment, last, samples)),
        tuple(differences(samples, measured, claims=claims, stage=file.name, against=last)),
        _same_replies(samples, measured),
        questions.left_out,
    )
    write_json(work / "verification.json", _record(verification))
    return verification


def _experiment(run: Path, spec_folder: Path | None) -> Experiment:
    """The run's own resolved spec, its files read from where the spec lay."""
    if spec_folder is None:
        facts = json_of(run / "spec" / "provenance.json")
        relative = cast("dict[str, Any]", facts).get("spec_folder") if isinstance(facts, dict) else None
        if relative is None:
            raise ValueError(f"{run} does not say where its spec lay: name the folder of the spec with --spec-folder")
        spec_folder = run / str(relative)
    experiment = resolved_experiment(run).at(Path(os.path.normpath(spec_folder)))
    if unfilled := open_knobs(experiment):
        raise OtherVersion(run, unfilled)
    missing = [name for name in _files(experiment) if not experiment.path(name).exists()]
    if missing:
        raise FileNotFoundError(
            f"{experiment.path(missing[0])} is not there, and the run's questions are in it: name the folder of the"
            " spec with --spec-folder, or leave the promises unanswered with --no-verify"
        )
    return experiment


def _files(experiment: Experiment) -> list[str]:
    from alignwright.experiment.spec_file import data_files
    from alignwright.files.data_file import HUB
    from alignwright.job.job import PROBES

    return [name for loc, name, _ in data_files(experiment) if loc[0] in PROBES and HUB not in name]


@contextmanager
def _serving(file: Path, engine: Engine) -> Iterator[tuple[str, str, bool]]:
    """The file's name as a model, its engine in words, and whether that is a server."""
    if engine == "llama.cpp" and not has_llama_cpp():
        raise ImportError("llama.cpp is not installed here: pip install xllamacpp")
    if engine == "transformers" or not has_llama_cpp():
        yield str(file.resolve()), "transformers, which reads the file's weights", False
        return
    with serving(file, slots=CALLS, context=CONTEXT, threads=max(1, (os.cpu_count() or 2) // 2)) as (address, _):
        yield f"{address}/v1#{file.stem}", "llama.cpp's server", True


def _audit_of(experiment: Experiment, name: str, served: bool) -> Experiment:
    """The same questions, put to the file with its own template."""
    audit = only_audit(experiment, name)
    changes: dict[str, Any] = {"chat": None, "promises": ()}
    if served:
        changes["server"] = (audit.server or Server()).model_copy(update={"calls": CALLS}).model_dump(mode="json")
    parts = audit.model_dump(mode="json") | changes
    return Experiment.model_validate_json(json.dumps(parts)).at(experiment.folder)


def _drafts(measured: Sequence[SampleResult]) -> dict[str, str]:
    """What the measured model replied to each conversation: what the file is likely to reply."""
    return {sample.prompt.id: sample.reply for sample in measured if sample.prompt and sample.reply}


def _answers(job: Job, ledger: Ledger, work: Path, last: str, *, served: bool) -> Path | None:
    """What the file answered in the place of the run's last model, as a folder of that job; None
    where it was not asked."""
    name = probe_name(job.stage_name, BASELINE)
    if name not in ledger.entries:
        return None
    source, folder = ledger.intact(name), work / "answers" / job.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    samples = read_samples(source) if (source / SAMPLES).exists() else []
    if served:  # a server chooses from a list, the run chose by log-probability: two measures of one name
        samples = [s for s in samples if s.claim != CHOICE.name and not s.claim.startswith(f"{CHOICE.name}.")]
    write_records(folder / SAMPLES, samples)
    if (source / FINDINGS).exists():
        restaged = [f.model_copy(update={"stage": last}) for f in records(source / FINDINGS, Finding)]
        write_records(folder / FINDINGS, restaged)
    return folder


def _reanswer(
    run: Path, findings: Sequence[Finding], experiment: Experiment, last: str, samples: Sequence[SampleResult]
) -> Iterator[Reanswered]:
    before = {verdict.promise: verdict.answer for verdict in read(run).verdicts}
    claims = {sample.claim for sample in samples}
    for text in experiment.promises:
        promise = parse(text)
        now = answer(promise, findings, model_stages(experiment))
        asked = promise.claim in claims or any(
            f.claim == promise.claim and f.stage == last and not f.detail.get("untested") for f in findings
        )
        if not asked:
            now = now.model_copy(update={"reason": f"the engine was not asked, or gives no such number: {now.reason}"})
        yield Reanswered(text, before.get(text, "untested"), now, asked)


def _same_replies(samples: Sequence[SampleResult], measured: Sequence[SampleResult]) -> tuple[int, int]:
    """How many replies are word for word those of the measured model, of those that both gave."""
    earlier: Mapping[tuple[str, str], str] = {(s.claim, s.item): s.reply for s in measured if s.reply}
    pairs = [(s.reply, earlier[s.claim, s.item]) for s in samples if s.reply and (s.claim, s.item) in earlier]
    return sum(now.strip() == then.strip() for now, then in pairs), len(pairs)


def _record(verification: Verification) -> dict[str, object]:
    return {
        "engine": verification.engine,
        "exit_code": verification.exit_code,
        "same_replies": list(verification.same_replies),
        "not_asked": list(verification.not_asked),
        "promises": [
            {"promise": p.promise, "before": p.before, "now": p.now.answer, "reason": p.now.reason, "asked": p.asked}
            for p in verification.promises
        ],
        "differences": [finding.model_dump(mode="json") for finding in verification.differences],
    }
