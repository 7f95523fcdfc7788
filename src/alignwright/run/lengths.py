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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from alignwright.core.records import Comparison, Conversation, Labelled, Preference, Prompt
from alignwright.experiment.experiment import Experiment
from alignwright.files.items import ChoiceItem, FaithfulItem, Item, MeantItem, OpinionItem, TextItem
from alignwright.files.models import resolve
from alignwright.files.public_questions import PersonaItem, read_questions
from alignwright.run import inputs
from alignwright.train.knobs_loop import Training

if TYPE_CHECKING:
    from alignwright.model.tokens import Chat

T = TypeVar("T")

SAMPLE = 200
BYTES = 4.0
TEMPLATE = 25
"""Tokens that a chat template adds, where the model's own is not at hand."""
PROMPT, REPLY, DOCUMENT = 60, 45, 170
"""Tokens of a typical prompt with its template, of a written reply, and of a document, for files
that are not here."""
UNCOUNTED = 1000


@dataclass(frozen=True)
class Size:
    """How many rows there are, and their mean tokens: `prompt` is the text that is asked,
    `replies` all texts that answer it, together."""

    rows: int
    prompt: float
    replies: float = 0.0

    def at_most(self, limit: int | None) -> Size:
        return self if limit is None or limit >= self.rows else Size(limit, self.prompt, self.replies)

    @property
    def tokens(self) -> float:
        """Tokens of all rows, prompts and replies."""
        return self.rows * (self.prompt + self.replies)


@dataclass
class Lengths:
    """The sizes of one spec's files, each found once. Without `chat` tokens are counted by bytes."""

    experiment: Experiment
    chat: Chat | None = None
    longest: int | None = None
    _known: dict[object, Size] = field(default_factory=dict[object, Size])

    def prompts(self, files: Sequence[str]) -> Size:
        return self._once(("prompts", *files), files, lambda: self._asked(inputs.prompts(self.experiment, files)))

    def pairs(self, files: Sequence[str]) -> Size:
        """Written pairs: `replies` is both of them."""
        return self._once(
            ("pairs", *files), files, lambda: self._compared(inputs.pairs(self.experiment, files)), replies=2 * REPLY
        )

    def items(self, files: Sequence[str], kind: type[Item]) -> Size:
        """Held-out items: the text that is asked, and the answers that are offered with it."""
        return self._once(
            (kind.__name__, *files), files, lambda: self._offered(inputs.items(self.experiment, files, kind, None))
        )

    def choices(self, files: Sequence[str]) -> Size:
        return self._once(
            ("choices", *files), files, lambda: self._offered(inputs.choices(self.experiment, files, None)[0])
        )

    def documents(self, files: Sequence[str]) -> Size:
        def read() -> Size:
            texts = [item.text for item in inputs.items(self.experiment, files, TextItem, None)]
            return self._mean(texts, lambda text: (self.count(text) + 1, 0))

        return self._once(("documents", *files), files, read, prompt=DOCUMENT)

    def questions(self, files: Sequence[str]) -> Size:
        """Open questions."""

        def read() -> Size:
            bad_rows = self.experiment.intent.bad_rows
            asked = [
                question
                for name in files
                for question in read_questions(self.experiment.source(name), bad_rows=bad_rows).rows
            ]
            return self._mean(asked, lambda question: (self.conversation(question.conversation), 0))

        return self._once(("questions", *files), files, read)

    def learnt(self, stage: Training) -> Size | None:
        """The rows that a training stage keeps, whole; None where nothing that it learns from is
        known before the run."""
        from alignwright.run.doctor import longest_row, rows_of, sources_before  # what `check` shows is what is counted

        sources, _ = sources_before(stage, self.experiment)
        if not sources:
            return None
        sample = inputs.spread(sources, SAMPLE)
        if self.chat is None:
            lengths = [self._bytes_of(source) for source in sample]
            limit = None
        else:
            rows, kind = rows_of(stage, sample, self.chat)
            lengths, limit = [len(row) for row in rows], longest_row(stage, kind, self.longest)
        kept = [length for length in lengths if limit is None or length <= limit]
        return Size(round(len(sources) * len(kept) / len(lengths)), sum(kept) / len(kept)) if kept else Size(0, 0.0)

    def count(self, text: str) -> int:
        """Tokens of a text as it is."""
        return len(self.chat.reply(text, end=False)) if self.chat is not None else round(len(text.encode()) / BYTES)

    def conversation(self, conversation: Conversation) -> int:
        """Tokens of a conversation up to the assistant's header."""
        if self.chat is not None:
            return len(self.chat.prompt(conversation))
        return TEMPLATE + sum(self.count(message.content) for message in conversation.messages)

    def _once(
        self, key: object, files: Sequence[str], read: Callable[[], Size], *, prompt: int = PROMPT, replies: int = 0
    ) -> Size:
        if key not in self._known:
            absent = [name for name in files if not self.experiment.path(name).is_file()]
            self._known[key] = Size(UNCOUNTED * len(files), prompt, replies) if absent else read()
        return self._known[key]

    def _asked(self, prompts: Sequence[Prompt]) -> Size:
        return self._mean(prompts, lambda row: (self.conversation(row.conversation), 0))

    def _compared(self, pairs: Sequence[Comparison]) -> Size:
        return self._mean(
            pairs,
            lambda row: (self.conversation(row.prompt.conversation), sum(self.count(r.text) + 1 for r in row.replies)),
        )

    def _offered(self, items: Sequence[Item]) -> Size:
        def sizes(item: Item) -> tuple[int, int]:
            question, answers = _parts(item)
            return self.conversation(Conversation.user(question)), sum(self.count(answer) + 1 for answer in answers)

        return self._mean(items, sizes)

    def _mean(self, rows: Sequence[T], size: Callable[[T], tuple[int, int]]) -> Size:
        sizes = [size(row) for row in inputs.spread(rows, SAMPLE)]
        count = max(1, len(sizes))
        return Size(len(rows), sum(asked for asked, _ in sizes) / count, sum(replied for _, replied in sizes) / count)

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
    from alignwright.model.tokenizer import load_tokenizer_without_torch

    found = load_tokenizer_without_torch(resolve(experiment.model, experiment.folder), experiment.date)
    return Lengths(experiment, found.chat, found.longest) if found else Lengths(experiment)


def _parts(item: Item) -> tuple[str, tuple[str, ...]]:
    """What of an item is asked, and what is offered as answers to it."""
    match item:
        case OpinionItem():
            return f"{item.opinion} {item.question}", (item.right, item.wrong)
        case MeantItem():
            return item.prompt, (item.meant, item.literal)
        case ChoiceItem():
            return item.question, item.choices
        case FaithfulItem():
            return item.request, ()
        case PersonaItem():
            return item.stem, item.choices or item.answers
        case _:
            texts = [
                value
                for name, value in item.model_dump().items()
                if isinstance(value, str) and name not in ("topic", "kind", "id")
            ]
            return " ".join(texts), ()
