"""Does a 95 % interval have 95 % coverage at such sizes? Simulated coverage of the interval of a
share and of a paired change.

Simulated for shares and paired changes of passes and fails in topics (`benchmarks/coverage.py`,
which prints this table with --table): everything that is not named here covers at least LEAST. What
is named is a strong correlation within topics of many items and a share near 0 or 1: a few topics
hold all the fails, and a sample without them looks surer than it is. A run's own cell is the nearest
in every direction, its share and correlation as they were taken, so it is a warning and no proof.
"""

from __future__ import annotations

import math
from typing import Literal, TypeVar

Number = TypeVar("Number", int, float)
Kind = Literal["share", "change"]
Cell = tuple[int, int, float, float]
"""Topics, items a topic, share (of a change: of the items that moved the more frequent way),
correlation within topics."""
LEAST = 0.93
TOPICS, SIZES, SHARES, CORRELATIONS = (
    (4, 6, 8, 12, 24, 40),
    (2, 3, 6, 12, 25),
    (0.02, 0.05, 0.1, 0.2, 0.3, 0.5),
    (0.0, 0.05, 0.1, 0.2, 0.3, 0.4),
)


def simulated_coverage(kind: Kind, topics: int, size: float, share: float, correlation: float) -> float | None:
    """What the interval of a run's cell covers in simulation where that is below LEAST; None
    where it is enough."""
    if size <= 1:
        return None
    small = max(min(share, 1 - share), SHARES[0])
    cell = (
        _near(TOPICS, topics),
        _near(SIZES, size),
        _near(SHARES, small),
        min(CORRELATIONS, key=lambda r: abs(r - correlation)),
    )
    return _UNDER[kind].get(cell)


def _near(choices: tuple[Number, ...], value: float) -> Number:
    return min(choices, key=lambda choice: abs(math.log(choice / value)))


_UNDER: dict[Kind, dict[Cell, float]] = {
    "share": {
        (8, 25, 0.1, 0.4): 0.922,
        (12, 12, 0.1, 0.4): 0.909,
        (12, 25, 0.05, 0.4): 0.919,
        (12, 25, 0.1, 0.4): 0.916,
        (24, 12, 0.05, 0.3): 0.918,
        (24, 12, 0.05, 0.4): 0.887,
        (24, 25, 0.02, 0.3): 0.906,
        (24, 25, 0.02, 0.4): 0.894,
        (24, 25, 0.05, 0.3): 0.919,
        (24, 25, 0.05, 0.4): 0.895,
        (40, 12, 0.02, 0.2): 0.923,
        (40, 12, 0.02, 0.3): 0.902,
        (40, 12, 0.02, 0.4): 0.890,
        (40, 25, 0.02, 0.2): 0.918,
        (40, 25, 0.02, 0.3): 0.889,
        (40, 25, 0.02, 0.4): 0.872,
        (40, 25, 0.05, 0.3): 0.928,
        (40, 25, 0.05, 0.4): 0.929,
    },
    "change": {
        (8, 25, 0.1, 0.4): 0.926,
        (12, 12, 0.1, 0.4): 0.923,
        (12, 25, 0.05, 0.4): 0.924,
        (12, 25, 0.1, 0.4): 0.910,
        (24, 12, 0.05, 0.3): 0.920,
        (24, 12, 0.05, 0.4): 0.906,
        (24, 25, 0.02, 0.3): 0.909,
        (24, 25, 0.02, 0.4): 0.902,
        (24, 25, 0.05, 0.3): 0.927,
        (24, 25, 0.05, 0.4): 0.891,
        (40, 12, 0.02, 0.3): 0.913,
        (40, 12, 0.02, 0.4): 0.904,
        (40, 25, 0.02, 0.2): 0.928,
        (40, 25, 0.02, 0.3): 0.888,
        (40, 25, 0.02, 0.4): 0.873,
        (40, 25, 0.05, 0.4): 0.924,
    },
}
