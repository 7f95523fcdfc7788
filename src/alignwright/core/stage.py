"""What does a stage say of itself? Knobs, and what plan, check, estimate, cache key and report ask
of every stage.

Kinds of stage grow, the questions asked of them do not: so a record answers for itself, without
torch, and one match in each section's `run.py` says what a stage *does*. Most answers are read from
marks on the knobs: `Reads` on one that names data files, `NamesModel` on one that names a model,
`NamesJudge` on one that names what scores replies, `Effort` on one that the dial of effort fills.
A union in each section's `knobs.py` is the list of its kinds; there is no registry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol, TypeVar, cast

from pydantic import Field

from alignwright.core.claims import Claim, claim_named
from alignwright.core.constitution import Constitution
from alignwright.core.cost import Cost, Size
from alignwright.core.model_shape import ModelShape
from alignwright.core.records import Record
from alignwright.core.section import FindingTable, Section

EffortName = Literal["demo", "study", "full"]
IntentPart = Literal["prompts", "pairs", "people", "constitution"]
Rows = Literal["prompts", "pairs", "votes", "conversations", "choices", "questions", "labels", "attacks", "transcripts"]
Use = Literal["trained", "watched", "measured", "examined", "settings", "tasks"]
Knob = tuple[str | int, ...]
"""A knob's path inside its stage: ("prompts",), ("stop", "gold")."""
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0.0)]
VOTED: tuple[IntentPart, ...] = ("pairs", "people", "constitution")
"""The parts of `intent` from which comparisons and written votes come."""
NEW_TOKENS = "the longest reply in tokens (from effort)"
BUILT_IN = ("reward", "feedback")
"""Judges of replies that are jobs of the run and no file."""
FilePath = Callable[[str], Path]
T = TypeVar("T")
Mark = TypeVar("Mark", "Reads", "NamesModel", "NamesJudge", "Effort")


@dataclass(frozen=True)
class Reads:
    """The knob names data files. `kind`: what its rows are, or the record that each becomes; None
    where a file is no rows (rules, wrappers). `use`: rows that are examined are training data that is
    looked over, and may be trained on too. `besides`: values that name no file. `folder`: it may be
    a folder."""

    kind: Rows | type[Record] | None = None
    use: Use = "measured"
    besides: tuple[str, ...] = ()
    folder: bool = False


@dataclass(frozen=True)
class NamesModel:
    """The knob names who judges or attacks: self (the start model), a model, or a server. `rules`:
    functions that a Python file has, which may stand there instead. `no_server`: why it can be no
    server; empty where it can. `opponent`: it speaks to the model that the stage is applied to, and is
    that one only where it is called self."""

    rules: tuple[str, ...] = ()
    no_server: str = ""
    opponent: bool = False


@dataclass(frozen=True)
class NamesJudge:
    """The knob names what scores replies: reward (the last reward stage), feedback (the voters), a
    YAML file of rules, file.py:function, or the folder of a reward model."""


@dataclass(frozen=True)
class Effort:
    """What the three efforts give to a knob that the spec leaves open."""

    demo: int
    study: int
    full: int


class Sizes(Protocol):
    """What a stage may ask to count its tokens. `begins`: whether it is applied to the start model."""

    @property
    def begins(self) -> bool: ...

    @property
    def scores_texts(self) -> bool:
        """Whether the model gives log-probabilities of given texts; one behind a server does not."""
        ...

    @property
    def prompts(self) -> Size:
        """The prompts of `intent`."""
        ...

    @property
    def pairs(self) -> Size:
        """The written pairs of `intent`; `replies` is both of them."""
        ...

    @property
    def reply_pairs(self) -> Size:
        """Pairs of the replies that are collected before the votes."""
        ...

    def files(self, stage: Stage, *knob: str) -> Size:
        """The rows of all files that a knob of the stage names."""
        ...

    def each(self, stage: Stage, *knob: str) -> tuple[Size, ...]:
        """The rows of each of these files."""
        ...

    def training_rows(self, stage: Stage) -> Size | None:
        """The rows that a training stage keeps; None where nothing is known of them before the run."""
        ...

    def readings(self, judge: str) -> int:
        """How often a model reads a reply so that this judge can score it."""
        ...

    def principles(self, names: tuple[str, ...] | str) -> int:
        """How many principles are named by these slugs, or by `all`."""
        ...

    def path(self, name: str) -> Path:
        """Where a file of the spec lies."""
        ...


