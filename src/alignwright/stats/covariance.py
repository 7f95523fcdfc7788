"""Does gold still rise with the proxy? Cov(gold, proxy) within prompts, the monitor of
over-optimisation (Goodhart) by the Price equation.

Price's equation says that the next step towards the proxy moves gold by Cov(gold, proxy) under the
current policy (`stats.tilting`), within each prompt, since a policy is tilted at each prompt by
itself. So: sample replies, score all with the proxy and some with gold, and bound the covariance.
Where its upper bound is below 0, more of the proxy is less of gold. It is the one monitor that
measures the thing itself; it needs gold labels of the current policy, few of them where `predicted`
gold is good (`stats.prediction_powered`).

An item of the estimate is gold x (proxy - its prompt's mean) x K / (K - 1), K replies a prompt:
linear in gold, so that predictions can stand in for labels, and over a whole prompt its mean is the
unbiased covariance. Standard errors are clustered by prompt.

Two bounds are given. `Covariance.upper` is for one look. For looks at many checkpoints `decline_alarms`
bets (`stats.sequential`): it is ever wrong with probability alpha at most while no checkpoint's
winsorised covariance is below 0, however often one looks.

Shapes: `_N` replies, `_P` prompts.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from alignwright.stats import sequential
from alignwright.stats.arrays import Floats
from alignwright.stats.intervals import Interval
from alignwright.stats.prediction_powered import PPIEstimate, ppi_mean


@dataclass(frozen=True)
class Covariance:
    """Cov(gold, proxy) within prompts, with its interval; `correlation` divides it by both
    spreads, None where one of them is 0."""

    mean: PPIEstimate
    correlation: float | None

    @property
    def value(self) -> float:
        return self.mean.value

    @property
    def interval(self) -> Interval:
        return self.mean.interval

    def upper(self, level: float = 0.95) -> float | None:
        """The one-sided upper bound: below 0, gold no longer rises with the proxy."""
        return self.mean.upper(level)

    @property
    def rises(self) -> bool | None:
        """True or False where the interval leaves out 0, else None: it cannot be told."""
        low, high = self.interval.low, self.interval.high
        if low is None or high is None or low <= 0 <= high:
            return None
        return low > 0


def covariance(
    gold: Sequence[float | None] | Floats,
    proxy: Sequence[float] | Floats,
    prompts: Sequence[Hashable] | None = None,
    predicted: Sequence[float] | None = None,
    *,
    level: float = 0.95,
) -> Covariance:
    """The covariance of gold and proxy within prompts; without `prompts` all replies answer one
    prompt and are independent.

    Gold is None where it was not asked for; which replies were asked for must not depend on what
    they say. Raises ValueError where no prompt has two replies, or fewer than two replies have
    gold.
    """
    weight_N = _weights(proxy, prompts)
    golds = [g for g in gold if g is not None]
    centre = math.fsum(golds) / max(1, len(golds))
    label = [None if g is None else (g - centre) * float(w) for g, w in zip(gold, weight_N, strict=True)]
    guess = None if predicted is None else [(f - centre) * float(w) for f, w in zip(predicted, weight_N, strict=True)]
    mean = ppi_mean(label, guess, prompts, level=level)
    places = list(prompts) if prompts is not None else [0] * len(proxy)
    labelled = [i for i, g in enumerate(gold) if g is not None]
    spread = within_sd([gold[i] or 0.0 for i in labelled], [places[i] for i in labelled]), within_sd(proxy, places)
    return Covariance(mean, mean.value / (spread[0] * spread[1]) if spread[0] and spread[1] else None)


def by_prompt(gold: Sequence[Sequence[float]], proxy: Sequence[Sequence[float]]) -> list[float]:
    """The unbiased covariance at each prompt, from its replies: the items that `decline_alarms` bets on.
    Prompts with one reply are left out."""
    pairs = [
        (np.asarray(g, dtype=np.float64), np.asarray(p, dtype=np.float64))
        for g, p in zip(gold, proxy, strict=True)
        if len(g) > 1
    ]
    return [float(((g - g.mean()) * (p - p.mean())).sum()) / (len(g) - 1) for g, p in pairs]


def decline_alarms(checkpoints: Sequence[Sequence[float]], bound: float, alpha: float = 0.05) -> list[bool]:
    """After each checkpoint: is it refuted that gold has risen with the proxy at every checkpoint
    so far?

    `checkpoints` are covariances by prompt, winsorised here at +-bound, which must be fixed
    beforehand. Once True it stays so.
    """
    log_e_values = sequential.log_e_value([sequential.winsorised(values, bound) for values in checkpoints], bound)
    return [bool(x) for x in np.maximum.accumulate(log_e_values) >= -math.log(alpha)] if log_e_values else []


def within_sd(values: Sequence[float] | Floats, prompts: Sequence[Hashable]) -> float | None:
    """The pooled standard deviation of scores within prompts: the unit of gains. None where no
    prompt has two replies."""
    square, free = 0.0, 0
    for rows in _rows(prompts).values():
        part_K = np.asarray([values[i] for i in rows], dtype=np.float64)
        square += float(((part_K - part_K.mean()) ** 2).sum())
        free += len(rows) - 1
    return math.sqrt(square / free) if free else None


def _weights(proxy: Sequence[float] | Floats, prompts: Sequence[Hashable] | None) -> Floats:
    proxy_N = np.asarray(proxy, dtype=np.float64)
    weight_N = np.zeros(len(proxy_N))
    for rows in _rows(prompts if prompts is not None else [0] * len(proxy_N)).values():
        if len(rows) > 1:
            weight_N[rows] = (proxy_N[rows] - proxy_N[rows].mean()) * len(rows) / (len(rows) - 1)
    if not len(proxy_N) or all(len(rows) < 2 for rows in _rows(prompts or [0] * len(proxy_N)).values()):
        raise ValueError("a covariance within prompts needs prompts with at least two replies; take more samples")
    return weight_N


def _rows(prompts: Sequence[Hashable]) -> dict[Hashable, list[int]]:
    rows: dict[Hashable, list[int]] = {}
    for i, prompt in enumerate(prompts):
        rows.setdefault(prompt, []).append(i)
    return rows
