"""What is one experiment?

The whole of a spec file as one record: what is meant (intent), how votes are made and pooled, how
the model is trained, attacked and measured, and what was promised beforehand. Paths stay as
written; `path` finds them beside the spec file. The folder is no part of the record's name, so the
same spec has the same id on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date as Day
from functools import cached_property
from pathlib import Path

from pydantic import Field, PrivateAttr, field_validator, model_validator

from alignwright.aggregate.knobs import Aggregate, Pooled
from alignwright.attack.knobs import Attack
from alignwright.core.claims import Claim
from alignwright.core.records import TODAY, Record, content_id
from alignwright.core.stage import BUILT_IN, EffortName, IntentPart, Setting, written_knobs
from alignwright.experiment.mirrors import MirrorName
from alignwright.experiment.sweep import Grid, Seeds
from alignwright.experiment.unions import AnyStage, AnyTrain, Lens, Measure, Oversee, Train
from alignwright.feedback.knobs import Collect, Feedback
from alignwright.files.chat_format import ChatFormat, chat_format
from alignwright.files.data_file import Paths
from alignwright.files.errors import Loc
from alignwright.files.intent import Intent
from alignwright.files.quantization import Quantization
from alignwright.files.server import Server
from alignwright.job.data import Data
from alignwright.train.knobs import learns_from_labels
from alignwright.train.knobs_loop import Training

_MODEL = (
    "smollm2-135m-instruct, a folder, a .gguf file, a Hub id owner/name, or a server https://host/v1#name that is only"
    " measured"
)

LISTS = ("feedback", "train", "attack", "measure", "lens", "oversee")
"""The sections of a spec that are lists of stages, in the order in which they are named."""


@dataclass(eq=False)
class _DataFiles:
    """What was read of an experiment's files. It is no part of what the experiment is: two that ask
    for the same are equal, whatever was read of them."""

    data: Data | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _DataFiles)

    __hash__ = None  # type: ignore[assignment]


class Experiment(Record):
    """A spec file, read."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64, description="the run's name; it becomes a folder's name"
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="the one seed of the whole run")
    seeds: Seeds = Field(
        default=None, description="how many seeds from `seed` on, or which: a run for each, and findings over them all"
    )
    grid: Grid | None = Field(
        default=None, description="knobs by their path, each with values to try: a run for each combination"
    )
    effort: EffortName = Field(default="demo", description="fills every knob that is left open: demo, study or full")
    model: str = Field(default="smollm2-135m-instruct", min_length=1, description=_MODEL)
    chat: str | None = Field(
        default=None,
        min_length=1,
        description="the chat template that the model is given: chatml, llama3, ./template.jinja, or none (its own)",
    )
    quantization: Quantization | None = Field(
        default=None,
        description="nf4: keep the linear layers of `model` in 4 bits, under adapters (QLoRA)",
    )
    date: str = Field(
        default=TODAY, description="the day that a chat template which writes today's date takes for today"
    )
    server: Server | None = Field(default=None, description="how servers are asked, as judges or as the model")
    intent: Intent = Field(default_factory=Intent, description="what is meant")
    collect: Collect | None = Field(default=None, description="sample replies of the start model to compare")
    feedback: tuple[Feedback, ...] = Field(default=(), description="the voters, in order")
    aggregate: Aggregate = Field(default_factory=Pooled, description="how votes become preferences")
    train: tuple[Train, ...] = Field(default=(), description="the training stages, in order")
    rounds: int = Field(
        default=1,
        ge=1,
        le=20,
        description="how often the stages from the one repair on are done, each time on the model of the time before",
    )
    attack: tuple[Attack, ...] = Field(default=(), description="the attacks on every stage's model")
    measure: tuple[Measure, ...] = Field(default=(), description="what is measured on every stage's model")
    lens: tuple[Lens, ...] = Field(default=(), description="what is looked for inside every stage's model")
    oversee: tuple[Oversee, ...] = Field(
        default=(),
        description="what a judge who sees little comes to with every stage's model as debater or consultant",
    )
    promises: tuple[str, ...] = Field(
        default=(), description="what must hold afterwards, such as 'attack.success < 10%'"
    )

    labels: Paths = Field(
        default=(),
        description="files of this run's own replies that people labelled: prompt, reply, refused, fulfilled",
    )

    votes: Paths = Field(
        default=(),
        description="files of people's votes on this run's own replies (`alignwright rate RUN`), for {by: preferred}",
    )

    mirrors: tuple[MirrorName, ...] = Field(
        default=(), description="where training curves are shown beside the report: tensorboard, trackio, wandb"
    )

    _folder: Path = PrivateAttr(default_factory=Path)
    _files: _DataFiles = PrivateAttr(default_factory=lambda: _DataFiles())

    @field_validator("date")
    @classmethod
    def _a_day(cls, value: str) -> str:
        try:
            return Day.fromisoformat(value).isoformat()
        except ValueError:
            raise ValueError(f"should be a day such as {TODAY}, saw {value!r}") from None

    @model_validator(mode="after")
    def _rounds(self) -> Experiment:
        """The stages of a round stand in `train` once for each round from here on; a record that is
        read again has them already."""
        repairs = [place for place, stage in enumerate(self.train) if stage.makes_preferences]
        if self.rounds == 1 or len(repairs) == self.rounds:
            return self
        if len(repairs) != 1:
            count = f"there are {len(repairs)}" if repairs else "there is none"
            raise ValueError(f"'rounds: {self.rounds}' repeats the stages from the one {{by: repair}} on, and {count}")
        stages = (*self.train, *self.train[repairs[0] :] * (self.rounds - 1))
        object.__setattr__(self, "train", stages)  # a frozen record, which a validator may still complete
        return self

    @cached_property
    def id(self) -> str:
        """Its name by content. Labels and votes are no part of it: they are made of a finished run's
        replies, and its folder stays the same. Mirrors change nothing of what is done."""
        left_out = {"labels", "votes", "mirrors"}
        left_out |= {name for name in ("chat", "seeds", "grid", "lens", "oversee") if not getattr(self, name)}
        left_out |= {"rounds"} if self.rounds == 1 else set()
        return content_id(type(self).__name__, self.model_dump(mode="json", exclude=left_out))

    @property
    def folder(self) -> Path:
        """The folder of the spec file, which its paths are relative to."""
        return self._folder

    @property
    def chat_format(self) -> ChatFormat | None:
        """The chat template that the model is given; None where it keeps its own."""
        return chat_format(self.chat, self.folder) if self.chat else None

    @property
    def data(self) -> Data:
        """The spec's data files, each read once however often it is asked for."""
        if self._files.data is None:
            self._files.data = Data(
                self._folder,
                self.intent,
                rules=tuple(name for _, name in judges_of(self) if name not in BUILT_IN),
                one_sided=learns_from_labels(self.train),
                hears_pairs=any(voter.hears_pairs for voter in self.feedback),
                label_files=self.labels,
                vote_files=self.votes,
            )
        return self._files.data

    def at(self, folder: Path, data: Data | None = None) -> Experiment:
        """The same experiment, with its paths read from another folder; `data`: what was read of
        its files before, where they are the same."""
        copy = self.model_copy()
        copy._folder, copy._files = folder, _DataFiles(data)
        return copy

    def path(self, name: str) -> Path:
        """Where a path of the spec lies, whatever else is said of the file."""
        return self.data.path(name)

    def source(self, name: str) -> str:
        """What a reader of `files.sources` is given for a data file of the spec."""
        return self.data.source(name)


