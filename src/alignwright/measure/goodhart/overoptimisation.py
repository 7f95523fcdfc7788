"""Over-optimisation: up to which KL does optimising a proxy still raise gold, and what does the law
say beyond?

Gao, Schulman and Hilton (2022, arXiv 2210.10760) found that the gold score follows the root of the
divergence, d = sqrt(KL), by

    best-of-n               gold(d) = d (a - b d)       highest at d* = a / 2b,        gold a^2 / 4b
    reinforcement learning  gold(d) = d (a - b ln d)    highest at d* = e^(a / b - 1), gold b d*

with gold centred on the start model's mean and in its standard deviations. Both are linear in a and
b, so a fit is least squares without an intercept. A fit is told with its R^2, with how well the
near part foretells the far part (fit up to a share of the largest KL, predict the rest), and with
an interval of the peak from a bootstrap over whole prompts. The reinforcement form has infinite
slope at 0, where it means nothing: points below d = 0.5 are left out of it, and counted. The point
d = 0 tells nothing about either form.

A peak beyond the data is an extrapolation and is marked so; a curve that bends upwards (b <= 0) has
none. The interval is of sampling alone: where the form itself is wrong (a low R^2, an error far
from 0), it says nothing.

Shapes: `_K` points of a curve, `_P` prompts, `_B` resamples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from alignwright.stats.arrays import Floats

Law = Literal["best_of_n", "reinforcement"]
LEAST_D = 0.5  # below it the reinforcement form is not fitted
LEAST_POINTS = 3


@dataclass(frozen=True)
class Fit:
    """gold(d) by one of the two laws. `points` were fitted; `left_out` lay where the law says
    nothing."""

    law: Law
    a: float
    b: float
    r2: float | None
    points: int
    left_out: int

    def at(self, d: float) -> float:
        """gold(d); 0 at the start."""
        if d <= 0:
            return 0.0
        return d * (self.a - self.b * (d if self.law == "best_of_n" else math.log(d)))

    @property
    def peak(self) -> float | None:
        """The d at which gold is highest; None where the curve bends upwards. 0 where gold only falls."""
        if self.b <= 0:
            return None
        if self.law == "best_of_n":
            return max(0.0, self.a / (2 * self.b))
        power = self.a / self.b - 1
        return math.exp(power) if power < 700 else None

    @property
    def height(self) -> float | None:
        """The gold at the peak."""
        return None if self.peak is None else self.at(self.peak)


@dataclass(frozen=True)
class Forecast:
    """What the near part of a curve foretold of the far part: errors are foretold minus seen, in
    SDs of the start model's gold."""

    fit: Fit
    upto: float
    points: int
    bias: float
    rmse: float


@dataclass(frozen=True)
class Peak:
    """Where gold is highest, with a bootstrap interval over prompts. `high` is None where resamples
    often have no peak.

    `beyond`: the peak lies past the last point, so that it is an extrapolation. `without`: the
    share of resamples without a peak.
    """

    value: float | None
    low: float | None
    high: float | None
    beyond: bool
    without: float
    method: str


def fit(d: Sequence[float] | Floats, gold: Sequence[float] | Floats, law: Law) -> Fit:
    """Least squares of one law. Raises ValueError with fewer than three points that it can be
    fitted to."""
    d_K, gold_K = _curve(d, gold)
    used_K = d_K >= LEAST_D if law == "reinforcement" else d_K > 0
    d_K, gold_K = d_K[used_K], gold_K[used_K]
    if len(np.unique(d_K)) < LEAST_POINTS:
        where = f"d >= {LEAST_D:g}" if law == "reinforcement" else "d > 0"
        need = f"needs {LEAST_POINTS} different points with {where} and has {len(np.unique(d_K))} of {len(used_K)}"
        raise ValueError(f"the {law} form {need}; measure more n, or further from the start model")
    form_K2 = _form(d_K, law)
    a, b = (float(x) for x in np.linalg.lstsq(form_K2, gold_K, rcond=None)[0])
    spread = float(((gold_K - gold_K.mean()) ** 2).sum())
    residual = float(((gold_K - form_K2 @ np.array([a, b])) ** 2).sum())
    return Fit(law, a, b, 1 - residual / spread if spread > 0 else None, len(d_K), int((~used_K).sum()))


