"""Which reply did a person label as good and which as bad? Labelled preference pairs as votes.

A written pair is a vote: the good reply over the bad one, certain, in the name of the pair's
principle. The examples of a constitution are such pairs as well (`files.constitution.pairs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alignwright.core.records import Comparison, Vote

GOOD, BAD = "written:good", "written:bad"


@dataclass
class LabelVoter:
    """Votes each `written:good` reply over each `written:bad` one; silent on replies that nobody
    labelled."""

    name: str = "written"

    def __call__(self, comparisons: Sequence[Comparison]) -> list[tuple[Vote, ...]]:
        return [self._votes(comparison) for comparison in comparisons]

    def _votes(self, comparison: Comparison) -> tuple[Vote, ...]:
        speakers = [reply.speaker for reply in comparison.replies]
        pairs = [
            (i, j) for i, good in enumerate(speakers) for j, bad in enumerate(speakers) if (good, bad) == (GOOD, BAD)
        ]
        return tuple(Vote(voter=self.name, prefers=i, over=j, reason=comparison.prompt.principle) for i, j in pairs)