def resolve_effort(experiment: Experiment) -> Experiment:
    """The experiment with every open knob filled from its effort. What was written stays as it
    was, and a default stays one that nobody wrote."""

    def filled(stage: AnyStage) -> AnyStage:
        return fully(stage, experiment.effort)

    parts = written_knobs(experiment)
    if (rank := first_rank(experiment)) is not None:
        parts["train"] = tuple(_ranked(stage, rank) for stage in experiment.train)
    for part in LISTS:
        if part in parts:
            parts[part] = tuple(filled(stage) for stage in parts[part])
    if experiment.collect is not None:
        parts["collect"] = filled(experiment.collect)
    return Experiment.model_validate(parts).at(experiment.folder, experiment.data)


def open_knobs(experiment: Experiment) -> list[str]:
    """The knobs that effort fills and nobody has filled, by their places."""
    names = [f"collect.{name}" for name in experiment.collect.fill(experiment.effort)] if experiment.collect else []
    for part in LISTS:
        for place, stage in enumerate(getattr(experiment, part)):
            names += [f"{part}.{place}.{name}" for name in stage.fill(experiment.effort)]
    return names


def fully(stage: AnyStage, effort: EffortName) -> AnyStage:
    """The stage with its open knobs filled. Raises ValidationError where what effort gives does
    not go with what was written."""
    return type(stage).model_validate(written_knobs(stage) | stage.fill(effort))


