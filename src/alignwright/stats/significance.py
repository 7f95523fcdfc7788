"""Which p value has a paired change (McNemar) or one of many tests (Holm), and how many items show a
difference (power)?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from alignwright.stats.intervals import normal_critical


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided exact p for paired binaries: b items went one way, c the other; under no change
    each way is a fair coin."""
    if b < 0 or c < 0:
        raise ValueError(f"mcnemar_exact: counts cannot be negative, seen b={b}, c={c}")
    n = b + c
    tail = sum(math.comb(n, k) for k in range(min(b, c) + 1))
    return min(1.0, 2 * tail / 2**n)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p values, in the order given. A None was not tested: it stays None and
    does not count."""
    if wrong := [p for p in ps if p is not None and not 0.0 <= p <= 1.0]:
        raise ValueError(f"holm: p values lie in [0, 1], seen {wrong[0]}")
    tested = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    highest = 0.0
    for rank, (p, i) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * p))
        adjusted[i] = highest
    return adjusted


def sample_size(
    difference: float,
    variance: float,
    *,
    noise_a: float = 0.0,
    noise_b: float = 0.0,
    samples_a: int = 1,
    samples_b: int = 1,
    level: float = 0.95,
    power: float = 0.8,
) -> int:
    """Items needed to see `difference` between two paired systems.

    `variance` is that of the true per-item differences; `noise_a` and `noise_b` are the mean
    sampling variances within an item, each divided by its number of samples per item: n = (z_level
    + z_power)^2 (variance + noise_a/samples_a + noise_b/samples_b) / difference^2.
    """
    if difference == 0 or min(variance, noise_a, noise_b) < 0 or min(samples_a, samples_b) < 1:
        raise ValueError("sample_size: the difference must not be 0, variances not negative, samples at least 1")
    total = variance + noise_a / samples_a + noise_b / samples_b
    return math.ceil((normal_critical(level) + NormalDist().inv_cdf(power)) ** 2 * total / difference**2)
