"""Which of the admissible calls does a model choose, so that one acts that is too small to write calls (constrained
decoding)?

Where the weights are here, each call's text is scored by how much likelier the task makes it: its log-probability
in the conversation less that in the same conversation without the task (pointwise mutual information; Holtzman et
al. 2021, arXiv 2104.08315). A mean per token was tried and left out: the bundled model then never called `done()`,
used up all that was admissible, and went as far in twins as in scenarios. Calls of one turn share their
conversation, which is read once.

A server scores no given text. There the calls are listed under letters, in both orders, and the likeliest letter is
taken, by the server's own log-probabilities (`job.lettered`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alignwright.core.protocols import Policy
from alignwright.core.records import Conversation, LogProb, Message
from alignwright.job.lettered import Letters, served_letters, with_options
from alignwright.job.remote_model import RemoteModel
from alignwright.measure.conduct.agent.episodes import AgentTurn, ChosenCall
from alignwright.measure.conduct.agent.state import StateCall

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ASK, WHICH = "Answer with the letter alone.", "Which call is next?"
NO_PREFERENCE = "no preference: the two best calls are as likely as each other"


@dataclass(frozen=True)
class ByTaskInformation:
    """Chooses by the policy's own log-probabilities of the calls, with the task and without it."""

    policy: Policy

    def __call__(self, turns: Sequence[AgentTurn]) -> list[ChosenCall]:
        # Without the task a scenario and its twin are often one and the same: each conversation is read once.
        readings: dict[tuple[str, tuple[StateCall, ...]], Conversation] = {}
        for turn in turns:
            readings |= {(each.id, turn.calls): each for each in (turn.conversation, turn.without_task)}
        texts = [tuple(call.text for call in calls) for _, calls in readings]
        groups = self.policy.logprobs(list(readings.values()), texts) if readings else []
        scores: dict[tuple[str, tuple[StateCall, ...]], list[LogProb]] = dict(zip(readings, groups, strict=True))
        return [_best(turn.calls, _gains(scores, turn)) for turn in turns]


def _gains(scores: Mapping[tuple[str, tuple[StateCall, ...]], Sequence[LogProb]], turn: AgentTurn) -> list[float]:
    """How much likelier the task makes each call."""
    with_task, without = (scores[each.id, turn.calls] for each in (turn.conversation, turn.without_task))
    return [a.total - b.total for a, b in zip(with_task, without, strict=True)]


@dataclass(frozen=True)
class ByServedLetters:
    """Chooses by the letters of a model behind a server. Raises NotServed where it gives no log-probabilities."""

    remote: RemoteModel

    def __call__(self, turns: Sequence[AgentTurn]) -> list[ChosenCall]:
        if not turns:
            return []
        questions = [
            (with_calls(turn.conversation, calls), tuple(LETTERS[: len(calls)]))
            for turn in turns
            for calls in (turn.calls, turn.calls[::-1])
        ]
        letters = served_letters(self.remote, questions)
        return [_by_letters(turn.calls, letters[2 * k : 2 * k + 2]) for k, turn in enumerate(turns)]


def with_calls(conversation: Conversation, calls: Sequence[StateCall]) -> Conversation:
    """The conversation with the calls listed at its end."""
    text = with_options(f"{conversation.last.content}\n\n{WHICH}", [call.text for call in calls], ASK)
    return Conversation(messages=(*conversation.messages[:-1], Message(role="user", content=text)))


def _by_letters(calls: tuple[StateCall, ...], orders: Letters) -> ChosenCall:
    first, reverse = orders
    if len(calls) > len(LETTERS):
        return ChosenCall(None, f"{len(calls)} calls are possible, and there are {len(LETTERS)} letters")
    if first is None or reverse is None:
        return ChosenCall(None, "the server gave no log-probabilities of its letters")
    there, back = (list(order.values()) for order in (first, reverse))
    return _best(calls, [a + b for a, b in zip(there, back[::-1], strict=True)])


def _best(calls: Sequence[StateCall], scores: Sequence[float]) -> ChosenCall:
    """The best call; none on a tie, since which came first in the list would decide it."""
    if not all(map(math.isfinite, scores)):
        return ChosenCall(None, "no usable log-probability of a call")
    ranking = sorted(range(len(calls)), key=lambda place: -scores[place])
    if len(calls) > 1 and scores[ranking[0]] == scores[ranking[1]]:
        return ChosenCall(None, NO_PREFERENCE)
    return ChosenCall(calls[ranking[0]])
