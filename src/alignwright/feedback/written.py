"""What did somebody write down as good and as bad?

A written pair is a vote: the good reply over the bad one, certain, in the name of the pair's principle. A constitution's examples
are pairs as well: every good reply of an example against every bad one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alignwright.core.records import Comparison, Constitution, Prompt, Reply, Vote

GOOD, BAD = "written:good", "written:bad"


@dataclass
class WrittenVoter:
    """Votes each `written:good` reply over each `written:bad` one; silent on replies that nobody labelled."""

    name: str = "written"

    def __call__(self, comparisons: Sequence[Comparison]) -> list[tuple[Vote, ...]]:
        return [self._votes(comparison) for comparison in comparisons]

    def _votes(self, comparison: Comparison) -> tuple[Vote, ...]:
        speakers = [reply.speaker for reply in comparison.replies]
        pairs = [(i, j) for i, good in enumerate(speakers) for j, bad in enumerate(speakers) if (good, bad) == (GOOD, BAD)]
        return tuple(Vote(voter=self.name, prefers=i, over=j, reason=comparison.prompt.principle) for i, j in pairs)


def examples(constitution: Constitution) -> list[Comparison]:
    """A constitution's written examples as comparisons without votes, each good reply with each bad one.

    The topic is the example's own name, because pairs of one example are not independent.
    """
    found: list[Comparison] = []
    for principle in constitution.principles:
        for number, example in enumerate(principle.examples, start=1):
            prompt = Prompt(conversation=example.conversation, topic=f"{principle.slug}.{number}", principle=principle.slug)
            found += [_pair(prompt, good, bad) for good in example.good for bad in example.bad if good != bad]
    return found


def _pair(prompt: Prompt, good: str, bad: str) -> Comparison:
    return Comparison(prompt=prompt, replies=(Reply(text=good, parent=prompt.id, speaker=GOOD), Reply(text=bad, parent=prompt.id, speaker=BAD)))
