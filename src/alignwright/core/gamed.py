"""How is a reward gamed: which visible features of a reply does the proxy pay for that the gold
judge does not?

Both scores are centred within each prompt, so that what a prompt's replies share cancels out, and
divided by their spread; so are the features of `core.reply_features`. Both are regressed on all
features at once: a weight is how many standard deviations of score one standard deviation of the
feature brings, the others held. The excess, proxy weight less gold weight, is itself a regression
(of proxy less gold), tested with standard errors from a bootstrap over whole clusters (topics, else
prompts), Student's t, and Holm's correction.

A gold judge that is right but noisy has smaller weights all over, and every feature that is rightly
paid for would look overpaid. So gold is also regressed on the proxy and the features together. Were
the judges to differ by noise alone, no feature could have a weight there of the other sign than in
the proxy: what it is worth, the proxy says already. `missing` is that weight turned round: how much
less gold pays than the proxy promises. Of the features with a sure excess, of the sign of the
proxy's weight, one is

- `gamed` where something is surely missing too: of two replies that the proxy scores alike, alike
  in all else, gold likes the one with less of it. A feature's p is then the larger of its two,
  since both must hold, before Holm;
- `overpaid` otherwise: the proxy pays more, but a gold as noisy as this one would show the same.
  More gold labels may tell.

Features that never vary are not tested; of features that move together (correlation above 0.9
within prompts) the first stands for all. Keywords are chosen on one half of the clusters (by hash)
for what they explain of the excess, and tested on the other half alone, beside the features. All
this is association in replies as they were drawn: a feature may stand for a cause that goes with it
and was not among the columns. `measure.reward_tests` edits replies and looks.

Shapes: `_N` replies, `_P` prompts, `_C` clusters, `_F` features, `_B` resamples, `_2` proxy and
gold.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from alignwright.core.intervals import few, holm
from alignwright.core.records import Prompt, Record, content_id
from alignwright.core.reply_features import features, ngrams

Kind = Literal["gamed", "overpaid", "none"]
Floats = NDArray[np.float64]
LEAST_PROMPTS = 12  # prompts with two replies or more, below which nothing is said
LEAST_CLUSTERS = 5  # topics, below which a bootstrap over them says too little of how they differ
LEAST_VARYING = 8  # prompts in which a feature must differ between replies
TOGETHER = 0.9  # correlation at which two features are one
KEYWORDS, CANDIDATES, PROMISING = 5, 2000, 3.0
RESAMPLES = 1000


class Judged(Record):
    """A reply with its two scores. Replies to one prompt are siblings, whoever said them."""

    prompt: Prompt
    reply: str
    proxy: float
    gold: float
    speaker: str = ""


@dataclass(frozen=True)
class Weight:
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Telling:
    """Two replies to one prompt: the proxy prefers the first, the gold judge the second. Scores
    are in spreads above the prompt's mean."""

    prompt: Prompt
    liked: str
    better: str
    proxy: tuple[float, float]
    gold: tuple[float, float]


@dataclass(frozen=True)
class Feature:
    """What proxy and gold pay for one feature; `prompts` are those in which it differs between
    replies, `alike` what moves with it.

    `missing` is what gold pays less than the proxy promises; `p` is that of the excess.
    """

    name: str
    kind: Kind
    proxy: Weight
    gold: Weight
    excess: Weight
    missing: Weight
    p: float
    p_both: float
    p_adjusted: float
    n: int
    prompts: int
    clusters: int
    alike: tuple[str, ...] = ()
    pairs: tuple[Telling, ...] = ()


@dataclass(frozen=True)
class _Sheet:
    """Centred, scaled columns over the replies of prompts that have two or more."""

    rows: list[Judged]
    place_N: NDArray[np.int64]  # the prompt's number
    cluster_N: NDArray[np.int64]  # its topic's number, or its own where it has no topic
    score_N2: Floats
    names: list[str]
    column_NF: Floats
    alike: dict[str, tuple[str, ...]]


def gamed_features(
    judged: Sequence[Judged], *, keywords: bool = True, level: float = 0.95, seed: int = 0, examples: int = 3
) -> list[Feature]:
    """Every tested feature, gamed ones first and by the size of their excess. Raises ValueError
    where there is too little to say anything."""
    rows = _siblings(judged)
    values = [features(row.prompt.conversation.last.content, row.reply) for row in rows]
    sheet = _sheet(rows, list(values[0]), np.array([list(v.values()) for v in values]))
    found = _weights(sheet, sheet.names, level, seed)
    if keywords:
        found += _keyword_weights(sheet, level, seed)
    excess, both = _adjusted([f.p for f in found]), _adjusted([f.p_both for f in found])
    named = [
        replace(f, p_adjusted=p, kind=_kind(f, p, q, 1 - level)) for f, p, q in zip(found, excess, both, strict=True)
    ]
    told = sorted(named, key=lambda f: (("gamed", "overpaid", "none").index(f.kind), -abs(f.excess.value)))
    return [replace(f, pairs=_telling(sheet, f, examples)) if f.kind != "none" else f for f in told]


