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
LEAST = 8
"""Texts of each kind that a probe needs."""


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
    if min(counts) < LEAST:
        raise ValueError(
            f"{counts[0]} positive and {counts[1]} negative texts: a probe needs at least {LEAST} of each kind; give"
            " more"
        )
    test = _topics_out(topics, positive)
    by = f"{len({topics[i] for i in test})} of {len(set(topics))} topics held out" if test else "rows held out"
    return around(test or _rows_out(range(len(keys)), positive, keys, HELD_OUT), positive, keys, by)


def around(test: Sequence[int], positive: Sequence[bool], keys: Sequence[str], by: str) -> Split:
    """The split that holds these texts out: of the others a quarter of each kind chooses the layer."""
    rest = sorted(set(range(len(keys))) - set(test))
    choose = _rows_out(rest, positive, keys, CHOOSING)
    fit = tuple(i for i in rest if i not in set(choose))
    return Split(fit, tuple(sorted(choose)), tuple(sorted(test)), by)


def topic_folds(topics: Sequence[str], positive: Sequence[bool], keys: Sequence[str], most: int) -> list[Split]:
    """Each text is held out once, together with its whole topic; so many parts at most. Raises ValueError where a
    topic cannot be left out."""
    names = sorted(set(topics), key=_order)
    count = min(most, len(names))
    parts = [[i for i, topic in enumerate(topics) if names.index(topic) % count == fold] for fold in range(count)]
    for part in parts:
        rest = [positive[i] for i in range(len(topics)) if i not in set(part)]
        if min(sum(rest), len(rest) - sum(rest)) < LEAST:
            raise ValueError(
                f"without the topic {topics[part[0]]!r} {sum(rest)} positive and {len(rest) - sum(rest)} negative texts"
                f" are left: a probe needs at least {LEAST} of each kind; give more topics"
            )
    return [around(part, positive, keys, f"each of {len(names)} topics held out in turn") for part in parts]


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
