"""Which trained models are on the Pareto front of gain and alignment tax, and which is at its knee?

Alignment buys a gain with a tax, and both can be had in other proportions: weights between the
start and the trained model, a stronger or a weaker pull to the start, other data mixed in (Lin et
al. 2023, arXiv 2309.06256). Each model is a point, its paired gain and cost against the start model
with their intervals; the start model is the point (0, 0). Three ways to choose, which need not
agree:

- the front: points that no other beats in gain at the same cost or less
- the knee: on the front, the point that lies furthest above the line between the front's ends, each
  axis scaled to the front's own reach
- the best within the margin: the largest gain among points whose whole interval of cost lies below
  the margin and whose gain is shown

The front is drawn through values, and noise alone makes one: where intervals overlap two points are
not told apart, so only the last choice is tested: the cost by its interval, as a promise is, and
the gain by the adjusted p. Left out on purpose: fitting a curve through a handful of points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from alignwright.core.records import Finding
from alignwright.stats.marks import direction

START = "start"
_GAINS = ("goodhart", "reward", "value", "intent", "instruction")


@dataclass(frozen=True)
class ParetoPoint:
    """A model: what it gained and what it cost, both so that more is more, with their 95% limits
    where there are any."""

    name: str
    gain: float
    tax: float
    gain_low: float | None = None
    gain_high: float | None = None
    tax_low: float | None = None
    tax_high: float | None = None
    gained: bool = False
    """Whether the gain is shown: by the rule of all marks (`stats.marks`), since the models of a
    front are compared with each other."""


ORIGIN = ParetoPoint(START, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def points(findings: Sequence[Finding], gain: str, tax: str, run: str = "") -> list[ParetoPoint]:
    """A point for every stage that has the paired change of both claims against the start model;
    `run` is put before the names."""
    models: list[ParetoPoint] = []
    changes = {(f.claim, f.stage): f for f in findings if f.against == "baseline" and f.value is not None}
    for stage in dict.fromkeys(stage for _, stage in changes):
        gain_change, tax_change = changes.get((gain, stage)), changes.get((tax, stage))
        if gain_change is not None and tax_change is not None:
            up, down = _oriented(gain_change, 1), _oriented(tax_change, -1)
            name, is_shown = f"{run}:{stage}" if run else stage, direction(gain_change) == "better"
            models.append(ParetoPoint(name, up[0] or 0.0, down[0] or 0.0, up[1], up[2], down[1], down[2], is_shown))
    return models


def pareto_front(models: Sequence[ParetoPoint]) -> list[ParetoPoint]:
    """The points, with the start model, that none beats, from the smallest cost to the largest."""
    kept_points: list[ParetoPoint] = []
    for point in sorted((ORIGIN, *models), key=lambda p: (p.tax, -p.gain)):
        if not kept_points or point.gain > kept_points[-1].gain:
            kept_points.append(point)
    return kept_points


def knee_point(models: Sequence[ParetoPoint]) -> ParetoPoint | None:
    """The front's knee; None where fewer than three points are on it, or none lies above the
    line between its ends."""
    on_front = pareto_front(models)
    if len(on_front) < 3:
        return None
    first, last = on_front[0], on_front[-1]
    wide, high = last.tax - first.tax, last.gain - first.gain
    above = {p.name: (p.gain - first.gain) / high - (p.tax - first.tax) / wide for p in on_front[1:-1]}
    best = max(on_front[1:-1], key=lambda p: above[p.name])
    return best if above[best.name] > 0 else None


def best_within(models: Sequence[ParetoPoint], margin: float) -> ParetoPoint | None:
    """The largest gain that is shown, among the points whose whole interval of cost is below the
    margin; None where there is none."""
    able = [p for p in models if p.tax_high is not None and p.tax_high < margin and p.gained]
    return max(able, key=lambda p: p.gain, default=None)


def margins(findings: Sequence[Finding], tax: str) -> tuple[float, ...]:
    """The margins that the changes of this tax were tested against; none where it was tested
    against none."""
    stated = [f.detail.get("margin") for f in findings if f.claim == tax and f.against == "baseline"]
    return tuple(sorted({float(margin) for margin in stated if margin is not None}))


def axes(findings: Sequence[Finding]) -> tuple[str, str] | None:
    """The claims that a front is drawn over when nobody names any; None without a gain and a tax.

    Those that were compared with the start model after the most trainings come first: a claim that
    one stage alone has makes no front. Then the first gain by the order of axes, and the first tax.
    """
    changes = [f for f in findings if f.against == "baseline" and f.better is not None and f.value is not None]
    stages = Counter(f.claim for f in changes)
    gains = sorted((f for f in changes if f.axis in _GAINS), key=lambda f: (-stages[f.claim], _GAINS.index(f.axis)))
    taxes = sorted((f for f in changes if f.axis == "tax"), key=lambda f: -stages[f.claim])
    return (gains[0].claim, taxes[0].claim) if gains and taxes else None


def _oriented(finding: Finding, good: int) -> tuple[float | None, float | None, float | None]:
    """(value, low, high) turned so that better (good = 1) or worse (good = -1) is positive."""
    if (finding.better == "lower") == (good == 1):
        return tuple(None if v is None else -v for v in (finding.value, finding.high, finding.low))  # type: ignore[return-value]
    return finding.value, finding.low, finding.high
