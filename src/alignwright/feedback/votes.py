"""What does every voter have to agree on?

A voter that is asked which of two replies is better is asked twice, with the replies in either order. An `Answer` keeps both raw
answers, so that position bias can be measured later; its `p` is their average, which is exactly 1/2 for a voter that looks only at
the position. The average is of probabilities, not of log-odds: a voter that contradicts itself when the order is swapped ends near
1/2 and so carries no strength, however sure it was each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

from alignwright.core.protocols import Voter
from alignwright.core.records import Comparison, Principle, Prompt, Vote


@dataclass(frozen=True)
class Answer:
    """Replies `a` and `b` of one comparison, put to a voter in both orders. None: the voter gave no readable answer.

    `forward` is the probability that the reply shown first is better with `a` shown first, `backward` the same with `b` first.
    """

    a: int
    b: int
    forward: float | None
    backward: float | None
    reason: str = ""

    @property
    def p(self) -> float | None:
        """The probability that `a` is better, averaged over both orders."""
        if self.forward is None or self.backward is None:
            return None
        return 0.5 + 0.5 * (self.forward - self.backward)

    def vote(self, voter: str) -> Vote | None:
        """The vote this answer comes to: for the likelier reply, or None where an order went unanswered."""
        if (p := self.p) is None:
            return None
        winner, loser = (self.a, self.b) if p >= 0.5 else (self.b, self.a)
        return Vote(voter=voter, prefers=winner, over=loser, strength=max(p, 1.0 - p), reason=self.reason)


class AskedVoter(Voter, Protocol):
    """Principles that vote through a model, whose raw answers, in both orders, can be read before they become votes."""

    @property
    def principles(self) -> tuple[Principle, ...]: ...

    def answers(self, comparisons: Sequence[Comparison]) -> list[tuple[Answer, ...]]: ...


def votes(answers: Sequence[Answer], voter: str) -> tuple[Vote, ...]:
    return tuple(vote for answer in answers if (vote := answer.vote(voter)) is not None)


def cast_votes(voter: Voter, comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons, in order, each with this voter's votes added."""
    return [comparison.with_votes(new) for comparison, new in zip(comparisons, voter(comparisons), strict=True)]


def pairs_of(comparison: Comparison) -> list[tuple[int, int]]:
    """Every two replies of a comparison, the earlier first."""
    return list(combinations(range(len(comparison.replies)), 2))


def principles_for(prompt: Prompt, principles: Sequence[Principle]) -> list[Principle]:
    """A prompt that names a principle is judged by that principle alone, if it is among those that vote; any other prompt by all."""
    return [principle for principle in principles if prompt.principle in ("", principle.slug)]
