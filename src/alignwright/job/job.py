"""What is one piece of work, and what comes of it? A job is one stage applied to one model.

A job is known by its section, its place in the spec and the model that it is applied to; what it
builds on is named by role, so that nobody reads a name to find out what a job is. Its result is
data: the spine writes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from alignwright.core.records import Finding, Record, SampleResult, Status
from alignwright.core.stage import Stage

BASELINE = "baseline"
"""What the start model is called among the models of a run."""
Section = Literal["collect", "feedback", "aggregate", "train", "attack", "measure", "lens", "oversee"]
Role = Literal["comparisons", "votes", "preferences", "reward", "model", "start", "earlier"]
"""As what a job needs another: for replies to compare, for votes, for preferences, as a reward model,
as the model it is applied to, as the model an average begins from, as its own earlier measurement."""


PROBES: tuple[Section, ...] = ("measure", "attack", "lens", "oversee")
"""The sections whose stages are applied to every model, and leave samples."""


@dataclass(frozen=True)
class Job:
    """A stage applied to a model. `model` is "baseline" or the name of the training stage whose
    result it reads; `needs` are names of jobs by role, in order."""

    section: Section
    place: int | None
    stage: Stage
    model: str = BASELINE
    needs: Mapping[Role, tuple[str, ...]] = field(default_factory=dict)

    @property
    def by(self) -> str:
        """The technique."""
        return str(getattr(self.stage, "by", ""))

    @property
    def folder(self) -> str:
        """The section whose knobs its stage is made of; a folder of the package."""
        return type(self.stage).__module__.split(".")[1]

    @property
    def stage_name(self) -> str:
        """Its stage's stable name: collect, feedback.0.judge, train.1.dpo, measure.2.tax."""
        return stage_name(self.section, self.place, self.by)

    @property
    def probes(self) -> bool:
        """Whether it measures, attacks or looks into a model, and leaves samples."""
        return self.section in PROBES

    @property
    def name(self) -> str:
        """Its stable name: that of its stage, and of a measure or an attack the model's too
        (measure.2.tax@train.1.dpo)."""
        return probe_name(self.stage_name, self.model) if self.probes else self.stage_name

    @property
    def builds_on(self) -> tuple[str, ...]:
        """The names of all jobs that it needs, each once."""
        return tuple(dict.fromkeys(name for names in self.needs.values() for name in names))

    def needed(self, role: Role) -> tuple[str, ...]:
        return self.needs.get(role, ())


def stage_name(section: Section, place: int | None, by: str) -> str:
    """The stable name of a stage."""
    return ".".join(str(part) for part in (section, place, by) if part not in (None, ""))


def probe_name(stage: str, model: str) -> str:
    """The stable name of the job that measures or attacks a model with a stage."""
    return f"{stage}@{model}"


@dataclass(frozen=True)
class Result:
    """What a job came to. `note` is a line for the terminal; `records` are files of the job's folder
    by name. `refusal`: what the run stops with, once all is written."""

    note: str = ""
    samples: Sequence[SampleResult] | None = None
    findings: Sequence[Finding] | None = None
    records: Mapping[str, Sequence[Record]] = field(default_factory=dict)
    refusal: Exception | None = None


def count_statuses(samples: Sequence[SampleResult]) -> str:
    """How the samples went, for the terminal: "12 pass, 3 hit, 1 unscored"."""
    counts = Counter(sample.status for sample in samples)
    return ", ".join(f"{counts[status]} {status}" for status in get_args(Status) if counts[status])
