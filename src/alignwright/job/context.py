"""What may a technique touch while its job runs? Its stage, the data, the models, its folder, and
judges by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from alignwright.core.protocols import ChatModel, RewardFn
from alignwright.core.stage import Stage
from alignwright.job.bar import Bar
from alignwright.job.data import Data
from alignwright.job.job import BASELINE, Job, Role
from alignwright.job.judge_cache import JudgeCache, judge_cache
from alignwright.job.ledger import AT_WORK, Ledger
from alignwright.job.model_store import ModelStore
from alignwright.job.needs import NO_LOGPROBS, NotServed
from alignwright.job.remote_model import RemoteModel
from alignwright.model.local_model import LocalModel

MODEL_FOLDER = "model"
"""The folder of a run in which its last model is kept."""
Speaker = TypeVar("Speaker", LocalModel, RemoteModel)


@dataclass(frozen=True)
class JobContext:
    """A job at work. `judge` gives what scores replies by the name that a knob holds: reward,
    feedback, a file of rules, a function, or the folder of a reward model."""

    job: Job
    jobs: Mapping[str, Job]
    """All jobs of the run, by name."""
    seed: int
    data: Data
    models: ModelStore
    ledger: Ledger
    folder: Path
    bar: Bar
    judge: Callable[[str, JobContext], RewardFn]

    @property
    def name(self) -> str:
        return self.job.name

    @property
    def model(self) -> str:
        """The model that the stage is applied to: "baseline", or a training job's name."""
        return self.job.model

    @property
    def at_work(self) -> Path:
        """The folder for what a killed job goes on from; it goes when the job is finished."""
        folder = self.folder / AT_WORK
        folder.mkdir(exist_ok=True)
        return folder

    def needed(self, role: Role) -> tuple[str, ...]:
        """The jobs that it needs in this role."""
        return self.job.needed(role)

    def folder_of(self, name: str) -> Path:
        """The folder of a finished job."""
        return self.ledger.run / self.ledger.entries[name].folder

    def stage_of(self, name: str) -> Stage:
        return self.jobs[name].stage

    def scorer(self, name: str) -> RewardFn:
        """What scores replies, by the name that a knob holds."""
        return self.judge(name, self)

    def target(self) -> ChatModel:
        """The model that is measured or attacked, for its replies, reporting its progress: a local
        one in float32, or one behind a server."""
        if self.models.served is not None:
            return self.with_progress(self.models.served)
        return self.with_progress(self.models.for_eval(self.model))

    @property
    def has_weights(self) -> bool:
        """Whether the model is here, and not behind a server."""
        return self.models.served is None

    def policy(self) -> LocalModel:
        """The same model for its log-probabilities. Raises NotServed where it is behind a server."""
        if self.models.served is not None:
            raise NotServed(NO_LOGPROBS)
        return self.with_progress(self.models.for_eval(self.model))

    @property
    def kept_as(self) -> str | Path | None:
        """The folder, or the name, by which the job's model can be opened after the run: the start model's own, and of
        the last model of the run its folder. None of those between, which are not kept whole."""
        if self.models.served is not None:
            return None
        if self.model == BASELINE:
            name = self.models.start_name
            place = self.data.path(name)
            return place.resolve() if place.exists() else name
        models = list(dict.fromkeys(job.model for job in self.jobs.values() if job.probes))
        return (self.ledger.run / MODEL_FOLDER).resolve() if models[-1:] == [self.model] else None

    def start(self) -> LocalModel:
        """The start model as it is measured, in float32, reporting its progress. Raises NotServed where
        it is behind a server."""
        return self.with_progress(self.models.for_eval(BASELINE))

    def sampler(self) -> LocalModel:
        """The start model in the training precision, reporting its progress."""
        return self.with_progress(self.models.for_sampling())

    def judge_model(self, name: str) -> ChatModel:
        """The model that a knob names to judge, reporting its progress where it can."""
        speaker = self.models.judge(name)
        return self.with_progress(speaker) if isinstance(speaker, LocalModel) else speaker

    def attacker(self, name: str) -> ChatModel:
        """The model that a knob names to attack, reporting its progress."""
        speaker = self.models.attacker(name)
        if isinstance(speaker, RemoteModel):
            return self.with_progress(speaker)
        return self.with_progress(speaker) if isinstance(speaker, LocalModel) else speaker

    def start_or(self, name: str) -> ChatModel:
        """Who judges what the job's model does: for `self` the start model as it is measured, the same for every stage,
        where its weights are here; else the model that a knob names. Of a server its answers are kept."""
        return self.start() if name == "self" and self.has_weights else self.attacker(name)

    def answers(self, judge: str) -> JudgeCache:
        """What the judge that a knob names was asked before, in this run and in those beside it."""
        models = self.models
        if judge == "self" and models.served is not None:
            judge = models.start_name
        template = models.chat.template if models.chat else None
        return judge_cache(
            judge, models.start_name, self.data.folder, self.ledger.run, template, quantization=models.quantization
        )

    def with_progress(self, model: Speaker) -> Speaker:
        """The model, reporting its progress to this job's bar."""
        model.progress = self.bar
        return model
