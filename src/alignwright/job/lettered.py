"""Which of the listed options does a model choose, by the letters' log-probabilities?

The options stand under letters, and the likeliest letter as the first word of the answer is the choice:
by the model's own log-probabilities where its weights are here, by the server's behind a server, so that both
are asked alike. A small model likes one letter whatever stands under it, so a choice that matters is asked
for in both orders, and each option's log-probabilities are averaged (`settled`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from string import ascii_uppercase

from alignwright.core.protocols import ChatModel, Policy
from alignwright.core.records import Conversation
from alignwright.job.context import JobContext
from alignwright.job.first_words import first_words
from alignwright.job.needs import NotServed
from alignwright.job.remote_model import RemoteModel

ASK = "Answer with the letter alone."
NO_LETTERS = "the model is behind a server, which gave no log-probabilities of the letters that it was asked for"
Letters = Sequence[Mapping[str, float] | None]


@dataclass(frozen=True)
class LetteredQuestion:
    """A question and its options, in the order in which they are listed."""

    question: str
    options: tuple[str, ...]
    system: str = ""
    ask: str = ASK

    @property
    def letters(self) -> tuple[str, ...]:
        return tuple(ascii_uppercase[: len(self.options)])

    @property
    def conversation(self) -> Conversation:
        return Conversation.user(with_options(self.question, self.options, self.ask), system=self.system or None)

    @property
    def reverse(self) -> LetteredQuestion:
        """The same with the options in the other order."""
        return LetteredQuestion(self.question, self.options[::-1], self.system, self.ask)


LetterLogprobs = Callable[[Sequence[LetteredQuestion]], Letters]


@dataclass(frozen=True)
class ChosenOption:
    """The option that is chosen; None on a tie or without log-probabilities, and `why`. `margin` is the
    log-probability by which it leads."""

    option: str | None
    why: str = ""
    margin: float = 0.0


def letter_reader(job: JobContext) -> LetterLogprobs:
    """How the job's model is asked for letters, all questions at once. What it gives may raise NotServed."""
    remote = job.models.served
    return reader_of(job.policy() if remote is None else remote)


def reader_of(model: Policy | RemoteModel) -> LetterLogprobs:
    """How a model here, or one behind a server, is asked for letters."""
    return partial(_by_server, model) if isinstance(model, RemoteModel) else partial(by_policy, model)


def letters_of(judge: ChatModel, name: str) -> LetterLogprobs:
    """How a judge by this name is asked for letters. Raises NotServed where it gives no log-probabilities of them."""
    if isinstance(judge, (RemoteModel, Policy)):
        return reader_of(judge)
    raise NotServed(f"the judge {name!r} gives no log-probabilities of letters")


def by_policy(policy: Policy, questions: Sequence[LetteredQuestion]) -> list[Mapping[str, float] | None]:
    """The log-probability of each letter as the beginning of the reply."""
    if not questions:
        return []
    scores = first_words(policy, [each.conversation for each in questions], [each.letters for each in questions])
    return [
        dict(zip(each.letters, (score.total for score in group), strict=True))
        for each, group in zip(questions, scores, strict=True)
    ]


def _by_server(remote: RemoteModel, questions: Sequence[LetteredQuestion]) -> Sequence[Mapping[str, float] | None]:
    return served_letters(remote, [(each.conversation, each.letters) for each in questions])


def served_letters(model: RemoteModel, questions: Sequence[tuple[Conversation, tuple[str, ...]]]) -> Letters:
    """The log-probabilities of each question's letters. Raises NotServed where the server gave none of any."""
    letters = model.letter_logprobs(questions)
    if questions and not any(letters):
        raise NotServed(NO_LETTERS)
    return letters


def with_options(question: str, options: Sequence[str], ask: str) -> str:
    """The question, its options under letters, and what is asked for."""
    lines = [f"{letter}. {option}" for letter, option in zip(ascii_uppercase, options, strict=False)]
    return "\n".join([question, "", *lines, "", ask])


def chosen(reader: LetterLogprobs, questions: Sequence[LetteredQuestion]) -> list[ChosenOption]:
    """The choice of each question as it is listed."""
    return [_best([_by_option(each, letters)]) for each, letters in zip(questions, reader(questions), strict=True)]


def settled(reader: LetterLogprobs, questions: Sequence[LetteredQuestion]) -> list[ChosenOption]:
    """The choice of each question whatever the order of its options: both orders are asked, and averaged."""
    return [_best(orders) for orders in _both_orders(reader, questions)]


def leads(reader: LetterLogprobs, questions: Sequence[LetteredQuestion]) -> list[float | None]:
    """By how much the first option of each question leads the second, in nats, both orders averaged; None
    where a log-probability is missing."""
    values = list[float | None]()
    for question, orders in zip(questions, _both_orders(reader, questions), strict=True):
        first, second = question.options[:2]
        lead = [order[first] - order[second] for order in orders if order is not None]
        whole = len(lead) == len(orders) and all(map(math.isfinite, lead))
        values.append(math.fsum(lead) / len(lead) if whole else None)
    return values


def _both_orders(
    reader: LetterLogprobs, questions: Sequence[LetteredQuestion]
) -> list[list[Mapping[str, float] | None]]:
    letters = reader([each for question in questions for each in (question, question.reverse)])
    return [
        [_by_option(question, letters[2 * place]), _by_option(question.reverse, letters[2 * place + 1])]
        for place, question in enumerate(questions)
    ]


def _by_option(question: LetteredQuestion, letters: Mapping[str, float] | None) -> Mapping[str, float] | None:
    if letters is None:
        return None
    return {option: letters[letter] for option, letter in zip(question.options, question.letters, strict=True)}


def _best(orders: Sequence[Mapping[str, float] | None]) -> ChosenOption:
    present = [order for order in orders if order is not None]
    if len(present) < len(orders):
        return ChosenOption(None, "the server gave no log-probabilities of its letters")
    means = {option: math.fsum(order[option] for order in present) / len(present) for option in present[0]}
    if not all(map(math.isfinite, means.values())):
        return ChosenOption(None, f"no usable log-probability: {means}")
    ranking = sorted(means, key=lambda option: -means[option])
    margin = means[ranking[0]] - means[ranking[1]]
    if margin == 0.0:
        return ChosenOption(None, "no preference: the options are as likely as each other")
    return ChosenOption(ranking[0], "", margin)
