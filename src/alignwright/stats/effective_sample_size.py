"""What is the effective sample size of clustered items (topics), and the interval of a share or a
paired change at it? Design effect, intraclass correlation, Clopper-Pearson.

Items of one topic resemble each other, so n of them are worth fewer: the effective n is n over the
design effect 1 + (m - 1) r, with m the mean size of an item's topic and r the correlation within
topics (Kish 1965). An exact interval for so many items bounds a share (Clopper and Pearson 1934, at
the effective n, shrunk for the few topics that r was estimated from: Korn and Graubard 1998, Survey
Methodology 24). A paired change is the share that became better less the share that became worse,
each with such limits, squared and added (Newcombe 1998, Statistics in Medicine 17).

Few topics say little about r, and where shares are near 0 or 1 they often say 0: then mean and
error are too small together, and a t interval covers .77 to .93 where it says .95. So r, by
analysis of variance, is averaged with an assumption of PRIOR that counts as PRIOR_TOPICS topics. Both were
chosen by simulation (`benchmarks/coverage.py`; the table is in docs/reliability.md); where even
these cover less than .93 `coverage` says so.

Letters of shapes: S data sets, C topics. All functions take many data sets at once, so that what is
simulated is what is used. Left out on purpose: a model of how topics differ (beta-binomial
posteriors are narrower, and right only where that model is).
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from alignwright.stats.arrays import Floats

PRIOR, PRIOR_TOPICS = 0.2, 3


@dataclass(frozen=True)
class EffectiveSize:
    """What items in topics are worth: the correlation within topics (as estimated, and as used),
    and the effective n."""

    n: float
    size: float
    estimated_S: Floats
    correlation_S: Floats
    effective_S: Floats


@dataclass(frozen=True)
class Tally:
    """Sums by topic of one data set (S = 1), and the topics' sizes."""

    size_C: Floats
    sums: tuple[Floats, ...]


def tally(topics: Iterable[Hashable], rows: Iterable[tuple[float, ...]]) -> Tally:
    """Each column of the rows summed by topic."""
    groups: dict[Hashable, list[tuple[float, ...]]] = {}
    for topic, row in zip(topics, rows, strict=True):
        groups.setdefault(topic, []).append(row)
    size_C = np.array([len(group) for group in groups.values()], dtype=np.float64)
    sum_CK = np.array(
        [[sum(column) for column in zip(*group, strict=True)] for group in groups.values()], dtype=np.float64
    )
    return Tally(size_C, tuple(sum_CK[None, :, k] for k in range(sum_CK.shape[1])))


def effective_size(sum_SC: Floats, squares_S: Floats, size_C: Floats) -> EffectiveSize:
    """From the sums of the items' values in each topic, and the sums of their squares over all."""
    # 1. Sizes: m is the mean size of an *item's* topic, which weighs large topics by their items.
    n, topics = float(size_C.sum()), len(size_C)
    size = float((size_C**2).sum()) / n
    inside = n - topics
    # 2. Analysis of variance: what differs between topics, and what is left within them.
    mean_S = sum_SC.sum(1) / n
    total_S = squares_S - n * mean_S**2
    between_S = ((sum_SC - mean_S[:, None] * size_C) ** 2 / size_C).sum(1)
    varies_S = total_S > 1e-9
    # 3. Correlation within topics from the two mean squares; none where all items are alike or no topic has two.
    if inside > 0 and topics > 1:
        common = (n - float((size_C**2).sum()) / n) / (topics - 1)
        over_S, under_S = between_S / (topics - 1), np.maximum(total_S - between_S, 0.0) / inside
        bottom_S = over_S + (common - 1) * under_S
        estimated_S = np.where(varies_S, (over_S - under_S) / np.where(bottom_S > 0, bottom_S, 1.0), np.nan)
    else:
        estimated_S = np.full(len(mean_S), np.nan)
    # 4. Few topics often say 0 by chance: an assumption of PRIOR is averaged in, worth PRIOR_TOPICS topics.
    evidence_S = np.where(varies_S, min(topics - 1, inside), 0.0)
    correlation_S = np.clip(
        (evidence_S * np.nan_to_num(estimated_S) + PRIOR_TOPICS * PRIOR) / (evidence_S + PRIOR_TOPICS), 0.0, 1.0
    )
    # 5. Design effect 1 + (m - 1) r, and Korn and Graubard's factor for the few topics that r was estimated from.
    shrunk = 1.0 if n < 3 else (_critical(n - 1) / _critical(min(topics - 1 + PRIOR_TOPICS * (inside > 0), n - 1))) ** 2
    return EffectiveSize(
        n, size, estimated_S, correlation_S, np.maximum(shrunk * n / (1 + (size - 1) * correlation_S), 1.0)
    )


