"""What is the true rate when the grader is sometimes wrong? The Rogan-Gladen correction by
sensitivity and specificity (prevalence under misclassification), with its uncertainty.

A grader with sensitivity s and specificity c calls a share p = t s + (1 - t)(1 - c) of replies
"yes" where t truly are. Turned around, that is Rogan and Gladen's correction (1978): t = (p + c -
1) / (s + c - 1). It holds where s and c hold, and they were found on other models' replies, so it
is *transferred*: the interval carries three doubts at once.

- The rate's own interval, clustered or not, taken as it is: a normal to either side of the rate.
- The counts behind s and c. Each source of labels gives one share of right calls, on the logit
  scale with its binomial variance.
- The spread between sources, because a new model is a new source. A random-effects model with a
  half-normal prior of scale 1 on the spread (Friede, Roever, Wandel and Neuenschwander 2017, for
  few studies) gives the predictive distribution of a source that nobody labelled. One source alone
  cannot show a spread; the prior then says what is usual.

The interval is the middle 95% of t over these three, on a fixed lattice of points rather than by
chance, clipped to [0, 1]. Where s + c - 1 is not above 0 in 97.5% of that distribution, the grader
is not known to tell yes from no, and there is no correction.

Left out on purpose: that s and c rise and fall together or against each other between sources,
which few sources cannot tell. Where replies of the very run are labelled, `stats.prediction_powered` needs none
of this.

Shapes: `_K` sources, `_T` a grid over the spread, `_X` a grid over the logit, `_L` points of the
lattice.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alignwright.stats.arrays import Floats

POINTS = 4096
Limits = tuple[float, float, float]
"""A value with the low and the high limit of its interval."""
_STEPS = (0.8191725133961645, 0.6710436067037893, 0.5497004779019703)
"""Powers of 1/x where x^4 = x + 1: multiples of them, without their whole parts, fill a cube
evenly."""
_CERTAIN = 12.0  # the logit beyond which nothing is told apart


@dataclass(frozen=True)
class BinomialCount:
    """How many of `of` replies of one kind, from one source, a grader called right."""

    right: int
    of: int

    def __post_init__(self) -> None:
        if not 0 <= self.right <= self.of:
            raise ValueError(f"{self.right} right calls of {self.of} replies cannot be; give 0 <= right <= of")


@dataclass(frozen=True)
class Correction:
    """A corrected value with its interval, or none of the three and the reason in `method`."""

    value: float | None
    low: float | None
    high: float | None
    method: str


def corrected_rate(
    rate: Limits, sensitivity: Sequence[BinomialCount], specificity: Sequence[BinomialCount], level: float = 0.95
) -> Correction:
    """The share that truly is, from the share that the grader called so."""
    points = _lattice(rate, sensitivity, specificity, level)
    if isinstance(points, Correction):
        return points
    truth_L = (points.rate_L - points.wrong_L) / points.youden_L
    return _limits((rate[0] - points.wrong) / points.youden, truth_L, points, (0.0, 1.0))


def corrected_change(
    change: Limits, sensitivity: Sequence[BinomialCount], specificity: Sequence[BinomialCount], level: float = 0.95
) -> Correction:
    """The change of the share that truly is, where the grader errs alike on both models'
    replies: the change seen, over s + c - 1."""
    points = _lattice(change, sensitivity, specificity, level)
    return (
        points
        if isinstance(points, Correction)
        else _limits(change[0] / points.youden, points.rate_L / points.youden_L, points, (-1.0, 1.0))
    )


def new_source_quantiles(sources: Sequence[BinomialCount], shares: Floats) -> Floats:
    """Quantiles, at these shares, of the share of right calls on a source that was not labelled."""
    np = _numpy()
    right_K = np.array([calls.right for calls in sources], dtype=np.float64) + 0.5
    wrong_K = np.array([calls.of - calls.right for calls in sources], dtype=np.float64) + 0.5
    logit_K, noise_K = np.log(right_K / wrong_K), 1 / right_K + 1 / wrong_K
    spread_T = np.linspace(0.0, 3.0, 61)
    weight_TK = 1 / (noise_K + spread_T[:, None] ** 2)
    sum_T = weight_TK.sum(axis=1)
    centre_T = (weight_TK * logit_K).sum(axis=1) / sum_T
    log_T = (
        0.5
        * (np.log(weight_TK).sum(axis=1) - np.log(sum_T) - (weight_TK * (logit_K - centre_T[:, None]) ** 2).sum(axis=1))
        - spread_T**2 / 2
    )
    chance_T = np.exp(log_T - log_T.max())
    chance_T /= chance_T.sum()
    normal: Any = importlib.import_module("scipy.special").ndtr
    logit_X = np.linspace(-_CERTAIN, _CERTAIN, 801)
    below_X = chance_T @ normal((logit_X[None, :] - centre_T[:, None]) / np.sqrt(1 / sum_T + spread_T**2)[:, None])
    return 1 / (1 + np.exp(-np.interp(shares, below_X, logit_X)))


@dataclass(frozen=True)
class _Lattice:
    """Points of what was seen, of the share of the untrue that is called yes, and of s + c - 1,
    NaN where that is not above 0; medians of both."""

    rate_L: Floats
    wrong_L: Floats
    youden_L: Floats
    wrong: float
    youden: float
    level: float
    how: str


def _lattice(
    rate: Limits, sensitivity: Sequence[BinomialCount], specificity: Sequence[BinomialCount], level: float
) -> Correction | _Lattice:
    # 1. Sources without replies of a kind say nothing of it; without any there is nothing to correct by.
    sources = [[calls for calls in calls_of if calls.of] for calls_of in (sensitivity, specificity)]
    for name, calls_of in zip(("sensitivity", "specificity"), sources, strict=True):
        if not calls_of:
            return Correction(None, None, None, f"no correction: the grader's {name} was not measured")
    np = _numpy()
    normal_quantile: Any = importlib.import_module("scipy.special").ndtri
    # 2. One even lattice over three doubts: the rate, the sensitivity and the specificity of a new source.
    one_L, two_L, three_L = ((0.5 + np.arange(POINTS) * step) % 1.0 for step in _STEPS)
    at_right, at_held = (
        new_source_quantiles(calls_of, np.append(place_L, 0.5))
        for calls_of, place_L in zip(sources, (two_L, three_L), strict=True)
    )
    right_L, wrong_L, right, specific = at_right[:-1], 1 - at_held[:-1], at_right[-1], at_held[-1]
    # 3. Where s + c - 1 may be 0 the correction divides by it: then there is none.
    doubt = float(np.mean(right_L <= wrong_L))
    if doubt > (1 - level) / 2:
        why = "on replies of a model that nobody labelled, sensitivity + specificity - 1 is not clearly above 0"
        return Correction(None, None, None, f"no correction: {why} (chance of it: {1 - doubt:.1%})")
    # 4. The rate's own interval as half a normal to either side, because it need not be symmetric.
    value, low, high = rate
    z_L = normal_quantile(one_L)
    rate_L = value + z_L / normal_quantile((1 + level) / 2) * np.where(z_L > 0, high - value, value - low)
    counts = " and ".join(
        f"{name} from {len(calls_of)}" for name, calls_of in zip(("sensitivity", "specificity"), sources, strict=True)
    )
    how = (
        f"Rogan-Gladen {level:.0%}, transferred: {counts} source{'s' * (len(sources[1]) != 1)} of other models' replies"
    )
    return _Lattice(
        rate_L,
        wrong_L,
        np.where(right_L > wrong_L, right_L - wrong_L, np.nan),
        float(1 - specific),
        float(right + specific - 1),
        level,
        how,
    )


def _limits(value: float, truth_L: Floats, points: _Lattice, bounds: tuple[float, float]) -> Correction:
    """The middle of the points; one where the grader is no better than chance could lie at
    either end."""
    np, tail = _numpy(), (1 - points.level) / 2
    low = float(np.quantile(np.nan_to_num(truth_L, nan=bounds[0]), tail))
    high = float(np.quantile(np.nan_to_num(truth_L, nan=bounds[1]), 1 - tail))
    value, low, high = (min(max(number, bounds[0]), bounds[1]) for number in (value, low, high))
    return Correction(value, min(low, value), max(high, value), points.how)


def _numpy() -> Any:
    return importlib.import_module("numpy")  # loaded here, so that reading a report needs none
