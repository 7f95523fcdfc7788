"""Replies scored by proxy and gold: in which units may two judges' scores be compared with those of
the start model's replies?

A sheet is one prompt's replies with the scores of the proxy and of gold. Both are read in standard
deviations of the start model's replies within a prompt. Voters score a reply against its siblings,
so that their scores of two models share no scale unless both models' replies are judged together;
they are, here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alignwright.core.protocols import RewardFn
from alignwright.core.records import Prompt, Record
from alignwright.measure.goodhart.trilemma import Scored
from alignwright.stats.covariance import within_sd


class ScoredReplies(Record):
    """The replies to one prompt with their scores; None where a judge was not asked, or cannot say."""

    prompt: Prompt
    is_shifted: bool
    replies: tuple[str, ...]
    proxy: tuple[float | None, ...]
    gold: tuple[float | None, ...]
    labels: int
    """How many of the replies, from the first, gold was asked about."""

    @property
    def cluster(self) -> str:
        return self.prompt.topic or self.prompt.id

    @property
    def scored(self) -> Scored | None:
        """The replies that gold was asked about, where all of them have both scores."""
        proxy = [score for score in self.proxy[: self.labels] if score is not None]
        gold = [score for score in self.gold[: self.labels] if score is not None]
        return Scored(proxy, gold) if len(proxy) == len(gold) == self.labels else None


@dataclass(frozen=True)
class ScoreScale:
    """The start model's mean and spread within prompts, by judge; a judge that scores siblings
    has no mean of its own."""

    proxy: tuple[float | None, float]
    gold: tuple[float | None, float]

    @property
    def spreads(self) -> tuple[float, float]:
        return self.proxy[1], self.gold[1]


@dataclass(frozen=True)
class ProxyAndGold:
    """Who scores; `*_siblings` where a score compares a reply with the others to its prompt."""

    proxy: RewardFn
    gold: RewardFn
    proxy_siblings: bool = False
    gold_siblings: bool = False


def sheets(
    prompts: Sequence[Prompt],
    inside: int,
    texts: Sequence[tuple[str, ...]],
    judges: ProxyAndGold,
    labels: int,
    start: Sequence[ScoredReplies] | None,
) -> tuple[tuple[ScoredReplies, ...], tuple[ScoredReplies, ...]]:
    """The sheets of this model, and those of the start model on the same scale."""
    before = [sheet.replies for sheet in start] if start else [()] * len(prompts)
    labels = min(labels, max(map(len, texts))) if texts else labels  # of a prompt with fewer replies nothing is scored
    proxy, proxy_before = _scores(judges.proxy, prompts, texts, before if judges.proxy_siblings else None)
    gold, gold_before = _scores(
        judges.gold,
        prompts,
        [group[:labels] for group in texts],
        [group[:labels] for group in before] if judges.gold_siblings else None,
    )
    now = tuple(
        ScoredReplies(
            prompt=p,
            is_shifted=i >= inside,
            replies=texts[i],
            proxy=proxy[i],
            gold=_padded(gold[i], len(texts[i])),
            labels=labels,
        )
        for i, p in enumerate(prompts)
    )
    if start is None:
        return now, now
    again = (
        (
            proxy_before[i] if judges.proxy_siblings else sheet.proxy,
            _padded(gold_before[i], len(sheet.replies)) if judges.gold_siblings else sheet.gold,
        )
        for i, sheet in enumerate(start)
    )
    return now, tuple(
        ScoredReplies(
            prompt=s.prompt, is_shifted=s.is_shifted, replies=s.replies, labels=s.labels, proxy=proxy, gold=gold
        )
        for s, (proxy, gold) in zip(start, again, strict=True)
    )


Scores = list[tuple[float | None, ...]]


def _scores(
    scorer: RewardFn,
    prompts: Sequence[Prompt],
    texts: Sequence[tuple[str, ...]],
    beside: Sequence[tuple[str, ...]] | None,
) -> tuple[Scores, Scores]:
    """The scores of `texts`, and of the texts `beside` them where siblings are judged together."""
    others = beside if beside is not None else [()] * len(prompts)
    scored = scorer(prompts, [[*group, *other] for group, other in zip(texts, others, strict=True)]) if prompts else []
    values = [
        tuple(None if score is None or not math.isfinite(score.value) else score.value for score in scores)
        for scores in scored
    ]
    return [v[: len(t)] for v, t in zip(values, texts, strict=True)], [
        v[len(t) :] for v, t in zip(values, texts, strict=True)
    ]


def _padded(scores: tuple[float | None, ...], length: int) -> tuple[float | None, ...]:
    return (*scores, *[None] * (length - len(scores)))


def units_of(start: Sequence[ScoredReplies], judges: ProxyAndGold) -> ScoreScale | None:
    """The units of both judges, from the start model's replies to prompts that are not shifted;
    None where one judge tells no reply apart."""
    start_scores = [
        (i, sheet.scored) for i, sheet in enumerate(start) if sheet.scored is not None and not sheet.is_shifted
    ]
    scales = list[tuple[float | None, float]]()
    for siblings, scores in (
        (judges.proxy_siblings, [s.proxy for _, s in start_scores]),
        (judges.gold_siblings, [s.gold for _, s in start_scores]),
    ):
        spread = within_sd(
            [v for part in scores for v in part],
            [i for (i, _), part in zip(start_scores, scores, strict=True) for _ in part],
        )
        if not spread:
            return None
        scales.append((None if siblings else float(np.mean([v for part in scores for v in part])), spread))
    return ScoreScale(scales[0], scales[1])