def forecast(d: Sequence[float] | Floats, gold: Sequence[float] | Floats, law: Law, upto: float = 0.6) -> Forecast:
    """Fit the points up to `upto` times the largest KL and predict the others. Raises ValueError
    where either part is too small."""
    d_K, gold_K = _curve(d, gold)
    border = math.sqrt(upto) * float(d_K.max())
    near_K = d_K <= border
    if near_K.all():
        raise ValueError(f"no point lies beyond d = {border:.3g}, so there is nothing to foretell")
    near_fit = fit(d_K[near_K], gold_K[near_K], law)
    error_K = np.array([near_fit.at(float(x)) for x in d_K[~near_K]]) - gold_K[~near_K]
    return Forecast(near_fit, border, len(error_K), float(error_K.mean()), math.sqrt(float((error_K**2).mean())))


def peak(
    d: Sequence[float] | Floats,
    gold_by_prompt: Floats,
    law: Law,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Peak:
    """The peak of the mean curve; `gold_by_prompt` is [P, K]: each prompt's gold at each d.
    Resamples are of whole prompts."""
    gold_PK = np.asarray(gold_by_prompt, dtype=np.float64)
    d_K = np.asarray(d, dtype=np.float64)
    fitted, far = fit(d_K, gold_PK.mean(axis=0), law), float(d_K.max())
    value = _finite(_peak_of(law, fitted.a, fitted.b, far))
    beyond = value is not None and value > far
    prompts = len(gold_PK)
    if prompts < 2:
        return Peak(value, None, None, beyond, 0.0, "no interval: a single prompt")
    used_K = d_K >= LEAST_D if law == "reinforcement" else d_K > 0
    count_BP = np.random.default_rng(seed).multinomial(prompts, np.full(prompts, 1 / prompts), size=resamples)
    mean_BK = (count_BP / prompts) @ gold_PK
    a_B, b_B = (np.linalg.pinv(_form(d_K[used_K], law)) @ mean_BK[:, used_K].T).astype(np.float64)
    drawn_B = np.sort([_peak_of(law, float(a), float(b), far) for a, b in zip(a_B, b_B, strict=True)])
    low, high = (float(drawn_B[round(tail * (resamples - 1))]) for tail in ((1 - level) / 2, (1 + level) / 2))
    without = float(np.isinf(drawn_B).mean())
    method = f"{law} form, {level:.0%} bootstrap over {prompts} prompts ({resamples} resamples)"
    if without:
        method += f"; {without:.0%} of resamples have no peak"
    return Peak(value, _finite(low), _finite(high), beyond, without, method)


def standardised(values: Sequence[float], mean: float, sd: float) -> list[float]:
    """Scores centred on the start model's mean, in its standard deviations. Raises ValueError
    where the start model has no spread."""
    if not sd > 0:
        raise ValueError(
            f"the start model's scores have no spread (SD {sd:g}), so a gain has no unit; take more samples, or a finer"
            " judge"
        )
    return [(value - mean) / sd for value in values]


def _peak_of(law: Law, a: float, b: float, far: float) -> float:
    """The peak; infinite where there is none, and 0 where the curve bends upwards but lies below
    the start as far as was measured."""
    curve = Fit(law, a, b, None, 0, 0)
    if curve.peak is None:
        return 0.0 if curve.at(far) < 0 else math.inf
    return curve.peak


def _form(d_K: Floats, law: Law) -> Floats:
    return np.stack([d_K, -d_K * (d_K if law == "best_of_n" else np.log(d_K))], axis=1)


def _curve(d: Sequence[float] | Floats, gold: Sequence[float] | Floats) -> tuple[Floats, Floats]:
    d_K, gold_K = np.asarray(d, dtype=np.float64), np.asarray(gold, dtype=np.float64)
    if (
        d_K.shape != gold_K.shape
        or d_K.ndim != 1
        or not np.isfinite(d_K).all()
        or not np.isfinite(gold_K).all()
        or (d_K < 0).any()
    ):
        raise ValueError(f"a curve is a finite gold for each d >= 0; seen {d_K.shape} d and {gold_K.shape} gold")
    return d_K, gold_K


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