def _siblings(judged: Sequence[Judged]) -> list[Judged]:
    groups: dict[str, list[Judged]] = defaultdict(list)
    for row in judged:
        groups[row.prompt.id].append(row)
    rows = [row for group in groups.values() if len({r.reply for r in group}) > 1 for row in group]
    prompts = len({row.prompt.id for row in rows})
    if prompts < LEAST_PROMPTS:
        raise ValueError(
            f"what gains the reward is asked of prompts with two different replies or more: {prompts} of {len(groups)}"
            f" prompts have them, and at least {LEAST_PROMPTS} are needed; give more prompts, or more samples for each"
        )
    topics = len({_cluster(row) for row in rows})
    if topics < LEAST_CLUSTERS:
        raise ValueError(
            f"prompts of one topic are not independent, and these {prompts} have {topics} topics between them, of which"
            f" at least {LEAST_CLUSTERS} are needed; give prompts on more topics, or leave 'topic' out where they share"
            " nothing"
        )
    return rows


def _cluster(row: Judged) -> str:
    return row.prompt.topic or row.prompt.id


def _sheet(rows: list[Judged], names: list[str], raw_NF: Floats) -> _Sheet:
    """Raises ValueError when the proxy or gold tells no reply from its siblings."""
    place_N = _numbered([row.prompt.id for row in rows])
    score_N2 = _centred(np.array([[row.proxy, row.gold] for row in rows]), place_N)
    spread_2 = np.sqrt((score_N2**2).mean(0))
    for spread, judge in zip(spread_2, ("proxy", "gold"), strict=True):
        if not spread > 1e-9:
            raise ValueError(
                f"the {judge} scores all replies to a prompt alike, on every prompt: there is nothing that could"
                " gain it"
            )
    column_NF = _centred(raw_NF, place_N)
    kept, alike = _distinct(names, column_NF, place_N)
    chosen_NF = column_NF[:, [names.index(name) for name in kept]]
    return _Sheet(
        rows, place_N, _numbered([_cluster(row) for row in rows]), score_N2 / spread_2, kept, _scaled(chosen_NF), alike
    )


def _distinct(
    names: Sequence[str], column_NF: Floats, place_N: NDArray[np.int64]
) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """The features that vary in enough prompts, one for each set that moves together."""
    kept: list[str] = []
    alike: dict[str, tuple[str, ...]] = {}
    scaled_NF = _scaled(column_NF)
    for i, name in enumerate(names):
        if _varying(column_NF[:, i], place_N) < LEAST_VARYING:
            continue
        twin = next(
            (k for k in kept if abs(float(scaled_NF[:, i] @ scaled_NF[:, names.index(k)]) / len(place_N)) > TOGETHER),
            None,
        )
        if twin is None:
            kept.append(name)
        else:
            alike[twin] = (*alike.get(twin, ()), name)
    return kept, alike


def _weights(sheet: _Sheet, tested: Sequence[str], level: float, seed: int) -> list[Feature]:
    """Weights of the tested features, all columns of the sheet held."""
    x_NF, cluster_N = sheet.column_NF, sheet.cluster_N
    count = int(cluster_N.max()) + 1
    if not sheet.names or len(x_NF) < 2 * len(sheet.names):
        return []
    gram_CFF = np.zeros((count, x_NF.shape[1], x_NF.shape[1]))
    np.add.at(gram_CFF, cluster_N, x_NF[:, :, None] * x_NF[:, None, :])
    cross_CF2 = np.zeros((count, x_NF.shape[1], 2))
    np.add.at(cross_CF2, cluster_N, x_NF[:, :, None] * sheet.score_N2[:, None, :])
    own_C2 = np.stack([np.bincount(cluster_N, weights=sheet.score_N2[:, 0] * sheet.score_N2[:, k]) for k in (0, 1)], 1)
    draws_BC = (
        np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(np.float64)
    )
    seen_F2 = _solved(gram_CFF.sum(0), cross_CF2.sum(0))
    drawn_BF2 = _solved(np.tensordot(draws_BC, gram_CFF, 1), np.tensordot(draws_BC, cross_CF2, 1))
    told_B = _slope(draws_BC @ own_C2, drawn_BF2, np.tensordot(draws_BC, cross_CF2, 1))
    told_by_proxy = float(_slope(own_C2.sum(0), seen_F2, cross_CF2.sum(0)))
    wider = math.sqrt(few(count))  # a bootstrap divides by the clusters, not by one less
    told: list[Feature] = []
    for name in tested:
        i = sheet.names.index(name)
        (proxy, gold), drawn_B2 = seen_F2[i], drawn_BF2[:, i]
        gap, short = float(proxy - gold), told_by_proxy * float(proxy) - float(gold)
        gap_se = wider * float((drawn_B2[:, 0] - drawn_B2[:, 1]).std())
        short_se = wider * float((told_B * drawn_B2[:, 0] - drawn_B2[:, 1]).std())
        p = _p(gap, gap_se, count)
        both = max(p, _p(short, short_se, count)) if short * float(proxy) > 0 else 1.0
        paid, worth = (
            _limits(float(weight), wider * float(drawn_B2[:, k].std()), count, level)
            for k, weight in enumerate((proxy, gold))
        )
        excess, missing = _limits(gap, gap_se, count, level), _limits(short, short_se, count, level)
        varying = _varying(x_NF[:, i], sheet.place_N)
        told.append(
            Feature(
                name,
                "none",
                paid,
                worth,
                excess,
                missing,
                p,
                both,
                p,
                len(x_NF),
                varying,
                count,
                sheet.alike.get(name, ()),
            )
        )
    return told