@dataclass(frozen=True)
class KnobRows:
    """The rows of one file that a knob names, and the number of each in the file."""

    knob: Knob
    file: str
    rows: Sequence[Any]
    numbers: Sequence[int]


@dataclass(frozen=True)
class Setting:
    """What a stage may ask of the spec in which it stands, to find knobs without effect."""

    path: Callable[[str], Path]
    """Where a file of the spec lies."""
    effort: EffortName
    intent: frozenset[IntentPart]
    """The parts of `intent` that are given."""
    collects: bool
    """Whether replies are collected."""
    votes: bool
    """Whether there are voters."""
    revises: bool
    """Whether a voter makes replies of its own."""
    min_strength: float
    """Pairs whose winner is less sure than this are left out."""
    before: tuple[tuple[Knob, Stage], ...] = ()
    """The training stages that come before it, each with its path: ("train", 0, "sft")."""
    model: ModelShape | None = None
    """The model that is measured first, where its files are looked at."""

    @property
    def preferences(self) -> bool:
        """Whether there are votes, of voters or of people, or a stage before that makes preferences."""
        return self.votes or "people" in self.intent or any(stage.makes_preferences for _, stage in self.before)

    @property
    def comparisons(self) -> bool:
        """Whether there is something to vote on."""
        return bool({"pairs", "people", "constitution"} & self.intent) or self.collects or self.revises


