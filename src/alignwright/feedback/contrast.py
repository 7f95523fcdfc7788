"""Which reply is more of the principle's making?

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

from alignwright.core.protocols import Policy
from alignwright.core.records import Comparison, Conversation, Message, Principle, Vote
from alignwright.feedback.judge_cache import JudgeCache
from alignwright.feedback.votes import Answer, pairs_of, principles_for, votes
from alignwright.stats.scalars import sigmoid


@dataclass
class ContrastVoter:
    """Principles vote by contrast, each on the comparisons that name it and on those that name
    none. A vote's reason is the slug.

    `asked` and `reused` count the replies scored so far, once for each principle, and those whose
    score `store` knew.
    """

    policy: Policy
    principles: tuple[Principle, ...]
    name: str = "contrast"
    scale: float = 10.0
    store: JudgeCache | None = None
    asked: int = field(default=0, init=False)
    reused: int = field(default=0, init=False)

    def __call__(self, comparisons: Sequence[Comparison]) -> list[tuple[Vote, ...]]:
        return [votes(answers, self.name) for answers in self.answers(comparisons)]

    def answers(self, comparisons: Sequence[Comparison]) -> list[tuple[Answer, ...]]:
        asked = [
            (i, principle)
            for i, comparison in enumerate(comparisons)
            for principle in principles_for(comparison.prompt, self.principles)
        ]
        scores = self._scores([(comparisons[i], principle) for i, principle in asked])
        answers: list[list[Answer]] = [[] for _ in comparisons]
        for (i, principle), score in zip(asked, scores, strict=True):
            for a, b in pairs_of(comparisons[i]):
                p = sigmoid(self.scale * (score[a] - score[b]))
                answers[i].append(Answer(a, b, forward=p, backward=1.0 - p, reason=principle.slug))
        return [tuple(said) for said in answers]

    def _scores(self, asked: Sequence[tuple[Comparison, Principle]]) -> list[list[float]]:
        rows = _rows(asked)
        single = [(row, text) for row in rows for text in row.replies]
        if self.store is None:
            self.asked += len(single)
            return _ratios(self.policy, rows)
        keys = [self.store.key("contrast", row.follow.id, row.oppose.id, text) for row, text in single]
        found, new = self.store.answer(keys, lambda places: _some(self.policy, [single[place] for place in places]))
        self.asked, self.reused = self.asked + new, self.reused + len(single) - new
        left = iter(found)
        return [[_number(next(left)) for _ in row.replies] for row in rows]


@dataclass(frozen=True)
class _Row:
    """Replies to one conversation, under the principle and under its opposite."""

    follow: Conversation
    oppose: Conversation
    replies: tuple[str, ...]


def contrast(policy: Policy, asked: Sequence[tuple[Comparison, Principle]]) -> list[list[float]]:
    """For each comparison and principle, each reply's log-likelihood ratio, principle over
    opposite, in nats per token."""
    return _ratios(policy, _rows(asked))


def _rows(asked: Sequence[tuple[Comparison, Principle]]) -> list[_Row]:
    told = [
        (comparison, _told(FOLLOW, comparison, principle), _told(OPPOSE, comparison, principle))
        for comparison, principle in asked
    ]
    return [
        _Row(follow, oppose, tuple(reply.text for reply in comparison.replies)) for comparison, follow, oppose in told
    ]


def _ratios(policy: Policy, rows: Sequence[_Row]) -> list[list[float]]:
    replies = [row.replies for row in rows]
    follow = policy.logprobs([row.follow for row in rows], replies)
    oppose = policy.logprobs([row.oppose for row in rows], replies)
    return [
        [f.per_token - o.per_token for f, o in zip(fs, os, strict=True)] for fs, os in zip(follow, oppose, strict=True)
    ]


def _some(policy: Policy, asked: Sequence[tuple[_Row, str]]) -> list[float]:
    """The ratios of single replies; those to one conversation are scored together, because they
    share its tokens."""
    texts: dict[_Row, dict[str, float]] = {}
    for row, text in asked:
        texts.setdefault(row, {})[text] = 0.0
    for row, ratios in zip(
        texts, _ratios(policy, [_Row(row.follow, row.oppose, tuple(held)) for row, held in texts.items()]), strict=True
    ):
        texts[row] = dict(zip(texts[row], ratios, strict=True))
    return [texts[row][text] for row, text in asked]


def _number(stored: float | None) -> float:
    if stored is None:
        raise ValueError(
            "the stored answers hold no number where a contrast had one; delete the file, and its questions are asked"
            " again"
        )
    return stored


def _told(instruction: str, comparison: Comparison, principle: Principle) -> Conversation:
    """The conversation under the instruction, which goes before whatever the system message says
    already."""
    conversation = comparison.prompt.conversation
    told = instruction.format(principle=principle.text.strip())
    first, rest = conversation.messages[0], conversation.messages[1:]
    if first.role != "system":
        return Conversation(messages=(Message(role="system", content=told), *conversation.messages))
    return Conversation(messages=(Message(role="system", content=f"{told}\n\n{first.content}"), *rest))


FOLLOW = "Follow this principle in everything you say: {principle}"
OPPOSE = "Do the opposite of this principle in everything you say: {principle}"