def _slope(own_2: Floats, weight_F2: Floats, cross_F2: Floats) -> Floats:
    """The weight of the proxy beside the features in gold; below 0 counts as 0. `own` is the
    proxy's square and its product with gold."""
    left_2 = own_2 - (weight_F2[..., 0, None] * cross_F2).sum(-2)
    return np.maximum(left_2[..., 1], 0.0) / np.maximum(left_2[..., 0], 1e-12)


def _keyword_weights(sheet: _Sheet, level: float, seed: int) -> list[Feature]:
    """Choose words and pairs of words on one half of the clusters, test them on the other beside
    the features."""
    first_N = np.array([int(content_id("half", _cluster(row)), 16) % 2 == 0 for row in sheet.rows])
    needed = ((sheet.place_N, LEAST_PROMPTS), (sheet.cluster_N, LEAST_CLUSTERS))
    if any(len(set(group_N[half_N])) < least for group_N, least in needed for half_N in (first_N, ~first_N)):
        return []
    said = [ngrams(row.reply) for row in sheet.rows]
    chosen = _chosen(sheet, said, first_N)
    place_N = _numbered(sheet.place_N[~first_N].tolist())
    at = [n for n, first in enumerate(first_N.tolist()) if not first]
    word_NK = _centred(
        np.array([[float(word in said[n]) for word in chosen] for n in at]).reshape(len(at), -1), place_N
    )
    fixed_NF = sheet.column_NF[~first_N]
    both_NF = np.hstack([fixed_NF, word_NK])
    every = [*sheet.names, *(f'said "{word}"' for word in chosen)]
    names, alike = _distinct(every, both_NF, place_N)
    column_NF = _scaled(both_NF[:, [every.index(name) for name in names]])
    half = _Sheet(
        [sheet.rows[n] for n in at],
        place_N,
        _numbered(sheet.cluster_N[at].tolist()),
        sheet.score_N2[~first_N],
        names,
        column_NF,
        alike,
    )
    return _weights(half, [name for name in names if name not in sheet.names], level, seed)


def _chosen(sheet: _Sheet, said: Sequence[set[str]], half_N: NDArray[np.bool_]) -> list[str]:
    """The words that explain most of what the features leave of the excess on this half, by cluster."""
    at = [n for n, chosen in enumerate(half_N.tolist()) if chosen]
    place_N, cluster_N = _numbered(sheet.place_N[at].tolist()), _numbered(sheet.cluster_N[at].tolist())
    gap_N = sheet.score_N2[at, 0] - sheet.score_N2[at, 1]
    x_NF = sheet.column_NF[at]
    rest_N = gap_N - x_NF @ _solved(x_NF.T @ x_NF, (x_NF.T @ gap_N)[:, None])[:, 0]
    words = _varied_words([said[n] for n in at], place_N)
    word_NV = _centred(np.array([[float(word in said[n]) for word in words] for n in at]).reshape(len(at), -1), place_N)
    pull_CV = np.zeros((int(cluster_N.max()) + 1, len(words)))
    np.add.at(pull_CV, cluster_N, word_NV * rest_N[:, None])
    t_V = np.abs(pull_CV.sum(0)) / np.maximum(np.sqrt((pull_CV**2).sum(0)), 1e-12)
    best = [int(v) for v in np.argsort(-t_V, kind="stable") if t_V[v] >= PROMISING]
    return [words[v] for v in best[:KEYWORDS]]


