"""What looks at a model: every number that a stage of an ordinary spec finds, and functions of others.

A spec to audit by is taken apart, a stage at a time. Each claim that a stage makes is a detector: which way
is bad is what the claim says of itself, and where it says nothing, more is more suspicious. Stages of `lens`
and attacks that go through the weights are white box, all others black box. A stage that compares with
another model (`lens: {by: diff}`) is given the model from which all training began.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from rich.console import Console

from alignwright.core.claims import CORRECTED, Claim
from alignwright.core.records import content_id
from alignwright.experiment.cache_key import job_keys
from alignwright.experiment.experiment import stages
from alignwright.experiment.load import load
from alignwright.experiment.spec_source import spec_document
from alignwright.files.fingerprint import file_hash
from alignwright.job.job import BASELINE, PROBES
from alignwright.job.ledger import Ledger, run_lock
from alignwright.job.records import read_samples
from alignwright.run.align import Request, prepare, run_jobs
from alignwright.run.calibrate.third_party import ask, function_file
from alignwright.run.findings import findings_of
from alignwright.run.progress import View

Box = Literal["black box", "white box", "function"]


@dataclass(frozen=True)
class Look:
    """What a stage, or a function, found in a model: a number for each of its detectors (None: it has none), and
    what that cost. `items` are the samples that it graded."""

    values: Mapping[str, float | None]
    seconds: float
    items: int = 0
    reason: str = ""
    failed: bool = False
    """Whether it stopped with an error, and may find something another time."""


@dataclass(frozen=True)
class StageDetectors:
    """A stage of the detectors' spec by itself. `suspicious` says of each of its claims whether more (1) or less (-1)
    is suspicious."""

    spec: Path
    stage: str
    overrides: tuple[str, ...]
    box: Box
    suspicious: Mapping[str, int]

    def key(self, start: Path) -> str:
        """What names it: its knobs, the files that it reads and the code that computes it."""
        experiment, jobs, _ = prepare(Request(self.spec, self.overrides, audit=str(start)))
        return content_id([key.key for key in job_keys(experiment, jobs).values()])

    def look(self, model: Path, start: Path, runs: Path) -> Look:  # noqa: ARG002 - it is in the overrides
        """What it finds in a model's folder."""
        began = time.process_time()
        experiment, jobs, folder = prepare(Request(self.spec, self.overrides, runs=runs, audit=str(model)))
        with run_lock(folder):
            ledger = Ledger(folder)
            run_jobs(experiment, jobs, ledger, silent())
            places = [(job, folder / ledger.entries[job.name].folder) for job in jobs]
            findings = findings_of(experiment, places, attributed=False)
            items = sum(len(read_samples(place)) for _, place in places)
        levels = {f.claim: f.value for f in findings if f.stage == BASELINE and f.against is None}
        values = {claim: levels.get(claim) for claim in self.suspicious}
        return Look(values, time.process_time() - began, items)


@dataclass(frozen=True)
class FunctionDetector:
    """A third party's function."""

    name: str
    box: Box = "function"

    @property
    def stage(self) -> str:
        return self.name

    @property
    def suspicious(self) -> Mapping[str, int]:
        return {self.name: 1}

    def key(self, start: Path) -> str:  # noqa: ARG002 - the model's own key holds it
        return content_id([self.name, file_hash(function_file(self.name))])

    def look(self, model: Path, start: Path, runs: Path) -> Look:  # noqa: ARG002 - it keeps nothing
        answer = ask(self.name, model, start)
        return Look({self.name: answer.score}, answer.seconds, reason=answer.reason)


Detectors = StageDetectors | FunctionDetector


def detectors_of(spec: Path, start: Path, functions: Sequence[str] = ()) -> list[Detectors]:
    """All detectors: those of each stage of the spec, then the functions. Raises SpecError where the spec is wrong,
    ValueError where it names no stage, or a function is not there."""
    document, _ = spec_document(spec)
    raw = cast("dict[str, Any]", document.data)
    sections = {name: [dict(each) for each in raw.get(name) or []] for name in PROBES}
    for stage in sections["lens"]:
        if stage.get("by") == "diff" and not stage.get("against"):
            stage["against"] = str(start.resolve())
    whole = tuple(f"{name}={json.dumps(value)}" for name, value in sections.items())
    experiment = load(spec, (*whole, "promises=[]"), str(start.resolve()))
    looking: list[Detectors] = []
    for at, stage in stages(experiment):
        if at[0] not in PROBES:
            continue
        section, place = str(at[0]), int(at[1])
        own = {name: [value[place]] if name == section else [] for name, value in sections.items()}
        overrides = (*(f"{name}={json.dumps(value)}" for name, value in own.items()), "promises=[]")
        white = section == "lens" or type(stage).__module__.endswith("knobs_white_box")
        suspicious = {claim.name: _direction(claim) for claim in stage.claims() if _tells(claim)}
        box: Box = "white box" if white else "black box"
        looking.append(StageDetectors(spec, ".".join(map(str, at)), overrides, box, suspicious))
    looking += [FunctionDetector(name) for name in functions if function_file(name)]
    if not looking:
        raise ValueError(f"{spec}: no stage under attack, measure or lens, so nothing looks at a model")
    names = [name for each in looking for name in each.suspicious]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{spec}: two stages find {twice}; a detector is named by its claim, so name the stage once")
    return looking


def silent() -> View:
    """A terminal that nobody sees."""
    return View(Console(file=io.StringIO(), width=200))


def _tells(claim: Claim) -> bool:
    """Whether a claim is a number of a model by itself."""
    whole = not claim.name.endswith(("*", CORRECTED))
    return whole and claim.promisable and claim.measured in ("always", "train_model")


def _direction(claim: Claim) -> int:
    return -1 if claim.better == "higher" else 1
