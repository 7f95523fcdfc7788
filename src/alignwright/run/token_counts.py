"""How many tokens do a spec's rows have? Counted by the model's own tokenizer on a sample of them,
without torch.

Of each group of files at most `SAMPLE` rows, spread evenly, are turned into tokens, and the mean
stands for all. What a training stage will learn from is looked at as the data doctor does: rows
that are too long to be kept are not counted. Where the tokenizer is not at hand (a model that is
still to be fetched, or one whose tokenizer would need torch) a token is taken to be `BYTES` bytes,
and the bill says so. A file that would have to be fetched is taken to have `UNCOUNTED` rows of
typical length.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from alignwright.core.cost import DOCUMENT, PROMPT, REPLY, Cost, Size
from alignwright.core.records import Comparison, Conversation, Labelled, Preference, Prompt, Record
from alignwright.core.stage import Rows, Stage
from alignwright.experiment.experiment import Experiment
from alignwright.files.items import Item, TextItem
from alignwright.files.models import resolve
from alignwright.files.public_questions import FreeQuestion
from alignwright.files.replies import LabelledReply
from alignwright.files.reward_folder import names_folder
from alignwright.files.server import is_server
from alignwright.job.data import subsample_evenly
from alignwright.job.job import Job
from alignwright.model.template_errors import NoTemplate
from alignwright.train.knobs_loop import Training

if TYPE_CHECKING:
    from alignwright.model.tokens import Chat
    from alignwright.run.doctor import KnownData

SAMPLE = 200
BYTES = 4.0
TEMPLATE = 25
"""Tokens that a chat template adds, where the model's own is not at hand."""
UNCOUNTED = 1000


