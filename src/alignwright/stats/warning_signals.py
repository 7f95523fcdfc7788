"""Which early-warning signals of reward over-optimisation need no gold label (out-of-distribution
representations, ensemble disagreement, KL acceleration), and what are their false-alarm rates?

Each sign is a statistic of replies that is larger the stranger they are to the start model. None
measures harm: a model that has learnt what was meant looks strange too. So none is given alone: the
start model's own replies are split in three, one part to fit the statistic, one to set the alarm at
its (1 - alpha) quantile over resampled prompts, one on which the rate of false alarms is
*measured*. An alarm whose measured rate is far from alpha is no alarm. The rate's interval is that
of the resampling: how far these few prompts are from all others it does not say.

- `outliers` (MOP, from InfoRM's line of work; Miao et al. 2024, arXiv 2402.09345): the share of
  representations outside the start model's cloud by Mahalanobis distance. The cloud is estimated
  from few points, so the border is Hotelling's, not chi-square's to which it tends: on held-out
  replies of the start model the share is the nominal one.
- `shrunk_outliers`: the same where a representation has more dimensions than there are replies:
  covariance shrunk by Ledoit and Wolf (2004), and the border where the share is nominal on other
  replies of the start model, for no formula knows it.
- `shift`: how far the mean of one feature (length, repetition) has gone from the start's, in its
  standard deviations.
- `disagreement`: the mean variance between the members of a reward ensemble (Coste et al. 2023,
  arXiv 2310.02743), over the start's.
- `acceleration`: whether divergence grows faster and faster over checkpoints; its null is made by
  flipping signs of prompts, so that its rate of false alarms is near alpha by construction, and is
  not measured on other replies.

Shapes: `_N` replies, `_D` representation, `_M` members, `_P` prompts, `_T` checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtri  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from alignwright.stats.arrays import Floats
from alignwright.stats.intervals import Interval, wilson

Statistic = Callable[[Floats], float]


@dataclass(frozen=True)
class WarningSignal:
    """A statistic of a model's replies, where its alarm is set, and how often that alarm is
    measured to be false."""

    name: str
    value: float
    alarm: float
    false_alarms: float
    interval: Interval
    nominal: float
    trials: int
    null: str = "resamples of the start model's own replies"

    @property
    def is_raised(self) -> bool:
        return self.value > self.alarm

    @property
    def summary(self) -> str:
        """Never the alarm alone."""
        limits = f"[{self.interval.low or 0:.1%}, {self.interval.high or 0:.1%}]"
        rate = f"{self.false_alarms:.1%} {limits} of {self.trials} {self.null} raise it (aimed at {self.nominal:.0%})"
        return f"{'raised' if self.is_raised else 'not raised'} (alarm above {self.alarm:.3g}); {rate}"


def warning_signal(
    name: str,
    statistic: Statistic,
    calibrate: Sequence[Floats],
    held_out: Sequence[Floats],
    now: Sequence[Floats],
    *,
    alpha: float = 0.05,
    seed: int = 0,
) -> WarningSignal:
    """One sign. Each part holds the replies' rows [N, D] prompt by prompt; `calibrate` and
    `held_out` are the start model's, and not shared."""
    if min(len(calibrate), len(held_out), len(now)) < 4:
        raise ValueError(
            f"{name}: an alarm needs replies to at least 4 prompts in each part; there are {len(calibrate)},"
            f" {len(held_out)} and {len(now)}"
        )
    trials, generator = 400, np.random.default_rng(seed)
    null, fresh = (
        np.array(
            [
                statistic(np.concatenate([part[int(i)] for i in generator.integers(len(part), size=len(now))]))
                for _ in range(trials)
            ]
        )
        for part in (calibrate, held_out)
    )
    alarm = float(np.quantile(null, 1 - alpha))
    false = int((fresh > alarm).sum())
    return WarningSignal(
        name, statistic(np.concatenate(list(now))), alarm, false / trials, wilson(false, trials), alpha, trials
    )


def outliers(start_ND: Floats, share: float = 0.05) -> Statistic:
    """The share of rows outside the start's cloud, at a border that a share of the start model's
    own further replies lies beyond.

    Columns that do not vary are left out. Raises ValueError where the cloud has no more points than
    dimensions.
    """
    varies_D = start_ND.std(axis=0) > 1e-12
    cloud_ND = start_ND[:, varies_D]
    count, size = cloud_ND.shape
    if size == 0 or count <= size + 1:
        raise ValueError(
            f"a cloud of {count} replies in {size} dimensions has no shape; take more replies, or a smaller"
            " representation"
        )
    mean_D = cloud_ND.mean(axis=0)
    inverse_DD = np.linalg.pinv(np.atleast_2d(np.cov(cloud_ND, rowvar=False)))
    border = size * (count + 1) * (count - 1) / (count * (count - size)) * float(fdtri(size, count - size, 1 - share))

    def beyond(row_ND: Floats) -> float:
        gap_ND = row_ND[:, varies_D] - mean_D
        return float((np.einsum("nd,de,ne->n", gap_ND, inverse_DD, gap_ND) > border).mean())

    return beyond


