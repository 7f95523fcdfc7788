"""Where did each claim stand before, and where does it stand now?

One small SVG per claim: a lane per stage with its interval and its dot, on the scale of the claim's
unit. Horizontal places are per cent of the width, so that the drawing stretches with the page and
its dots and letters do not. Shapes tell the stages apart as well as colours: a ring before,
diamonds between, a full dot at the end. Only numbers and fixed words are drawn, never a model's
text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from alignwright.core import wording
from alignwright.core.promises import Promise
from alignwright.core.records import Finding
from alignwright.report.results import ClaimFindings, RunResults
from alignwright.report.text import visible

LANE = 15
_EMPTY = Markup()


@dataclass(frozen=True)
class Scale:
    """The ends of an axis and its ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> str:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return f"{100 * share:.2f}%"


SHARES = Scale(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0))


def scale(claim: ClaimFindings, promise: Promise | None = None) -> Scale:
    """Shares are drawn from 0 to 100%; any other unit over what was seen and promised, with round ends."""
    if claim.unit == "share":
        return SHARES
    seen = [v for f in claim.levels.values() for v in (f.low, f.value, f.high) if v is not None]
    return around([*seen, *([promise.bound] if promise else [])])


def around(values: Sequence[float]) -> Scale:
    """A scale with round ends over these values."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    span = (high - low) or abs(high) or 1.0
    step = 10.0 ** math.floor(math.log10(span))
    step = next(s for s in (step / 5, step / 2, step, 2 * step) if span / s <= 5)
    first, last = math.floor(low / step), math.ceil(high / step)
    return Scale(
        first * step,
        (last if last > first else first + 1) * step,
        tuple(i * step for i in range(first, max(last, first + 1) + 1)),
    )


def lanes(claim: ClaimFindings, case: RunResults, promise: Promise | None = None) -> Markup:
    """The drawing of one claim; a promise about its level is a dashed line, with the promised
    side shaded."""
    axis, stages = scale(claim, promise), case.stages
    height = LANE * len(stages) + 8
    parts = [_line(axis.at(tick), 0, axis.at(tick), height, "tick") for tick in axis.ticks]
    parts += _bound(axis, promise, height) if promise else []
    for row, stage in enumerate(stages):
        finding = claim.levels.get(stage)
        kind = "start" if row == 0 else "end" if row == len(stages) - 1 else "mid"
        parts += [_lane(axis, finding, case.stage(stage), kind, 4 + LANE * row + LANE / 2)] if finding else []
    words = "; ".join(
        f"{case.stage(s)} {wording.number(f.value, f.unit)} {wording.interval(f)}" for s, f in claim.levels.items()
    )
    return Markup('<svg class="lanes" width="100%" height="{}" role="img" aria-label="{}">{}</svg>').format(
        height, visible(words), _EMPTY.join(parts)
    )


def ruler(axis: Scale, unit: str) -> Markup:
    """The numbers under the drawings."""
    ends = {0: "start", len(axis.ticks) - 1: "end"}
    text = Markup('<text x="{}" y="12" text-anchor="{}">{}</text>')
    texts = [text.format(axis.at(tick), ends.get(i, "middle"), _tick(tick, unit)) for i, tick in enumerate(axis.ticks)]
    return Markup('<svg class="ruler" width="100%" height="16" aria-hidden="true">{}</svg>').format(_EMPTY.join(texts))


def mark(kind: str) -> Markup:
    """The shape of a stage alone, for the legend."""
    return Markup('<svg class="key" width="16" height="16" aria-hidden="true">{}</svg>').format(_dot("50%", 8, kind))


def _lane(axis: Scale, finding: Finding, stage: str, kind: str, y: float) -> Markup:
    if finding.value is None:
        return Markup('<text class="none" x="0" y="{:g}">not scored</text>').format(y + 4)
    words = (
        f"{stage}: {wording.number(finding.value, finding.unit)} {wording.interval(finding)}, {wording.scored(finding)}"
    )
    drawing = _dot(axis.at(finding.value), y, kind)
    if finding.low is not None and finding.high is not None:
        drawing = _line(axis.at(finding.low), y, axis.at(finding.high), y, f"span {kind}") + drawing
    return Markup("<g><title>{}</title>{}</g>").format(visible(words), drawing)


def _bound(axis: Scale, promise: Promise, height: int) -> list[Markup]:
    at = float(axis.at(promise.bound).rstrip("%"))
    start, width = (0.0, at) if promise.op in ("<", "<=") else (at, 100 - at)
    rect = Markup('<rect class="promised" x="{:.2f}%" y="0" width="{:.2f}%" height="{}"/>')
    return [rect.format(start, width, height), _line(f"{at:.2f}%", 0, f"{at:.2f}%", height, "bound")]


def _dot(x: str, y: float, kind: str) -> Markup:
    if kind == "mid":
        return Markup(
            '<svg x="{}" y="{:g}" overflow="visible"><path class="dot mid" d="M0-5 5 0 0 5-5 0Z"/></svg>'
        ).format(x, y)
    return Markup('<circle class="dot {}" cx="{}" cy="{:g}" r="{}"/>').format(
        kind, x, y, 4.5 if kind == "start" else 5.5
    )


def _line(x1: str, y1: float, x2: str, y2: float, kind: str) -> Markup:
    return Markup('<line class="{}" x1="{}" y1="{:g}" x2="{}" y2="{:g}"/>').format(kind, x1, y1, x2, y2)


def _tick(value: float, unit: str) -> str:
    return f"{100 * value:.0f}%" if unit == "share" else f"{value:.4g}"
