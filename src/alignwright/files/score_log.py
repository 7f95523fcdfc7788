"""What does an evaluation's log say of each item: which claim, which score, which prompt and reply?

One form for the logs of all tools that are read: a `ScoreLog` of claims, each with a score an item.
A score that is missing, not a number or empty is None, with the reason: it is counted, and never
taken for 0 as a mean over a log's own numbers may do. Items of two logs are the same where `item` is,
which is made of what was asked and not of a place in a file alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

from alignwright.core.claims import Better, Range

Kind = Literal["run", "inspect", "lm_eval", "garak", "jailbreakbench"]
CLUSTERS = ("topic", "category", "subject", "cluster")
"""Keys of an item's metadata that say which items belong together, the first that is there."""


class ItemScore(NamedTuple):
    """One item's score once: of several epochs there is one each."""

    item: str
    """By this an item is found in another log."""
    name: str
    """What a person finds it by."""
    value: float | None
    cluster: str = ""
    prompt: str = ""
    reply: str = ""
    reason: str = ""
    place: str = ""
    """Where in the log the reply lies, when it is read only as it is shown."""


@dataclass(frozen=True)
class ScoredClaim:
    """One thing that was scored, item by item."""

    name: str
    scores: Sequence[ItemScore]
    better: Better = "higher"
    unit: str = "score"
    within: Range = (-math.inf, math.inf)
    """Between which limits a score can lie."""
    part: bool = False
    """Whether it is a part of a broader claim of the same log."""


@dataclass(frozen=True)
class ScoreLog:
    """All that a log says item by item. `notes` is what a reader should know of it."""

    path: str
    kind: Kind
    claims: tuple[ScoredClaim, ...]
    notes: tuple[str, ...] = ()
    reply_at: Callable[[str], str] | None = None
    """The reply that lies at a place in the log."""

    def reply(self, score: ItemScore) -> str:
        return self.reply_at(score.place) if score.place and self.reply_at else score.reply


def cluster_of(metadata: object) -> str:
    """Which items an item belongs to by its metadata; empty where they do not say."""
    fields = cast("dict[str, Any]", metadata) if isinstance(metadata, dict) else {}
    return next((str(fields[key]) for key in CLUSTERS if isinstance(fields.get(key), str | int)), "")


def unit_and_range(values: Sequence[float | None]) -> tuple[str, Range]:
    """The unit of a log's scores and their limits: a share where every value is from 0 to 1."""
    is_share = all(value is None or 0 <= value <= 1 for value in values)
    return ("share", (0.0, 1.0)) if is_share else ("score", (-math.inf, math.inf))
