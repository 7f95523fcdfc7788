"""Which reply is more of the principle's making?

A reply is scored by the log-likelihood ratio between a model told to follow the principle and the same model told to do its
opposite; the reply with the higher ratio wins. The idea is that of contrastive prompts as a self-reward (DLMA, Liu et al. 2024,
arXiv 2402.11907). Each reply is scored alone, so there is no order to be biased by.

The ratio is taken per token. Its sum would be the evidence of an ideal observer, but it grows with length: between two long replies
it is always certain, and between a long and a short one the long one's noise decides. `scale` says how many tokens' worth of
evidence a vote is: strength = sigmoid(scale * (s_a - s_b)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from alignwright.core.protocols import Policy
from alignwright.core.records import Comparison, Conversation, Message, Principle, Vote
from alignwright.feedback.votes import Answer, pairs_of, principles_for, votes


@dataclass
class ContrastVoter:
    """Principles vote by contrast, each on the comparisons that name it and on those that name none. A vote's reason is the slug."""

    policy: Policy
    principles: tuple[Principle, ...]
    name: str = "contrast"
    scale: float = 10.0

    def __call__(self, comparisons: Sequence[Comparison]) -> list[tuple[Vote, ...]]:
        return [votes(answers, self.name) for answers in self.answers(comparisons)]

    def answers(self, comparisons: Sequence[Comparison]) -> list[tuple[Answer, ...]]:
        asked = [(i, principle) for i, comparison in enumerate(comparisons) for principle in principles_for(comparison.prompt, self.principles)]
        scores = contrast(self.policy, [(comparisons[i], principle) for i, principle in asked])
        answers: list[list[Answer]] = [[] for _ in comparisons]
        for (i, principle), score in zip(asked, scores, strict=True):
            for a, b in pairs_of(comparisons[i]):
                p = sigmoid(self.scale * (score[a] - score[b]))
                answers[i].append(Answer(a, b, forward=p, backward=1.0 - p, reason=principle.slug))
        return [tuple(said) for said in answers]


def contrast(policy: Policy, asked: Sequence[tuple[Comparison, Principle]]) -> list[list[float]]:
    """For each comparison and principle, each reply's log-likelihood ratio, principle over opposite, in nats per token."""
    replies = [[reply.text for reply in comparison.replies] for comparison, _ in asked]
    follow = policy.logprobs([_told(FOLLOW, c.prompt.conversation, p) for c, p in asked], replies)
    oppose = policy.logprobs([_told(OPPOSE, c.prompt.conversation, p) for c, p in asked], replies)
    return [[f.per_token - o.per_token for f, o in zip(fs, os, strict=True)] for fs, os in zip(follow, oppose, strict=True)]


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), without overflow on either side."""
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))


def _told(instruction: str, conversation: Conversation, principle: Principle) -> Conversation:
    """The conversation under the instruction, which goes before whatever the system message says already."""
    told = instruction.format(principle=principle.text.strip())
    first, rest = conversation.messages[0], conversation.messages[1:]
    if first.role != "system":
        return Conversation(messages=(Message(role="system", content=told), *conversation.messages))
    return Conversation(messages=(Message(role="system", content=f"{told}\n\n{first.content}"), *rest))


FOLLOW = "Follow this principle in everything you say: {principle}"
OPPOSE = "Do the opposite of this principle in everything you say: {principle}"
