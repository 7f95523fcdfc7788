"""Which changes are statistically significant after the Holm correction, so that they are marked,
said in words and counted as changes?

One rule for all of them: those whose p, adjusted by Holm over the changes that were tested
together, is below LEVEL. Of many claims some move by chance, and a reader who looks for what moved
looks at all of them at once. The p is of the very test whose 95% interval stands beside it. A
promise is another question: it was written before the run and names its claim, so it is answered by
that claim's own interval, unadjusted.
"""

from __future__ import annotations

from typing import Literal, Protocol

from alignwright.core.claims import Better

LEVEL = 0.05
Direction = Literal["better", "worse", "changed", "unclear"]


class MarkedChange(Protocol):
    """A difference that was tested: a finding, or one of two logs."""

    @property
    def value(self) -> float | None: ...

    @property
    def p(self) -> float | None: ...

    @property
    def p_adjusted(self) -> float | None: ...

    @property
    def better(self) -> Better: ...


def is_significant(change: MarkedChange) -> bool:
    """Whether a change is left after the adjustment; a change that was tested alone has none,
    and one without a p never stands."""
    p = change.p if change.p_adjusted is None else change.p_adjusted
    return p is not None and p < LEVEL


def direction(change: MarkedChange) -> Direction:
    """Which way a difference went: better, worse, changed (neither is good) or unclear."""
    if not is_significant(change) or not change.value:
        return "unclear"
    if change.better is None:
        return "changed"
    return "better" if (change.value > 0) == (change.better == "higher") else "worse"
