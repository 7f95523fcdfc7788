"""Is a fall beyond the margin ruled out, shown, or neither?

Answered like a promise on the change, turned so that more is better: kept when the whole interval
lies above minus the margin, broken when a fall beyond it is shown, untested otherwise. All must be
kept for exit code 0, which needs no adjustment; one broken is enough for 1, so that is held against
Holm's over the claims (p of "no fall beyond the margin", one-sided, below 0.025: for a single claim
its own 95% interval).

Items that A answered and B did not are not known, and a model that is silent on the hard ones must
not pass by that. So kept asks for more: the interval's lower end must lie above minus the margin
even if every one of them had got the worst value there is (Manski 1989, bounds without
assumptions). Where a score has no worst value, one such item leaves the claim untested. A fall that
is shown on the items of both stays shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from alignwright.core.amount import amount
from alignwright.core.claims import Range
from alignwright.run.comparison.log_comparison import Answer
from alignwright.stats.intervals import Difference
from alignwright.stats.marks import LEVEL


@dataclass(frozen=True)
class MarginTest:
    """What the margin is held against in one claim."""

    change: Difference
    """B minus A over the items scored in both."""
    margin: float
    lower: bool
    """Whether less is better."""
    missing: Sequence[float] = ()
    """A's values on the items that have no score in B."""
    within: Range = (-math.inf, math.inf)
    """Between which limits a score lies."""

    def p_no_fall(self) -> float | None:
        """One-sided p of "no fall beyond the margin"."""
        tails = self.change.tails(self.margin if self.lower else -self.margin)
        return None if tails is None else tails[1] if self.lower else tails[0]

    def answer(self, p_fall: float | None, tested: int) -> tuple[Answer, str]:
        """The answer and its reason; `p_fall` is adjusted over the claims that are `tested`."""
        low, high, margin = self.change.interval.low, self.change.interval.high, self.margin
        if low is None or high is None:
            return "untested", self.change.interval.method
        if self.lower:
            low, high = -high, -low
        limits = f"the interval of the gain is [{low:.3g}, {high:.3g}]"
        if low > -margin:
            return self._with_missing(low, limits)
        if high < -margin:
            if p_fall is None or p_fall < LEVEL / 2:
                return "broken", f"a fall beyond {margin:g} is shown: {limits}"
            return (
                "untested",
                f"a fall beyond {margin:g} by its own interval, not once adjusted for {tested} claims: {limits}",
            )
        return "untested", f"neither a fall beyond {margin:g} nor its absence is shown: {limits}"

    def _with_missing(self, low: float, limits: str) -> tuple[Answer, str]:
        """The answer where the items of both rule a fall out, by what the others could have been."""
        ruled_out, count = f"no fall beyond {self.margin:g}", len(self.missing)
        if not count:
            return "kept", f"{ruled_out}: {limits}"
        what = f"{amount(count, 'item')} scored in A {'have' if count != 1 else 'has'} no score in B"
        worst = self.within[1] if self.lower else self.within[0]
        if not math.isfinite(worst):
            return (
                "untested",
                f"{ruled_out} on the items of both ({limits}), but {what}, and a score has no worst value",
            )
        falls = [value - worst if self.lower else worst - value for value in self.missing]
        n = self.change.n
        least = (n * low + (-math.fsum(map(abs, falls)))) / (n + count)
        if least > -self.margin:
            return "kept", f"{ruled_out}: {limits}; {what}, and had they all been lost it were {least:.3g} at the least"
        return (
            "untested",
            f"{ruled_out} on the items of both ({limits}), but {what}: had they all been lost, the gain could be"
            f" {least:.3g}",
        )