class Stage(Record):
    """Knobs, and what every stage is asked."""

    intent: ClassVar[tuple[IntentPart, ...]] = ()
    """The parts of the spec's `intent` that it reads."""
    seeded: ClassVar[bool] = True
    """Whether its result can depend on the run's seed. One that cannot (it reads log-probabilities and
    greedy replies alone) is given the seed 0, and runs that differ in their seeds share it."""
    makes_comparisons: ClassVar[bool] = False
    """Of a voter: whether it writes replies of its own, which later voters can compare."""
    makes_preferences: ClassVar[bool] = False
    """Of a stage of training: whether it leaves preferences for the stages after it."""
    compares: ClassVar[Literal["nothing", "start", "before", "all"]] = "nothing"
    """Of a measure: which of its own measurements of earlier models it reads."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Installed packages whose version can change its result."""
    rated_by_people: ClassVar[bool] = False
    """Of a measure: whether it is answered by people's votes on its replies, which come after the run."""
    of_model: ClassVar[bool] = True
    """Of a measure: whether it is of a model. One that is not (it reads what is recorded) is done once."""
    tries_reward: ClassVar[bool] = False
    """Of a measure: whether it tries a reward on the start model before anything is trained on it."""

    def claims(self) -> tuple[Claim, ...]:
        """What it measures. A name that ends with `*` stands for every name that begins so."""
        return ()

    def estimate(self, sizes: Sizes) -> Cost:  # noqa: ARG002 - for stages that need a model
        """The tokens that it comes to. (A `cost` is a knob of training.)"""
        return Cost()

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:  # noqa: ARG002 - for stages that have some
        """Its knobs that do nothing in this spec, each with the reason; () is the stage itself.
        (`problems` are a knob: what is to be calculated.)"""
        yield from ()

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:  # noqa: ARG003 - of most kinds nothing is to be shown
        """What a report shows of the findings of this kind of stage besides its tables."""
        return None

    def file_faults(
        self,
        setting: Setting,  # noqa: ARG002 - for stages that read settings from files
        constitution: Constitution | None,  # noqa: ARG002
    ) -> Iterator[tuple[Knob, str]]:
        """What is wrong with its files that hold no rows, or with the constitution as it uses it."""
        yield from ()

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:  # noqa: ARG002
        """Rows of its files that could not do what is asked of them, and knobs with too few of them."""
        yield from ()

    @classmethod
    def unanswered(cls, claim: str, files: Sequence[KnobRows]) -> str | None:  # noqa: ARG003
        """Why no row of all stages of this kind answers a claim that it makes; None where some do."""
        return None

    def part_names(
        self,
        whole: str,  # noqa: ARG002 - for stages whose parts can be told before the run
        files: Sequence[KnobRows],  # noqa: ARG002
        path: FilePath,  # noqa: ARG002
    ) -> list[str] | None:
        """The parts of which a claim of it will have numbers, by its knobs and the rows of its files; None where
        they are not known before the run."""
        return None

    def item_topics(
        self,
        claim: str,  # noqa: ARG002 - for stages whose items can be told before the run
        files: Sequence[KnobRows],  # noqa: ARG002
        path: FilePath,  # noqa: ARG002
    ) -> list[str] | None:
        """The topic of each item of which a claim of it will be a share or a mean, by the rows of its files; none
        where it is asked of no row, None where that is not known before the run. What so many items can show is
        said by them. `path`: where a file of the spec lies."""
        return None

    def best_limit(
        self,
        claim: str,  # noqa: ARG002 - for stages whose number is no mean
        sizes: Sequence[int],  # noqa: ARG002
    ) -> float | None:
        """Of a claim that is no mean over its items: where the interval of the best model ends, with items in topics
        of these sizes. None of means."""
        return None

    def unvalidated(self, claim: str, files: Sequence[KnobRows]) -> str:  # noqa: ARG002 - for those with labels
        """Why nobody will know how often the grader of a claim of it is right, so that a promise on it can only be
        untested; "" where somebody may."""
        return claim_named(claim, self.claims()).unvalidated

    def parts(self) -> Iterator[tuple[Knob, Stage]]:
        """The stage, and those nested in its knobs."""
        yield (), self
        for name in type(self).model_fields:
            if isinstance(part := getattr(self, name), Stage):
                yield from (((name, *knob), nested) for knob, nested in part.parts())

    def marked(self, mark: type[Mark]) -> Iterator[tuple[Knob, Any, Mark]]:
        """The knobs that carry such a mark, those of nested stages among them, with their values."""
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            yield from (((name,), value, each) for each in field.metadata if isinstance(each, mark))
            if isinstance(value, Stage):
                yield from (((name, *knob), nested, each) for knob, nested, each in value.marked(mark))

    def files(self) -> Iterator[tuple[Knob, str, Reads]]:
        """Every file that it names, each with its place. Of a rule's reference see `judges`."""
        for knob, value, reads in self.marked(Reads):
            if isinstance(value, str):
                yield knob, value, reads
            for place, name in enumerate(cast("tuple[str, ...]", value) if isinstance(value, tuple) else ()):
                if name not in reads.besides:
                    yield (*knob, place), name, reads

    def models(self) -> Iterator[tuple[Knob, str, NamesModel]]:
        """Every model that it names beside the one it is applied to."""
        return ((knob, value, mark) for knob, value, mark in self.marked(NamesModel) if value is not None)

    def judges(self) -> Iterator[tuple[Knob, str]]:
        """Every judge of replies that it names."""
        return ((knob, value) for knob, value, _ in self.marked(NamesJudge) if value is not None)

    @property
    def converses(self) -> bool:
        """Whether it needs a model that takes turns: one with a chat template."""
        return True

    def why_converses(self) -> str | None:
        """Why it cannot be done with plain text, where the spec says that its model reads nothing
        else (`chat: none`); None where it can."""
        return "it puts conversations to the model" if self.converses else None

    @property
    def judged(self) -> bool:
        """Whether judges of replies are needed, which training may have to make first."""
        return any(True for _ in self.judges())

    @property
    def idle(self) -> frozenset[str]:
        """Knobs that do nothing beside what the others say: written they are an error, and no effort fills them."""
        return frozenset()

    def fill(self, effort: EffortName) -> dict[str, int]:
        """The values that this effort gives to the knobs that it leaves open."""
        own = {str(knob[0]): getattr(mark, effort) for knob, value, mark in self.marked(Effort) if value is None}
        return {name: value for name, value in own.items() if name not in self.idle}


def rows_under(files: Sequence[KnobRows], knob: str) -> list[Any]:
    """The rows of all files that this knob names."""
    return [row for file in files if file.knob[0] == knob for row in file.rows]


def written_knobs(record: Record) -> dict[str, Any]:
    """What was written of a record. Its defaults are left out: given again they would count as
    written, and as options without effect."""
    return {name: getattr(record, name) for name in record.model_fields_set}


def resolved(value: T | None) -> T:
    """A knob that effort fills, once it has been filled."""
    if value is None:
        raise ValueError("this knob is still open: pass the experiment through resolve_effort first")
    return value
