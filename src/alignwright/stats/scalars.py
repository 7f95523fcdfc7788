"""The arithmetic mean and the logistic sigmoid of plain numbers, where the obvious form fails: the
mean's sum is exact, whatever the order of its items (Shewchuk's `fsum`), and the sigmoid never
overflows."""

from __future__ import annotations

import math
from collections.abc import Sequence


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), without overflow on either side."""
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))
