"""What does every voter of pairwise comparisons have to agree on? Both orders are asked and
averaged against position bias.

A voter that is asked which of two replies is better is asked twice, with the replies in either
order. An `Answer` keeps both raw answers, so that position bias can be measured later; its `p` is
their average, which is exactly 1/2 for a voter that looks only at the position. The average is of
probabilities, not of log-odds: a voter that contradicts itself when the order is swapped ends near
1/2 and so carries no strength, however sure it was each time.

A judge that reasoned first is nearly always certain, and training on its certainty overshoots, so
its probabilities are clamped, to [0.4, 0.6] in Constitutional AI (Bai et al. 2022, arXiv
2212.08073, section 4.1). The raw answers stay as they were given.

Where principles are drawn, each has a lot of its own, a hash of the seed, of what it is drawn for
and of its slug, and the lowest lots win. So a principle whose text is edited keeps its draws, and
one that is added takes only the draws that it wins.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Protocol

from alignwright.core.constitution import Principle
from alignwright.core.protocols import Voter
from alignwright.core.records import Comparison, Prompt, Vote, content_id


@dataclass(frozen=True)
class Answer:
    """Replies `a` and `b` of one comparison, put to a voter in both orders. None: the voter gave no
    readable answer.

    `forward` is the probability that the reply shown first is better with `a` shown first,
    `backward` the same with `b` first, both raw; `width` is how far from 1/2 either may count,
    `unreadable` what came instead of an answer that could be read.
    """

    a: int
    b: int
    forward: float | None
    backward: float | None
    reason: str = ""
    width: float = 0.5
    unreadable: tuple[str, ...] = field(default=(), compare=False)

    @property
    def p(self) -> float | None:
        """The probability that `a` is better, clamped in each order and averaged over both."""
        if self.forward is None or self.backward is None:
            return None
        return 0.5 + 0.5 * (clamp(self.forward, self.width) - clamp(self.backward, self.width))

    def vote(self, voter: str) -> Vote | None:
        """The vote this answer comes to: for the likelier reply, or None where an order went unanswered."""
        if (p := self.p) is None:
            return None
        winner, loser = (self.a, self.b) if p >= 0.5 else (self.b, self.a)
        return Vote(voter=voter, prefers=winner, over=loser, strength=max(p, 1.0 - p), reason=self.reason)


class ModelVoter(Voter, Protocol):
    """Principles that vote through a model, whose raw answers, in both orders, can be read
    before they become votes."""

    @property
    def principles(self) -> tuple[Principle, ...]: ...

    def answers(self, comparisons: Sequence[Comparison]) -> list[tuple[Answer, ...]]: ...


def votes(answers: Sequence[Answer], voter: str) -> tuple[Vote, ...]:
    return tuple(vote for answer in answers if (vote := answer.vote(voter)) is not None)


def cast_votes(voter: Voter, comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons, in order, each with this voter's votes added."""
    return [comparison.with_votes(new) for comparison, new in zip(comparisons, voter(comparisons), strict=True)]


def clamp(p: float, width: float) -> float:
    """The probability, but no further from 1/2 than `width`: with 0.1 it is min(0.6, max(0.4, p))."""
    return min(0.5 + width, max(0.5 - width, p))


def pairs_of(comparison: Comparison) -> list[tuple[int, int]]:
    """Every two replies of a comparison, the earlier first."""
    return list(combinations(range(len(comparison.replies)), 2))


def principles_for(prompt: Prompt, principles: Sequence[Principle]) -> list[Principle]:
    """A prompt that names a principle is judged by that principle alone, if it is among those
    that vote; any other prompt by all."""
    return [principle for principle in principles if prompt.principle in ("", principle.slug)]


def draw_principles(principles: Sequence[Principle], count: int, *lot: object) -> list[Principle]:
    """`count` of the principles, or all where there are fewer, by the hash of `lot` and their
    slugs; in the order in which they are given."""
    lots = {principle.slug: content_id(*lot, principle.slug) for principle in principles}
    winners = sorted(lots, key=lots.__getitem__)[:count]
    return [principle for principle in principles if principle.slug in winners]


def draw_principle(prompt: Prompt, principles: Sequence[Principle], *lot: object) -> Principle:
    """The principle that a reply to the prompt is written or revised by: its own where it names
    one of these, else one drawn of all."""
    own = [principle for principle in principles if principle.slug == prompt.principle]
    return draw_principles(own or principles, 1, *lot, prompt.id)[0]


def words(text: str) -> list[str]:
    """The words of a text, whatever their case and the signs between them."""
    return re.findall(r"\w+", text.casefold())


def repeats(text: str, source: str, run: int) -> bool:
    """Whether the text has `run` words of the source in a row, or all of its words where it has
    fewer."""
    text_words, source_words = words(text), words(source)
    run = min(run, len(source_words))
    runs = {tuple(text_words[i : i + run]) for i in range(len(text_words) - run + 1)}
    return run > 0 and any(tuple(source_words[i : i + run]) in runs for i in range(len(source_words) - run + 1))
