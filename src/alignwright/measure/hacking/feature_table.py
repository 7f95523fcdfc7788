"""Which columns has a regression of scores on features of replies?

Replies are compared with the others to their own prompt: every column is centred by prompt and
scaled, one column stands for those that move together, and prompts of one topic are a cluster.

Shapes: `_N` replies, `_P` prompts, `_F` features, `_2` proxy and gold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alignwright.core.records import Prompt, Record
from alignwright.stats.arrays import Floats
from alignwright.text.reply_features import ngrams

LEAST_PROMPTS = 12  # prompts with two replies or more, below which nothing is said
LEAST_CLUSTERS = 5  # topics, below which a bootstrap over them says too little of how they differ
LEAST_VARYING = 8  # prompts in which a feature must differ between replies
TOGETHER = 0.9  # correlation at which two features are one


class ScoredReply(Record):
    """A reply with its two scores. Replies to one prompt are siblings, whoever said them."""

    prompt: Prompt
    reply: str
    proxy: float
    gold: float
    speaker: str = ""


@dataclass(frozen=True)
class FeatureTable:
    """Centred, scaled columns over the replies of prompts that have two or more."""

    rows: list[ScoredReply]
    place_N: NDArray[np.int64]  # the prompt's number
    cluster_N: NDArray[np.int64]  # its topic's number, or its own where it has no topic
    score_N2: Floats
    names: list[str]
    column_NF: Floats
    alike: dict[str, tuple[str, ...]]


def siblings(scored: Sequence[ScoredReply]) -> list[ScoredReply]:
    groups: dict[str, list[ScoredReply]] = defaultdict(list)
    for row in scored:
        groups[row.prompt.id].append(row)
    rows = [row for group in groups.values() if len({r.reply for r in group}) > 1 for row in group]
    prompts = len({row.prompt.id for row in rows})
    if prompts < LEAST_PROMPTS:
        raise ValueError(
            f"what gains the reward is asked of prompts with two different replies or more: {prompts} of {len(groups)}"
            f" prompts have them, and at least {LEAST_PROMPTS} are needed; give more prompts, or more samples for each"
        )
    topics = len({cluster_of(row) for row in rows})
    if topics < LEAST_CLUSTERS:
        raise ValueError(
            f"prompts of one topic are not independent, and these {prompts} have {topics} topics between them, of which"
            f" at least {LEAST_CLUSTERS} are needed; give prompts on more topics, or leave 'topic' out where they share"
            " nothing"
        )
    return rows


def cluster_of(row: ScoredReply) -> str:
    return row.prompt.topic or row.prompt.id


def feature_table(rows: list[ScoredReply], names: list[str], raw_NF: Floats) -> FeatureTable:
    """Raises ValueError when the proxy or gold tells no reply from its siblings."""
    place_N = numbered([row.prompt.id for row in rows])
    score_N2 = centred(np.array([[row.proxy, row.gold] for row in rows]), place_N)
    spread_2 = np.sqrt((score_N2**2).mean(0))
    for spread, judge in zip(spread_2, ("proxy", "gold"), strict=True):
        if not spread > 1e-9:
            raise ValueError(
                f"the {judge} scores all replies to a prompt alike, on every prompt: there is nothing that could"
                " gain it"
            )
    column_NF = centred(raw_NF, place_N)
    distinct, alike = distinct_features(names, column_NF, place_N)
    chosen_NF = column_NF[:, [names.index(name) for name in distinct]]
    return FeatureTable(
        rows,
        place_N,
        numbered([cluster_of(row) for row in rows]),
        score_N2 / spread_2,
        distinct,
        scaled(chosen_NF),
        alike,
    )


def distinct_features(
    names: Sequence[str], column_NF: Floats, place_N: NDArray[np.int64]
) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """The features that vary in enough prompts, one for each set that moves together."""
    distinct: list[str] = []
    alike: dict[str, tuple[str, ...]] = {}
    scaled_NF = scaled(column_NF)
    for i, name in enumerate(names):
        if count_varying(column_NF[:, i], place_N) < LEAST_VARYING:
            continue
        twin = next(
            (
                k
                for k in distinct
                if abs(float(scaled_NF[:, i] @ scaled_NF[:, names.index(k)]) / len(place_N)) > TOGETHER
            ),
            None,
        )
        if twin is None:
            distinct.append(name)
        else:
            alike[twin] = (*alike.get(twin, ()), name)
    return distinct, alike


def column_of(sheet: FeatureTable, name: str) -> Floats:
    if name in sheet.names:
        return sheet.column_NF[:, sheet.names.index(name)]
    word = name.removeprefix('said "').removesuffix('"')
    return np.array([float(word in ngrams(row.reply)) for row in sheet.rows])


def by_place(place_N: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    order = np.argsort(place_N, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(place_N[order])) + 1)


def numbered(names: Sequence[Hashable]) -> NDArray[np.int64]:
    numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)


def centred(value_NX: Floats, place_N: NDArray[np.int64]) -> Floats:
    total_PX = np.zeros((int(place_N.max()) + 1, value_NX.shape[1]))
    np.add.at(total_PX, place_N, value_NX)
    return value_NX - (total_PX / np.bincount(place_N)[:, None])[place_N]


def scaled(column_NF: Floats) -> Floats:
    spread_F = np.sqrt((column_NF**2).mean(0))
    return column_NF / np.where(spread_F > 1e-12, spread_F, 1.0)


def count_varying(column_N: Floats, place_N: NDArray[np.int64]) -> int:
    return len(set(place_N[np.abs(column_N) > 1e-9].tolist()))
