"""What has to be done, in which order, and what does each part depend on?

A job is one stage applied to one model. Its key is a hash of everything that can change its result: the stage's knobs, the
contents of the files it reads, the seed, the start model, the code, and the keys of the jobs it builds on. Equal key, equal
result: that is all the ledger needs to know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from alignwright.core.records import content_id
from alignwright.spec.experiment import Experiment
from alignwright.spec.models import ModelRef, resolve
from alignwright.spec.stages import (
    AnyStage,
    Collect,
    Contrast,
    Critique,
    Dpo,
    Instruction,
    IntentMeasure,
    JudgeVote,
    Pooled,
    Rules,
    Sft,
    Suite,
    TaxMeasure,
    ValueMeasure,
    Written,
)

CODE = ("core", "spec", "model", "feedback", "aggregate", "train", "attack", "measure")
"""Packages whose source is part of every key. The run, report and command-line packages only move and show results."""


@dataclass(frozen=True)
class Job:
    """A stage applied to a model. `model` is "baseline" or the name of the training stage whose result it reads."""

    name: str
    stage: AnyStage
    model: str
    needs: tuple[str, ...] = ()


def plan(experiment: Experiment) -> tuple[Job, ...]:
    """All jobs of an experiment in the order in which they run. The experiment must be resolved."""
    return tuple(_jobs(experiment))


def _jobs(experiment: Experiment) -> Iterator[Job]:
    yield from _examinations(experiment, "baseline", ())
    feedback: list[str] = []
    if experiment.collect:
        yield Job("collect", experiment.collect, "baseline")
    collected = ("collect",) if experiment.collect else ()
    for i, stage in enumerate(experiment.feedback):
        name = f"feedback.{i}.{stage.by}"
        revised = tuple(n for n in feedback if n.endswith(".critique"))
        yield Job(name, stage, "baseline", (*collected, *revised))
        feedback.append(name)
    aggregate = f"aggregate.{experiment.aggregate.by}"
    if feedback:
        yield Job(aggregate, experiment.aggregate, "baseline", (*collected, *feedback))
    before, chain = "baseline", tuple[str, ...]()
    for i, stage in enumerate(experiment.train):
        name = f"train.{i}.{stage.by}"
        yield Job(name, stage, before, (*((aggregate,) if feedback else ()), *chain))
        before, chain = name, (name,)
        yield from _examinations(experiment, name, chain)


def _examinations(experiment: Experiment, model: str, needs: tuple[str, ...]) -> Iterator[Job]:
    for i, measure in enumerate(experiment.measure):
        yield Job(f"measure.{i}.{measure.by}@{model}", measure, model, needs)
    for i, attack in enumerate(experiment.attack):
        yield Job(f"attack.{i}.{attack.by}@{model}", attack, model, needs)


def keys(experiment: Experiment, jobs: tuple[Job, ...]) -> dict[str, str]:
    """The content key of every job."""
    common = content_id(code_version(), experiment.seed, model_fingerprint(resolve(experiment.model, experiment.folder)))
    known: dict[str, str] = {}
    for job in jobs:
        read = {name: file_hash(experiment.path(name)) for name in sorted(files_of(job.stage, experiment))}
        known[job.name] = content_id(common, type(job.stage).__name__, job.stage.model_dump(mode="json"), read, [known[n] for n in job.needs])
    return known


def files_of(stage: AnyStage, experiment: Experiment) -> set[str]:
    """The files, as the spec names them, whose contents this stage reads."""
    intent = experiment.intent
    written = {*intent.pairs, *intent.people, *((intent.constitution,) if intent.constitution else ())}
    match stage:
        case Collect():
            named = set(intent.prompts)
        case Rules():
            named = written | {stage.file.rpartition(":")[0] or stage.file}
        case Written() | Contrast() | JudgeVote():
            named = written
        case Critique():
            named = written | set(intent.prompts)
        case Pooled():
            named = written
        case Sft():
            named = {stage.data} - {"chosen", "revisions"}
        case Dpo():
            named = set[str]()
        case Suite():
            named = {*stage.prompts, *((stage.file,) if stage.file else ())}
        case Instruction():
            named = set(stage.data)
        case IntentMeasure():
            named = {*stage.pushback, *stage.opinion, *stage.meant}
        case ValueMeasure():
            named = {*stage.prompts, *stage.pairs}
        case TaxMeasure():
            named = {*stage.text, *stage.choice}
    return {name for name in named if experiment.path(name).is_file()}


def file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def model_fingerprint(ref: ModelRef) -> str:
    """What names a model's weights: the hash of its files, or the Hub id where there are none yet."""
    if ref.path is None:
        return ref.name
    path = Path(ref.path)
    files = [path] if path.is_file() else sorted((*path.glob("*.safetensors"), *path.glob("*.json")))
    return content_id([[f.name, _weights_hash(f, f.stat().st_size, f.stat().st_mtime_ns)] for f in files])


@cache
def _weights_hash(path: Path, size: int, changed: int) -> str:  # noqa: ARG001 - size and time are the cache's key
    return file_hash(path)


@cache
def code_version() -> str:
    """A hash of the source that computes results, so that a result never outlives the code that made it."""
    root = Path(__file__).parent.parent
    files = sorted(path for part in CODE for path in (root / part).rglob("*") if path.suffix in (".py", ".yaml", ".json"))
    execute = [root / "run" / name for name in ("execute.py", "inputs.py", "shelf.py")]
    return content_id([[str(f.relative_to(root)), file_hash(f)] for f in (*files, *execute)])