@dataclass
class Lengths:
    """The sizes of one spec's files, each counted once: what a stage is told (`core.stage.Sizes`).
    Without `chat` tokens are counted by bytes."""

    experiment: Experiment
    chat: Chat | None = None
    longest: int | None = None
    begins: bool = True
    _sizes: dict[object, Size] = field(default_factory=dict[object, Size])
    _left_out: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])

    @property
    def scores_texts(self) -> bool:
        return not is_server(self.experiment.model)

    @property
    def prompts(self) -> Size:
        return self.files(self.experiment.intent, "prompts")

    @property
    def pairs(self) -> Size:
        return self.files(self.experiment.intent, "pairs")

    @property
    def reply_pairs(self) -> Size:
        return self.experiment.collect.pairs(self) if self.experiment.collect else Size(0, 0.0)

    def files(self, stage: Stage, *knob: str) -> Size:
        names = [(name, reads) for place, name, reads in stage.files() if place[: len(knob)] == knob]
        return self._size(names[0][1].kind, tuple(name for name, _ in names)) if names else Size(0, 0.0)

    def each(self, stage: Stage, *knob: str) -> tuple[Size, ...]:
        return tuple(
            self._size(reads.kind, (name,)) for place, name, reads in stage.files() if place[: len(knob)] == knob
        )

    def readings(self, judge: str) -> int:
        """Once by a reward model and by each voter that is a model; by a rule never."""
        if judge == "feedback":
            return sum(voter.readings for voter in self.experiment.feedback)
        return int(judge == "reward" or names_folder(judge))

    def principles(self, names: tuple[str, ...] | str) -> int:
        constitution = self.experiment.data.constitution if names == "all" else None
        return len(constitution.principles) if constitution is not None else len(names)

    def path(self, name: str) -> Path:
        return self.experiment.path(name)

    def training_rows(self, stage: Stage) -> Size | None:
        """The rows that a training stage keeps, whole; None where nothing that it learns from is
        known before the run."""
        from alignwright.train.doctor import longest_row, rows_of

        if not isinstance(stage, Training):
            return None
        sources, _ = self._known.sources(stage)
        if not sources:
            return None
        sample = subsample_evenly(sources, SAMPLE)
        if self.chat is None:
            lengths = [self._bytes_of(source) for source in sample]
            limit = None
        else:
            rows, kind = rows_of(stage, sample, self.chat)
            lengths, limit = [len(row) for row in rows], longest_row(stage, kind, self.longest)
        fitting = [length for length in lengths if limit is None or length <= limit]
        self._left_out[stage.id] = round(len(sources) * (1 - len(fitting) / len(lengths))), len(sources)
        return (
            Size(round(len(sources) * len(fitting) / len(lengths)), sum(fitting) / len(fitting))
            if fitting
            else Size(0, 0.0)
        )

    @cached_property
    def _known(self) -> KnownData:
        from alignwright.run.doctor import KnownData  # what `check` shows is what is counted

        return KnownData(self.experiment)

    def left_out(self, stage: Stage) -> str:
        """How many rows of a training stage are longer than it reads, in words; nothing where none is."""
        count, rows = self._left_out.get(stage.id, (0, 0))
        if not count:
            return ""
        if count == rows:
            return f"all {rows:,} rows are too long: nothing is left to learn from"
        about = "about " if rows > SAMPLE else ""
        return f"without {about}{count:,} of {rows:,} rows, which are too long"

    def count(self, text: str) -> int:
        """Tokens of a text as it is."""
        return len(self.chat.reply(text, end=False)) if self.chat is not None else round(len(text.encode()) / BYTES)

    def conversation(self, conversation: Conversation) -> int:
        """Tokens of a conversation up to the assistant's header; about so many where no template
        writes it: what is read as plain text has a question and answers as well."""
        if self.chat is not None and self.chat.writes:
            return len(self.chat.prompt(conversation))
        return TEMPLATE + sum(self.count(message.content) for message in conversation.messages)

    def _size(self, kind: Rows | type[Record] | None, files: tuple[str, ...]) -> Size:
        key = (kind, *files)
        if key not in self._sizes:
            absent = any(not self.experiment.path(name).is_file() for name in files)
            self._sizes[key] = _uncounted(kind, len(files)) if absent else self._count_files(kind, files)
        return self._sizes[key]

    def _count_files(self, kind: Rows | type[Record] | None, files: tuple[str, ...]) -> Size:
        rows = [row for name in files for row in self.experiment.data.read(name, kind).rows]
        tokens = [self._tokens(row) for row in subsample_evenly(rows, SAMPLE)]
        count = max(1, len(tokens))
        return Size(len(rows), sum(prompt for prompt, _ in tokens) / count, sum(reply for _, reply in tokens) / count)

    def _tokens(self, row: object) -> tuple[int, int]:
        """Tokens of what a row asks, and of all that is offered as an answer to it."""
        match row:
            case Prompt() | FreeQuestion():
                return self.conversation(row.conversation), 0
            case Comparison():
                return self.conversation(row.prompt.conversation), sum(self.count(r.text) + 1 for r in row.replies)
            case Conversation():  # a whole one, which ends with the reply
                *turns, reply = [self.count(message.content) for message in row.messages]
                return TEMPLATE + sum(turns), reply + 1
            case TextItem():
                return self.count(row.text) + 1, 0
            case LabelledReply():
                return self.conversation(row.prompt), self.count(row.reply)
            case Item():
                question = self.conversation(Conversation.user(row.shown))
                return question, sum(self.count(answer) + 1 for answer in row.offers)
            case _:
                raise TypeError(f"a {type(row).__name__} is asked of no model by itself")

    def _bytes_of(self, source: object) -> int:
        match source:
            case str():
                return self.count(source)
            case Conversation():
                return self.conversation(source)
            case Prompt():
                return self.conversation(source.conversation)
            case Labelled():
                return self.conversation(source.prompt.conversation) + self.count(source.reply)
            case Preference():
                return (
                    self.conversation(source.prompt.conversation)
                    + self.count(source.chosen)
                    + self.count(source.rejected)
                )
            case _:
                raise TypeError(f"a training stage cannot learn from {type(source).__name__}")


def lengths_of(experiment: Experiment) -> Lengths:
    """With the model's tokenizer where it can be had without torch."""
    if is_server(experiment.model):
        return Lengths(experiment)
    from alignwright.model.tokenizer import load_tokenizer_without_torch

    tokenizer = load_tokenizer_without_torch(
        resolve(experiment.model, experiment.folder), experiment.date, experiment.chat_format
    )
    return Lengths(experiment, tokenizer.chat, tokenizer.longest) if tokenizer else Lengths(experiment)


def cost(job: Job, lengths: Lengths) -> Cost:
    """What a job comes to. Raises NoTemplate where it is none: the model takes no turns."""
    if job.stage.converses and lengths.chat is not None and not (lengths.chat.writes or lengths.experiment.chat):
        raise NoTemplate
    lengths.begins = job.model == "baseline"
    return job.stage.estimate(lengths)


def _uncounted(kind: Rows | type[Record] | None, files: int) -> Size:
    """Of files that are still to be fetched."""
    return Size(UNCOUNTED * files, DOCUMENT if kind is TextItem else PROMPT, 2 * REPLY if kind == "pairs" else 0)
