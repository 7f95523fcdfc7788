"""Who does what? The six roles of the system, as structural types.

Anything that speaks, scores or votes fits: a local model, an endpoint, a rule, a scripted double in
a test. Sequences go in and come out in the same order. `seed` makes a call repeatable: same
arguments, same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from alignwright.core.records import Comparison, Conversation, LogProb, Prompt, Reply, Score, Vote


@runtime_checkable
class ChatModel(Protocol):
    """Anything that answers."""

    name: str

    def generate(
        self,
        prompts: Sequence[Conversation],
        *,
        n: int = 1,
        max_new_tokens: int = 128,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> list[list[Reply]]:
        """`n` replies to each prompt; temperature 0 is greedy. `Reply.parent` is the conversation's id."""
        ...


@runtime_checkable
class Policy(ChatModel, Protocol):
    """A chat model whose probabilities can be read."""

    def logprobs(
        self, prompts: Sequence[Conversation], replies: Sequence[Sequence[str]], *, prefix: str = "", end: bool = True
    ) -> list[list[LogProb]]:
        """Log-probability of each reply to each prompt. `prefix` starts the assistant's turn
        unscored; `end` scores its end token too."""
        ...

    def text_logprobs(self, texts: Sequence[str]) -> list[LogProb]:
        """Log-probability of plain texts, without a chat template, for bits per byte."""
        ...


@runtime_checkable
class SharesBeginnings(Protocol):
    """A policy that can read what many texts begin with once."""

    def beginnings_shared(self) -> AbstractContextManager[None]:
        """While it is open, given texts are read so: faster, and the same numbers up to rounding."""
        ...


class PlainReader(Protocol):
    """Whose probabilities of plain text can be read, without a chat template."""

    def continuation_logprobs(
        self, texts: Sequence[str], continuations: Sequence[Sequence[str]]
    ) -> list[list[LogProb]]:
        """Log-probability of each continuation of each text."""
        ...


@dataclass(frozen=True)
class ShortAnswer:
    """What came of one short question: a text without the model's thoughts, or `why` there is
    none; and the options' log-probabilities."""

    text: str | None
    logprobs: Mapping[str, float] | None = None
    why: str = ""


@runtime_checkable
class ShortAnswerer(Protocol):
    """A speaker whose answers come one by one and may fail one by one, as those of a server do."""

    def short_answers(
        self,
        prompts: Sequence[Conversation],
        *,
        options: Sequence[str] = (),
        thoughts: int = 0,
        follow: Callable[[Conversation, str], Conversation] | None = None,
        seed: int | None = None,
    ) -> Iterator[tuple[int, ShortAnswer]]:
        """Each prompt's place and answer, as they come; an error at the end where not all could
        be asked."""
        ...


class AnswerFile(Protocol):
    """Where the answers of one judge are kept between runs, so that none is paid for twice."""

    def key(self, *question: object) -> str:
        """What a question is kept under."""
        ...

    def answer_each(
        self, keys: Sequence[str], ask: Callable[[list[int]], Iterable[tuple[int, float | None]]]
    ) -> tuple[list[float | None], int]:
        """The answer to each key, and how many were asked; `ask` yields the answers to the
        places it is given, which are kept as they come."""
        ...


class Judge(Protocol):
    """Anything that scores a conversation that ends with the assistant's reply. None: it cannot say."""

    name: str

    def __call__(self, conversations: Sequence[Conversation]) -> list[Score | None]: ...


class Voter(Protocol):
    """Anything that votes on comparisons: for each, the votes it casts, none where it has
    nothing to say."""

    name: str

    def __call__(self, comparisons: Sequence[Comparison]) -> list[tuple[Vote, ...]]: ...


class RewardFn(Protocol):
    """Anything that says how good each of several replies to a prompt is: what a policy is trained
    to raise. None: it cannot say.

    A reward model and a rule score a reply by itself; voters score it against its siblings. Scores
    of one prompt share a scale.
    """

    name: str

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]: ...