def first_rank(experiment: Experiment) -> int | None:
    """The rank of the first training stage's adapter, which the later stages continue (0: all
    weights); None without training."""
    first = next((stage for stage in experiment.train if isinstance(stage, Training) and stage.changes_model), None)
    if first is None:
        return None
    return first.fill(experiment.effort)["rank"] if first.rank is None else first.rank


def _ranked(stage: AnyTrain, rank: int) -> AnyTrain:
    if not isinstance(stage, Training) or stage.rank is not None:
        return stage
    return type(stage).model_validate(written_knobs(stage) | {"rank": rank})


def model_stages(experiment: Experiment) -> tuple[str, ...]:
    """The names of the models that are measured: the start model, and the model after each
    training stage."""
    return (
        "baseline",
        *(f"train.{place}.{stage.by}" for place, stage in enumerate(experiment.train) if stage.changes_model),
    )


def stage_names(experiment: Experiment) -> tuple[str, ...]:
    """The stable names of all stages, in the order in which they run."""
    names = ["collect"] if experiment.collect is not None else []
    names += [f"feedback.{place}.{stage.by}" for place, stage in enumerate(experiment.feedback)]
    names += [f"aggregate.{experiment.aggregate.by}"] if experiment.feedback or experiment.intent.people else []
    for part in LISTS[1:]:
        names += [f"{part}.{place}.{stage.by}" for place, stage in enumerate(getattr(experiment, part))]
    return tuple(names)


def stages(experiment: Experiment) -> Iterator[tuple[Loc, AnyStage]]:
    """Every stage of the experiment with its place in the spec."""
    if experiment.collect is not None:
        yield ("collect",), experiment.collect
    for section in LISTS:
        for place, stage in enumerate(getattr(experiment, section)):
            yield (section, place, stage.by), stage
        if section == "feedback" and (experiment.feedback or experiment.intent.people):
            yield ("aggregate", experiment.aggregate.by), experiment.aggregate


def setting_of(experiment: Experiment, loc: Loc) -> Setting:
    """What a stage at this place may ask of the experiment."""
    trained = [(at, stage) for at, stage in stages(experiment) if at[0] == "train"]
    if loc[0] == "train":
        trained = trained[: int(loc[1])]
    before = [] if loc[0] in ("collect", "feedback", "aggregate") else trained
    intent = experiment.intent
    parts: tuple[IntentPart, ...] = ("prompts", "pairs", "people", "constitution")
    return Setting(
        path=experiment.path,
        effort=experiment.effort,
        intent=frozenset(part for part in parts if getattr(intent, part)),
        collects=experiment.collect is not None,
        votes=bool(experiment.feedback),
        revises=any(voter.revises for voter in experiment.feedback),
        min_strength=experiment.aggregate.least_strength,
        before=tuple(before),
    )


def judges_of(experiment: Experiment) -> Iterator[tuple[Loc, str]]:
    """Every judge of replies that some stage names, with its place in the spec."""
    return (((*loc, *knob), name) for loc, stage in stages(experiment) for knob, name in stage.judges())


def claims_of(experiment: Experiment) -> tuple[Claim, ...]:
    """All claims that some stage makes, or a stage nested in its knobs, each name once, in order."""
    records = (*(stage for _, stage in stages(experiment)), experiment.aggregate)
    claims = [claim for stage in records for _, part in stage.parts() for claim in part.claims()]
    return tuple({claim.name: claim for claim in reversed(claims)}.values())[::-1]


def promised_claims(experiment: Experiment) -> tuple[Claim, ...]:
    """The claims that a promise may be about, in order."""
    return tuple(claim for claim in claims_of(experiment) if claim.promisable)
