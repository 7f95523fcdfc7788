"""What is written of a pair that votes decided? The preference, in whose name it was decided, and by
which group.

A rule of aggregation says which pairs of a comparison it is sure of, how sure, and what each weighs
(`SurePair`); here they become the records that training learns from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from alignwright.core.records import Comparison, Preference, Vote

_BY_PRINCIPLE = ("written", "contrast", "judge", "critique", "deliberate")
"""The voters whose reasons are slugs of principles; what others give as a reason is a check's
name, or prose."""


class SurePair(NamedTuple):
    """Reply `better` beats reply `worse` with probability `strength`; `weight` is its share of the
    comparison's."""

    better: int
    worse: int
    strength: float
    weight: float


def preferences(comparison: Comparison, votes: Sequence[Vote], pairs: Sequence[SurePair]) -> list[Preference]:
    """The preferences that these votes on a comparison came to."""
    decided = _DecidingVotes(votes)
    voters, texts = tuple(dict.fromkeys(vote.voter for vote in votes)), [reply.text for reply in comparison.replies]
    shared = Preference(prompt=comparison.prompt, chosen="", rejected="", voters=voters, parent=comparison.key)
    return [
        shared.model_copy(  # thousands of pairs share one list of voters
            update={
                "chosen": texts[i],
                "rejected": texts[j],
                "strength": strength,
                "weight": weight,
                "group": decided.group(i, j),
                "principles": decided.principles(i, j),
            }
        )
        for i, j, strength, weight in pairs
    ]


class _DecidingVotes:
    """Whose votes decided a pair, and in whose name. A pair that nobody voted on was decided by
    votes on others: all of them."""

    def __init__(self, votes: Sequence[Vote]) -> None:
        self.votes = votes
        self.on: dict[frozenset[int], list[int]] = {}
        self.for_reply: dict[int, list[int]] = {}
        self.against_reply: dict[int, list[int]] = {}
        for place, vote in enumerate(votes):
            self.on.setdefault(frozenset((vote.prefers, vote.over)), []).append(place)
            if vote.strength != 0.5 and vote.voter.split(":")[0] in _BY_PRINCIPLE:
                prefers, over = (vote.prefers, vote.over) if vote.strength > 0.5 else (vote.over, vote.prefers)
                self.for_reply.setdefault(prefers, []).append(place)
                self.against_reply.setdefault(over, []).append(place)
        self.of_all = _common_group(votes)

    def group(self, i: int, j: int) -> str:
        """The group that cast all the deciding votes; "" when they are of several groups or of none."""
        on = self.on.get(frozenset((i, j)))
        return self.of_all if on is None else _common_group([self.votes[place] for place in on])

    def principles(self, i: int, j: int) -> tuple[str, ...]:
        """The slugs in whose name votes raised reply i or lowered reply j, in the order of the votes."""
        siding = {*self.for_reply.get(i, ()), *self.against_reply.get(j, ())}
        if siding and (on := self.on.get(frozenset((i, j)))) is not None:
            siding.intersection_update(on)
        return tuple(dict.fromkeys(slug for place in sorted(siding) for slug in _slugs(self.votes[place].reason)))


def _common_group(votes: Sequence[Vote]) -> str:
    groups = {vote.group for vote in votes}
    return groups.pop() if len(groups) == 1 else ""


def _slugs(reason: str) -> Iterable[str]:
    return (slug for part in reason.split(",") if (slug := part.strip()))