def shrunk_outliers(start_ND: Floats, others_ND: Floats, share: float = 0.05) -> Statistic:
    """The share of rows further from the start's cloud than all but a share of its `others`, in a
    cloud that may have more columns than rows.

    Columns are standardised; those that do not vary are left out. Raises ValueError where either
    part has fewer rows than 1 / share.
    """
    if min(len(start_ND), len(others_ND)) * share < 1:
        raise ValueError(
            f"a border at {share:g} needs {1 / share:.0f} replies in each part; there are {len(start_ND)} and"
            f" {len(others_ND)}"
        )
    spread_D, mean_D = start_ND.std(axis=0), start_ND.mean(axis=0)
    varies_D = spread_D > 1e-12
    if not varies_D.any():
        raise ValueError("all of the start model's replies are represented alike, so none is far from the others")

    def standardise(row_ND: Floats) -> Floats:
        return ((row_ND - mean_D) / np.where(varies_D, spread_D, 1.0))[:, varies_D]

    inverse_DD = np.linalg.inv(_shrunk(standardise(start_ND)))

    def distance(row_ND: Floats) -> Floats:
        gap_ND = standardise(row_ND)
        return np.asarray(((gap_ND @ inverse_DD) * gap_ND).sum(axis=1), dtype=np.float64)

    border = float(np.quantile(distance(others_ND), 1 - share))
    return lambda row_ND: float((distance(row_ND) > border).mean())


def shift(start_N: Floats) -> Statistic:
    """How far the mean of one feature has gone from the start's, in its standard deviations,
    either way."""
    mean, spread = float(start_N.mean()), float(start_N.std())
    if spread == 0:
        raise ValueError("this feature is the same in all of the start model's replies, so a shift of it has no unit")
    return lambda row_N: abs(float(row_N.mean()) - mean) / spread


def disagreement(start_NM: Floats) -> Statistic:
    """The mean variance between an ensemble's members, each standardised on the start's replies,
    over the start's own."""
    mean_M, spread_M = start_NM.mean(axis=0), start_NM.std(axis=0)
    if (spread_M == 0).any() or start_NM.shape[1] < 2:
        raise ValueError("disagreement needs at least two members, each of which tells some replies apart")
    own = float(((start_NM - mean_M) / spread_M).var(axis=1).mean())
    return lambda row_NM: float(((row_NM - mean_M) / spread_M).var(axis=1).mean()) / own if own else math.inf


def acceleration(kl_TP: Floats, *, alpha: float = 0.05, seed: int = 0) -> WarningSignal:
    """Whether the last step of divergence was larger than the one before, by prompt; checkpoints
    evenly spaced, the last three are looked at."""
    if kl_TP.shape[0] < 3 or kl_TP.shape[1] < 4:
        raise ValueError(
            f"acceleration needs 3 checkpoints of at least 4 prompts; there are {kl_TP.shape[0]} of {kl_TP.shape[1]}"
        )
    second_P = kl_TP[-1] - 2 * kl_TP[-2] + kl_TP[-3]
    trials, generator = 400, np.random.default_rng(seed)
    flips = (generator.choice([-1.0, 1.0], size=(2 * trials, len(second_P))) * second_P).mean(axis=1)
    alarm = float(np.quantile(flips[:trials], 1 - alpha))
    false = int((flips[trials:] > alarm).sum())
    null = "random signs of the prompts' own changes"
    return WarningSignal(
        "divergence grows faster",
        float(second_P.mean()),
        alarm,
        false / trials,
        wilson(false, trials),
        alpha,
        trials,
        null,
    )


def _shrunk(centred_ND: Floats) -> Floats:
    """The covariance moved towards a multiple of the identity, by the share that minimises the
    expected squared error (Ledoit and Wolf 2004)."""
    count, size = centred_ND.shape
    covariance_DD = centred_ND.T @ centred_ND / count
    mean = float(np.trace(covariance_DD)) / size
    total = float((covariance_DD**2).sum())
    apart = total - size * mean**2
    noise = (float(((centred_ND**2).sum(axis=1) ** 2).sum()) - count * total) / count**2
    share = min(1.0, max(0.0, noise) / apart) if apart > 0 else 1.0
    return (1 - share) * covariance_DD + share * mean * np.eye(size)
