"""Which reply does the principle make likelier? Contrastive prompts as a self-reward, no judge's
words needed.

A reply is scored by the log-likelihood ratio between a model told to follow the principle and the
same model told to do its opposite; the reply with the higher ratio wins. The idea is that of
contrastive prompts as a self-reward (DLMA, Liu et al. 2024, arXiv 2402.11907). Each reply is scored
alone, so there is no order to be biased by.

The ratio is taken per token. Its sum would be the evidence of an ideal observer, but it grows with
length: between two long replies it is always certain, and between a long and a short one the long
one's noise decides. `scale` says how many tokens' worth of evidence a vote is: strength =
sigmoid(scale * (s_a - s_b)). What an `JudgeCache` keeps is the ratio of each reply, so neither a
reply that is added nor another scale asks for the others again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from alignwright.core.constitution import Principle
from alignwright.core.protocols import Policy
from alignwright.core.records import Comparison, Conversation, Message, Vote
from alignwright.feedback.votes import Answer, pairs_of, principles_for, votes
from alignwright.job.judge_cache import JudgeCache
from alignwright.stats.scalars import sigmoid


@dataclass
class ContrastVoter:
    """Principles vote by contrast, each on the comparisons that name it and on those that name
    none. A vote's reason is the slug.

    `num_asked` and `num_reused` count the replies scored so far, once for each principle, and those
    whose score `store` knew.
    """

    policy: Policy
    principles: tuple[Principle, ...]
    name: str = "contrast"
    scale: float = 10.0
    store: JudgeCache | None = None
    num_asked: int = field(default=0, init=False)
    num_reused: int = field(default=0, init=False)

    def __call__(self, comparisons: Sequence[Comparison]) -> list[tuple[Vote, ...]]:
        return [votes(answers, self.name) for answers in self.answers(comparisons)]

    def answers(self, comparisons: Sequence[Comparison]) -> list[tuple[Answer, ...]]:
        questions = [
            (i, principle)
            for i, comparison in enumerate(comparisons)
            for principle in principles_for(comparison.prompt, self.principles)
        ]
        scores = self._scores([(comparisons[i], principle) for i, principle in questions])
        answers: list[list[Answer]] = [[] for _ in comparisons]
        for (i, principle), score in zip(questions, scores, strict=True):
            for a, b in pairs_of(comparisons[i]):
                p = sigmoid(self.scale * (score[a] - score[b]))
                answers[i].append(Answer(a, b, forward=p, backward=1.0 - p, reason=principle.slug))
        return [tuple(each) for each in answers]

    def _scores(self, questions: Sequence[tuple[Comparison, Principle]]) -> list[list[float]]:
        rows = _rows(questions)
        single = [(row, text) for row in rows for text in row.replies]
        if self.store is None:
            self.num_asked += len(single)
            return _ratios(self.policy, rows)
        keys = [self.store.key("contrast", row.follow.id, row.oppose.id, text) for row, text in single]
        values, new = self.store.answer(keys, lambda places: _some(self.policy, [single[place] for place in places]))
        self.num_asked, self.num_reused = self.num_asked + new, self.num_reused + len(single) - new
        remaining = iter(values)
        return [[_number(next(remaining)) for _ in row.replies] for row in rows]


@dataclass(frozen=True)
class _ContrastRow:
    """Replies to one conversation, under the principle and under its opposite."""

    follow: Conversation
    oppose: Conversation
    replies: tuple[str, ...]


def contrast(policy: Policy, questions: Sequence[tuple[Comparison, Principle]]) -> list[list[float]]:
    """For each comparison and principle, each reply's log-likelihood ratio, principle over
    opposite, in nats per token."""
    return _ratios(policy, _rows(questions))


def _rows(questions: Sequence[tuple[Comparison, Principle]]) -> list[_ContrastRow]:
    instructed = [
        (comparison, _instructed(FOLLOW, comparison, principle), _instructed(OPPOSE, comparison, principle))
        for comparison, principle in questions
    ]
    return [
        _ContrastRow(follow, oppose, tuple(reply.text for reply in comparison.replies))
        for comparison, follow, oppose in instructed
    ]


def _ratios(policy: Policy, rows: Sequence[_ContrastRow]) -> list[list[float]]:
    replies = [row.replies for row in rows]
    follow = policy.logprobs([row.follow for row in rows], replies)
    oppose = policy.logprobs([row.oppose for row in rows], replies)
    return [
        [f.per_token - o.per_token for f, o in zip(fs, os, strict=True)] for fs, os in zip(follow, oppose, strict=True)
    ]


def _some(policy: Policy, rows: Sequence[tuple[_ContrastRow, str]]) -> list[float]:
    """The ratios of single replies; those to one conversation are scored together, because they
    share its tokens."""
    texts: dict[_ContrastRow, dict[str, float]] = {}
    for row, text in rows:
        texts.setdefault(row, {})[text] = 0.0
    for row, ratios in zip(
        texts,
        _ratios(policy, [_ContrastRow(row.follow, row.oppose, tuple(replies)) for row, replies in texts.items()]),
        strict=True,
    ):
        texts[row] = dict(zip(texts[row], ratios, strict=True))
    return [texts[row][text] for row, text in rows]


def _number(stored: float | None) -> float:
    if stored is None:
        raise ValueError(
            "the stored answers hold no number where a contrast had one; delete the file, and its questions are asked"
            " again"
        )
    return stored


def _instructed(instruction: str, comparison: Comparison, principle: Principle) -> Conversation:
    """The conversation under the instruction, which goes before whatever the system message says
    already."""
    conversation = comparison.prompt.conversation
    text = instruction.format(principle=principle.text.strip())
    first, rest = conversation.messages[0], conversation.messages[1:]
    if first.role != "system":
        return Conversation(messages=(Message(role="system", content=text), *conversation.messages))
    return Conversation(messages=(Message(role="system", content=f"{text}\n\n{first.content}"), *rest))


FOLLOW = "Follow this principle in everything you say: {principle}"
OPPOSE = "Do the opposite of this principle in everything you say: {principle}"
