"""Is a change larger than what harmless training does by itself?

Any training moves a measure: new wording, longer or shorter replies, a topic that comes closer. So models that were
trained on harmless data say how far a measure moves for nothing, and a later change is held against the
smallest and the largest of theirs. If the later training were one more of the same kind, its change would
take each place among the n + 1 with the same probability, and lie strictly outside all n with at most
2 / (n + 1) (a distribution-free prediction interval; Wilks 1941). No shape is assumed, only that the
trainings are exchangeable: a longer training, or one on other topics, is not one more of the same kind.

From 39 harmless trainings on, "outside" is wrong at most one time in twenty. From fewer it is not said.
"Inside" says that harmless training would do as much, never that nothing happened.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

INSIDE: Literal["inside the drift of harmless training"] = "inside the drift of harmless training"
OUTSIDE: Literal["outside the drift of harmless training"] = "outside the drift of harmless training"
UNTOLD: Literal["too few harmless trainings to tell"] = "too few harmless trainings to tell"
DriftVerdict = Literal[
    "inside the drift of harmless training",
    "outside the drift of harmless training",
    "too few harmless trainings to tell",
]
LEVEL = 0.05


@dataclass(frozen=True)
class Drift:
    """How far n harmless trainings moved a measure: the smallest and the largest change."""

    low: float
    high: float
    n: int

    @property
    def coverage(self) -> float:
        """The probability, at least, that one more harmless training moves it no further."""
        return max(0.0, (self.n - 1) / (self.n + 1))

    def verdict(self, change: float, level: float = LEVEL) -> DriftVerdict:
        """What a later change is beside this drift."""
        if not math.isfinite(change):
            raise ValueError(f"drift: a change is a finite number, seen {change}")
        if self.low <= change <= self.high:
            return INSIDE
        return OUTSIDE if 2 / (self.n + 1) <= level + 1e-12 else UNTOLD


def drift_of(changes: Sequence[float]) -> Drift | None:
    """The drift that these changes under harmless training make; None where there is none."""
    if wrong := [each for each in changes if not math.isfinite(each)]:
        raise ValueError(f"drift: a change is a finite number, seen {wrong[0]}")
    return Drift(min(changes), max(changes), len(changes)) if changes else None
