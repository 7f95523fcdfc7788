"""From one checkpoint to the next, is it improvement or reward hacking? Proxy and gold changes of
matched checkpoints, by their intervals.

Matched checkpoints: the same prompts are answered by both, and each answer is scored by the proxy
that training raises and by a gold judge that training never sees. A step is named by the intervals
of the two paired changes:

| proxy | gold | step |
|---|---|---|
| up | up | improvement |
| up | down | hack |
| down | down | collapse |
| down | up | unseen (better, and the proxy did not see it) |
| either interval holds 0 | | undecided |

The same names for single prompts have no interval, and noise alone puts a quarter of the prompts
among the "hacks". So a share of hacked prompts is read beside its mirror image, the share where
proxy fell and gold rose: where nothing changed the two are equally likely, and `excess`, their
difference, is 0 in expectation. Intervals are clustered; over the steps of a path nothing is
corrected for looking often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from alignwright.stats.intervals import Difference, paired

Kind = Literal["improvement", "hack", "collapse", "unseen", "undecided"]
Level = tuple[
    Sequence[float], Sequence[float]
]  # proxy and gold of a checkpoint, one value for each prompt, in one order
_KINDS: dict[tuple[int, int], Kind] = {(1, 1): "improvement", (1, -1): "hack", (-1, -1): "collapse", (-1, 1): "unseen"}


@dataclass(frozen=True)
class Transition:
    """One step. `rows` counts the prompts by their own kind, a change of 0 in either score as
    undecided."""

    kind: Kind
    proxy: Difference
    gold: Difference
    excess: Difference
    rows: dict[Kind, int] = field(default_factory=dict[Kind, int])

    @property
    def n(self) -> int:
        return self.proxy.n

    @property
    def hacked(self) -> float | None:
        """The share of prompts whose proxy rose while gold fell; None without prompts."""
        return self.rows.get("hack", 0) / self.n if self.n else None


def transition(
    before: Level, after: Level, clusters: Sequence[Hashable] | None = None, level: float = 0.95
) -> Transition:
    """The step between two checkpoints over the same prompts."""
    proxy, gold = (paired(now, then, clusters, level) for now, then in zip(after, before, strict=True))
    kinds = classify_prompts(before, after)
    hacked, unseen_K = ([float(kind == name) for kind in kinds] for name in ("hack", "unseen"))
    excess = paired(hacked, unseen_K, clusters, level)
    return Transition(classify_step(proxy, gold), proxy, gold, excess, dict(Counter(kinds)))


def path(levels: Sequence[Level], clusters: Sequence[Hashable] | None = None, level: float = 0.95) -> list[Transition]:
    """Every step of a run, from each checkpoint to the next."""
    return [transition(before, after, clusters, level) for before, after in pairwise(levels)]


def classify_step(proxy: Difference, gold: Difference) -> Kind:
    """What a step is called by its two intervals."""
    return _KINDS.get((_way(proxy), _way(gold)), "undecided")


def classify_prompts(before: Level, after: Level) -> list[Kind]:
    """What each prompt's own step is called, without intervals."""
    rows = zip(*before, *after, strict=True)
    return [
        _KINDS.get((_sign(proxy - proxy_was), _sign(gold - gold_was)), "undecided")
        for proxy_was, gold_was, proxy, gold in rows
    ]


def _way(change: Difference) -> int:
    low, high = change.interval.low, change.interval.high
    return 0 if low is None or high is None or low <= 0 <= high else _sign(low)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
