"""Is a confidence what it says: calibration error (ECE), Brier score, risk against coverage, temperature?

- The expected calibration error in bins of equal mass: the mean distance of confidence and accuracy
  over bins that hold as many items each (Naeini et al. 2015; bins by mass: Nguyen and O'Connor 2015).
  It is biased upwards, for a bin's accuracy is a mean of few; so its interval is the basic bootstrap's
  over clusters, which takes the bias of the resamples off, and `rms` is debiased as published: from
  each bin's squared distance the variance of its accuracy is taken off (Kumar, Liang and Ma 2019).
- The Brier score of several choices: the squared distance from the truth, 0 to 2.
- Selective prediction: the error among the surest, at every coverage (area under the risk-coverage
  curve, Geifman and El-Yaniv 2017); items of one confidence share their places.
- Temperature (Guo et al. 2017): the one number by which log-probabilities are divided so that the
  right choices of other items are likeliest.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from alignwright.stats.intervals import Interval

RESAMPLES = 400
_COLDEST, _HOTTEST = math.log(0.02), math.log(50.0)


@dataclass(frozen=True)
class SureAnswer:
    """How sure an answer was given, whether it was right, and with which others it belongs."""

    confidence: float
    right: float
    cluster: Hashable


Statistic = Callable[[Sequence[SureAnswer]], float]


def softmax(logprobs: Sequence[float], temperature: float = 1.0) -> list[float]:
    """The probabilities of choices by their log-probabilities, divided by a temperature."""
    most = max(logprobs)
    weights = [math.exp((logprob - most) / temperature) for logprob in logprobs]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def brier(probabilities: Sequence[float], answer: int) -> float:
    """The squared distance of probabilities from the truth: 0 for certainty of the right choice, 2 for
    that of a wrong one."""
    return math.fsum((p - float(place == answer)) ** 2 for place, p in enumerate(probabilities))


def calibration_error(items: Sequence[SureAnswer], bins: int) -> float:
    """The expected calibration error in bins of equal mass."""
    return math.fsum(
        len(part) / len(items) * abs(_mean(item.confidence - item.right for item in part))
        for part in _equal_mass(items, bins)
    )


def debiased_rms(items: Sequence[SureAnswer], bins: int) -> float:
    """The root of the debiased mean squared calibration error; 0 where the debiased square is below 0."""
    square = 0.0
    for part in _equal_mass(items, bins):
        accuracy = _mean(item.right for item in part)
        distance = _mean(item.confidence for item in part) - accuracy
        noise = accuracy * (1 - accuracy) / (len(part) - 1) if len(part) > 1 else 0.0
        square += len(part) / len(items) * (distance**2 - noise)
    return math.sqrt(max(0.0, square))


def risk_coverage_area(items: Sequence[SureAnswer]) -> float:
    """The mean over all coverages of the error among the surest."""
    risks = _risks(items)
    return math.fsum(risks) / len(risks)


def selective_accuracy(items: Sequence[SureAnswer], coverage: float) -> float:
    """The accuracy among the surest part."""
    return 1 - _risks(items)[max(1, round(coverage * len(items))) - 1]


def fit_temperature(groups: Sequence[Sequence[float]], answers: Sequence[int]) -> float:
    """The temperature at which the right choices are likeliest, by golden section over its logarithm."""

    def loss(log_temperature: float) -> float:
        temperature = math.exp(log_temperature)
        return math.fsum(
            _log_total([logprob / temperature for logprob in group]) - group[answer] / temperature
            for group, answer in zip(groups, answers, strict=True)
        )

    low, high, golden = _COLDEST, _HOTTEST, (math.sqrt(5) - 1) / 2
    for _ in range(60):
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if loss(left) <= loss(right) else (left, high)
    return math.exp((low + high) / 2)


def basic_bootstrap(
    items: Sequence[SureAnswer],
    statistic: Statistic,
    bounds: tuple[float, float],
    *,
    seed: int = 0,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """The basic bootstrap over whole clusters: the estimate less what the resamples stray from it,
    widened to hold the estimate where that is biased by more."""
    groups: dict[Hashable, list[SureAnswer]] = {}
    for item in items:
        groups.setdefault(item.cluster, []).append(item)
    parts = list(groups.values())
    if len(parts) < 2:
        return Interval(None, None, f"no interval: all {len(items)} items belong to one cluster")
    draw = random.Random(seed)  # noqa: S311 - no secret
    draws = sorted(
        statistic([item for part in draw.choices(parts, k=len(parts)) for item in part]) for _ in range(resamples)
    )
    estimate, tail = statistic(items), (1 - level) / 2
    below, above = (draws[min(resamples - 1, int(share * resamples))] for share in (tail, 1 - tail))
    if below == above:
        return Interval(None, None, "no interval: the bootstrap saw no spread")
    low, high = (min(max(2 * estimate - end, bounds[0]), bounds[1]) for end in (above, below))
    low, high = min(low, estimate), max(high, estimate)
    return Interval(low, high, f"basic bootstrap {level:.0%}, {resamples} resamples of {len(parts)} clusters")


def _equal_mass(items: Sequence[SureAnswer], bins: int) -> list[list[SureAnswer]]:
    """Items in the order of their confidence, in bins that hold as many each, as nearly as can be."""
    ordered = sorted(items, key=lambda item: item.confidence)
    count = max(1, min(bins, len(ordered)))
    ends = [place * len(ordered) // count for place in range(count + 1)]
    return [ordered[start:end] for start, end in pairwise(ends)]


def _risks(items: Sequence[SureAnswer]) -> list[float]:
    """The error among the k surest, for every k; among items of one confidence each is as likely to be
    among them."""
    ordered = sorted(items, key=lambda item: -item.confidence)
    risks: list[float] = []
    before = 0.0
    start = 0
    while start < len(ordered):
        end = start
        while end < len(ordered) and ordered[end].confidence == ordered[start].confidence:
            end += 1
        wrong = math.fsum(1 - item.right for item in ordered[start:end])
        risks += [(before + wrong * (k - start) / (end - start)) / k for k in range(start + 1, end + 1)]
        before, start = before + wrong, end
    return risks


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return math.fsum(numbers) / len(numbers)


def _log_total(logprobs: Sequence[float]) -> float:
    most = max(logprobs)
    return most + math.log(math.fsum(math.exp(logprob - most) for logprob in logprobs))
