"""Which texts is a probe fitted to, and which is it tried on?

Whole topics are held out, so that a probe cannot know a text by what it is about: about three tenths of the topics
of each kind (positive, negative, both), in an order that their names fix. Where a topic cannot be left out (fewer
than two of a kind, or a side without one of the labels) rows are, and that is said. Of what is left a quarter chooses
the layer.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

HELD_OUT, CHOOSING = 0.3, 0.25


@dataclass(frozen=True)
class Split:
    """Indices of the texts: what the probe is fitted to while the layer is chosen, what chooses it, and what it is
    tried on. `by`: what was held out, in words."""

    fit: tuple[int, ...]
    choose: tuple[int, ...]
    test: tuple[int, ...]
    by: str


def split(topics: Sequence[str], positive: Sequence[bool], keys: Sequence[str]) -> Split:
    """`keys` name the texts, by which those of one kind are put in order. Raises ValueError where a concept has
    too few texts of one kind."""
    counts = (sum(positive), len(positive) - sum(positive))
    if min(counts) < 8:
        raise ValueError(
            f"{counts[0]} positive and {counts[1]} negative texts: a probe needs at least 8 of each kind; give more"
        )
    test = _topics_out(topics, positive)
    by = f"{len({topics[i] for i in test})} of {len(set(topics))} topics held out" if test else "rows held out"
    test = test or _rows_out(range(len(keys)), positive, keys, HELD_OUT)
    rest = sorted(set(range(len(keys))) - set(test))
    choose = _rows_out(rest, positive, keys, CHOOSING)
    fit = tuple(i for i in rest if i not in set(choose))
    return Split(fit, tuple(sorted(choose)), tuple(sorted(test)), by)


def _topics_out(topics: Sequence[str], positive: Sequence[bool]) -> list[int]:
    labels: dict[str, set[bool]] = defaultdict(set)
    for topic, label in zip(topics, positive, strict=True):
        labels[topic].add(label)
    kinds: dict[frozenset[bool], list[str]] = defaultdict(list)
    for topic in sorted(labels, key=_order):
        kinds[frozenset(labels[topic])].append(topic)
    out = {
        topic
        for names in kinds.values()
        for topic in names[: max(1, round(HELD_OUT * len(names))) if len(names) > 1 else 0]
    }
    test = [i for i, topic in enumerate(topics) if topic in out]
    rest = [i for i, topic in enumerate(topics) if topic not in out]
    both = all({positive[i] for i in side} == {True, False} for side in (test, rest))
    return test if both else []


def _rows_out(places: Sequence[int], positive: Sequence[bool], keys: Sequence[str], share: float) -> list[int]:
    out: list[int] = []
    for label in (True, False):
        own = sorted((i for i in places if positive[i] == label), key=lambda i: (_order(keys[i]), i))
        out += own[: max(1, round(share * len(own)))]
    return out


def _order(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