def share_limits(hits_SC: Floats, size_C: Floats, level: float = 0.95) -> tuple[Floats, Floats, EffectiveSize]:
    """The limits of a share, from its successes in each topic."""
    effective = effective_size(hits_SC, hits_SC.sum(1), size_C)
    return *_exact(hits_SC.sum(1) / effective.n, effective.effective_S, (1 - level) / 2), effective


@dataclass(frozen=True)
class Change:
    """A paired change: the shares of items that became better and worse. Interval and p are of
    one test: the one by turning the other round."""

    up_S: Floats
    down_S: Floats
    effective_size: EffectiveSize

    def limits(self, level: float = 0.95) -> tuple[Floats, Floats]:
        return self._within((1 - level) / 2)

    def p_below(self, at: float) -> float:
        """One-sided p of "the change is at least `at`", of the one data set: the tail whose
        upper limit is `at`; 0.5 and more is no evidence."""
        return _tail(lambda tail: float(self._within(tail)[1][0]) - at)

    def p_above(self, at: float) -> float:
        """One-sided p of "the change is at most `at`"."""
        return _tail(lambda tail: at - float(self._within(tail)[0][0]))

    def _within(self, tail: float) -> tuple[Floats, Floats]:
        up_S, down_S, effective_S = self.up_S, self.down_S, self.effective_size.effective_S
        least_up_S, most_up_S = _exact(up_S, effective_S, tail)
        least_down_S, most_down_S = _exact(down_S, effective_S, tail)
        both_S = np.sqrt(
            up_S * down_S / np.maximum((1 - up_S) * (1 - down_S), 1e-12)
        )  # an item goes one way only: minus their correlation
        below_S = _squared(up_S - least_up_S, most_down_S - down_S, both_S)
        above_S = _squared(most_up_S - up_S, down_S - least_down_S, both_S)
        return np.maximum(up_S - down_S - below_S, -1.0), np.minimum(up_S - down_S + above_S, 1.0)


def change(better_SC: Floats, worse_SC: Floats, size_C: Floats) -> Change:
    """From how many items of each topic became better and how many worse."""
    effective = effective_size(better_SC - worse_SC, (better_SC + worse_SC).sum(1), size_C)
    return Change(better_SC.sum(1) / effective.n, worse_SC.sum(1) / effective.n, effective)


def _squared(one_S: Floats, other_S: Floats, both_S: Floats) -> Floats:
    return np.sqrt(np.maximum(one_S**2 + other_S**2 + 2 * both_S * one_S * other_S, 0.0))


def _exact(share_S: Floats, effective_S: Floats, tail: float) -> tuple[Floats, Floats]:
    """Clopper and Pearson's limits, for counts that need not be whole."""
    special: Any = importlib.import_module("scipy.special")  # loaded here, so that reading a report needs no scipy
    hit_S = effective_S * share_S
    miss_S = effective_S - hit_S
    none_S, all_S = share_S <= 0, share_S >= 1
    low_S = np.where(none_S, 0.0, special.betaincinv(np.where(none_S, 1.0, hit_S), miss_S + 1, tail))
    return low_S, np.where(all_S, 1.0, special.betaincinv(hit_S + 1, np.where(all_S, 1.0, miss_S), 1 - tail))


def _tail(beyond: Callable[[float], float]) -> float:
    """The tail at which a limit is reached: `beyond` falls as the tail grows. Between 1e-12 and 0.5."""
    low, high = math.log(1e-12), math.log(0.5)
    if beyond(0.5) > 0:
        return 0.5
    for _ in range(45):
        middle = (low + high) / 2
        low, high = (middle, high) if beyond(math.exp(middle)) > 0 else (low, middle)
    return math.exp(high)


def _critical(df: float, level: float = 0.95) -> float:
    special: Any = importlib.import_module("scipy.special")  # loaded here, so that reading a report needs no scipy
    return float(special.stdtrit(max(df, 1.0), (1 + level) / 2))
