"""Is a difference small enough not to matter? Equivalence and non-inferiority by two one-sided tests
(TOST), which "no significant difference" never says.

A test that finds nothing may have been too small to find anything. So the question is turned round:
with a margin named beforehand, does the data rule out a loss as large as that? One-sided, alpha =
5%, for each side of the margin (two one-sided tests: Schuirmann 1987). Both rejected is
*equivalence*, the harmful one rejected is *no loss beyond the margin*; both are read from the 90%
interval of the paired difference, which is clustered where the items are. Where no difference
varies at all the interval is `paired`'s cautious one.

A loss can be shown and be within the margin at once: then it is small, and `loss` says that it is
there. Left out on purpose: choosing the margin after the data are seen, and a margin of the noise's
own size, which would always hold.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

from alignwright.stats.intervals import Difference, paired

Answer = Literal["within", "beyond", "undecided"]
"""within: a loss of the margin or more is ruled out; beyond: there is a loss, and it is not
shown to be smaller; undecided: neither."""


@dataclass(frozen=True)
class Equivalence:
    """The answer, the limits it was read from, and the p values of both one-sided tests where they
    could be computed.

    `low` and `high` bound the loss (before - after, where more is better) at level 1 - 2 alpha.
    """

    answer: Answer
    loss: bool
    equivalent: bool
    margin: float
    low: float | None
    high: float | None
    p_worse: float | None
    p_better: float | None
    method: str
    absence: str = ""
    """Why there are no limits, where there are none."""

    @property
    def p(self) -> float | None:
        """p of the test of equivalence: the larger of the two."""
        return None if self.p_worse is None or self.p_better is None else max(self.p_worse, self.p_better)


def equivalence(
    after: Sequence[float],
    before: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    *,
    margin: float,
    higher_is_better: bool = True,
    alpha: float = 0.05,
) -> Equivalence:
    """Do the same items lose less than `margin` between before and after? The margin is in the
    unit of the values."""
    if not margin > 0:
        raise ValueError(f"equivalence: the margin must be above 0, seen {margin}; two systems are never exactly equal")
    first, then = (before, after) if higher_is_better else (after, before)
    loss = paired(first, then, clusters, level=1 - 2 * alpha)
    wide = paired(first, then, clusters, level=1 - alpha)
    low, high = loss.interval.low, loss.interval.high
    has_loss = wide.interval.low is not None and wide.interval.low > 0
    within = high is not None and high < margin
    answer: Answer = "within" if within else "beyond" if has_loss else "undecided"
    worse, better = _p_values(loss, margin)
    equal = within and low is not None and low > -margin
    method = f"two one-sided tests at {alpha:.0%}, margin {margin:g}; {loss.interval.method}"
    return Equivalence(answer, has_loss, equal, margin, low, high, worse, better, method, loss.interval.absence)


def _p_values(loss: Difference, margin: float) -> tuple[float | None, float | None]:
    """One-sided p of "the loss is at least the margin" and of "the gain is at least the margin";
    None where nothing varies."""
    worse, better = loss.tails(margin), loss.tails(-margin)
    return (None if worse is None else worse[0]), (None if better is None else better[1])


def describe_equivalence(result: Equivalence, unit: str = "share") -> str:
    """The answer in words, with the limits it was read from."""
    size, scale = (f"{100 * result.margin:g} points", 100.0) if unit == "share" else (f"{result.margin:g} {unit}", 1.0)
    if result.low is None or result.high is None:
        return f"undecided whether there is a tax beyond {size}: {result.absence}"
    limits = f"90% interval of the cost [{scale * result.low:.3g}, {scale * result.high:.3g}]"
    match result.answer:
        case "within":
            return f"no tax beyond {size}{', though its own 95% interval is above 0' if result.loss else ''} ({limits})"
        case "beyond":
            return f"tax shown by its own 95% interval, not bounded by {size} ({limits})"
        case "undecided":
            return f"undecided: neither a tax nor the absence of one beyond {size} is shown ({limits})"