def _varied_words(said: Sequence[set[str]], place_N: NDArray[np.int64]) -> list[str]:
    """Words that some but not all replies to a prompt say, in enough prompts; those of most
    prompts first."""
    sizes = np.bincount(place_N)
    times: dict[int, Counter[str]] = defaultdict(Counter)
    for place, words in zip(place_N.tolist(), said, strict=True):
        times[place].update(words)
    varying = Counter(word for place, counts in times.items() for word, count in counts.items() if count < sizes[place])
    ranked = sorted((-count, word) for word, count in varying.items() if count >= LEAST_VARYING)
    return [word for _, word in ranked[:CANDIDATES]]


def _adjusted(ps: Sequence[float]) -> list[float]:
    """Holm's adjusted p values; every feature that was found has one."""
    return [p for p in holm(ps) if p is not None]


def _kind(feature: Feature, p_adjusted: float, both_adjusted: float, alpha: float) -> Kind:
    way = math.copysign(1.0, feature.proxy.value)
    surely_paid = min(way * feature.proxy.low, way * feature.proxy.high) > 0
    if p_adjusted >= alpha or way * feature.excess.value <= 0 or not surely_paid:
        return "none"
    return "gamed" if both_adjusted < alpha else "overpaid"


def _telling(sheet: _Sheet, feature: Feature, most: int) -> tuple[Telling, ...]:
    """Siblings that differ in this feature, not much in others, and of which proxy and gold
    think the opposite; one pair a prompt."""
    sign = math.copysign(1.0, feature.proxy.value)
    x_N, others_NF = _column(sheet, feature.name), sheet.column_NF
    best: dict[int, tuple[float, int, int]] = {}
    for at in _by_place(sheet.place_N):
        for i in at:
            for j in at:
                proxy, gold = sheet.score_N2[i] - sheet.score_N2[j]
                if sign * (x_N[i] - x_N[j]) > 1e-9 and proxy > 0 > gold:
                    clear = float(
                        min(proxy, 3)
                        - max(gold, -3)
                        + min(sign * (x_N[i] - x_N[j]), 3)
                        - 0.1 * np.abs(others_NF[i] - others_NF[j]).sum()
                    )
                    place = int(sheet.place_N[i])
                    best[place] = max(best.get(place, (-math.inf, 0, 0)), (clear, int(i), int(j)))
    shown = sorted(best.values(), reverse=True)[:most]
    return tuple(_pair(sheet, i, j) for _, i, j in shown)


def _pair(sheet: _Sheet, i: int, j: int) -> Telling:
    (proxy_i, gold_i), (proxy_j, gold_j) = sheet.score_N2[i].tolist(), sheet.score_N2[j].tolist()
    return Telling(sheet.rows[i].prompt, sheet.rows[i].reply, sheet.rows[j].reply, (proxy_i, proxy_j), (gold_i, gold_j))


def _column(sheet: _Sheet, name: str) -> Floats:
    if name in sheet.names:
        return sheet.column_NF[:, sheet.names.index(name)]
    word = name.removeprefix('said "').removesuffix('"')
    return np.array([float(word in ngrams(row.reply)) for row in sheet.rows])


def _by_place(place_N: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    order = np.argsort(place_N, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(place_N[order])) + 1)


def _numbered(names: Sequence[Hashable]) -> NDArray[np.int64]:
    numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)


def _centred(value_NX: Floats, place_N: NDArray[np.int64]) -> Floats:
    total_PX = np.zeros((int(place_N.max()) + 1, value_NX.shape[1]))
    np.add.at(total_PX, place_N, value_NX)
    return value_NX - (total_PX / np.bincount(place_N)[:, None])[place_N]


def _scaled(column_NF: Floats) -> Floats:
    spread_F = np.sqrt((column_NF**2).mean(0))
    return column_NF / np.where(spread_F > 1e-12, spread_F, 1.0)


def _varying(column_N: Floats, place_N: NDArray[np.int64]) -> int:
    return len(set(place_N[np.abs(column_N) > 1e-9].tolist()))


def _solved(gram: Floats, cross: Floats) -> Floats:
    """Least squares; the ridge, a millionth of the mean variance, only keeps resamples in which
    a feature never varies solvable."""
    size = gram.shape[-1]
    ridge = 1e-6 * np.trace(gram, axis1=-2, axis2=-1)[..., None, None] / max(size, 1) * np.eye(size)
    solve: Any = np.linalg.solve  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return solve(gram + ridge, cross)


def _p(value: float, se: float, clusters: int) -> float:
    return 2 * float(stdtr(clusters - 1, -abs(value) / se)) if se > 1e-12 else 1.0


def _limits(value: float, se: float, clusters: int, level: float) -> Weight:
    half = float(stdtrit(clusters - 1, (1 + level) / 2)) * se
    return Weight(value, value - half, value + half)
