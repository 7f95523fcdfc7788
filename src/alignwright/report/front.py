"""What was gained for what it cost, model by model?

A small drawing over two claims: cost to the right, gain upwards, the start model at the origin, a
diamond with its name and both intervals for every trained model, and a line through those that none
beats (`stats.pareto`). Only numbers and fixed words are drawn; stages' names are escaped.
"""

from __future__ import annotations

from itertools import pairwise

from markupsafe import Markup

from alignwright.report import names
from alignwright.report.figures import Scale, around
from alignwright.report.results import RunResults
from alignwright.report.text import visible
from alignwright.stats.pareto import ORIGIN, Point, axes, best_within, knee_point, margins, pareto_front, points

HEIGHT, PAD = 200, 16
_EMPTY = Markup()


def drawing(case: RunResults) -> Markup:
    """The drawing; empty where fewer than two trained models were measured on both claims."""
    found = _points(case)
    if len(found) < 2:
        return _EMPTY
    across = around([0.0, *(v for p in found for v in (p.tax_low, p.tax, p.tax_high) if v is not None)])
    up = around([0.0, *(v for p in found for v in (p.gain_low, p.gain, p.gain_high) if v is not None)])
    parts = [
        _line("0%", _y(up, 0.0), "100%", _y(up, 0.0), "zero"),
        _line(across.at(0.0), PAD, across.at(0.0), HEIGHT - PAD, "zero"),
    ]
    parts += [
        _line(across.at(a.tax), _y(up, a.gain), across.at(b.tax), _y(up, b.gain), "tick")
        for a, b in pairwise(pareto_front(found))
    ]
    parts += [_mark(across, up, p, case) for p in (ORIGIN, *found)]
    ends = {0: "start", len(across.ticks) - 1: "end"}
    text = Markup('<text x="{}" y="{}" text-anchor="{}">{:.3g}</text>')
    parts += [
        text.format(across.at(tick), HEIGHT + 12, ends.get(i, "middle"), tick) for i, tick in enumerate(across.ticks)
    ]
    parts += [Markup('<text x="0" y="{:g}">{:.3g}</text>').format(_y(up, tick) - 3, tick) for tick in up.ticks]
    told = "; ".join(_words(p) for p in found)
    return Markup('<svg class="curve" width="100%" height="{}" role="img" aria-label="{}">{}</svg>').format(
        HEIGHT + 18, told, _EMPTY.join(parts)
    )


def said(case: RunResults) -> str:
    """The axes and the choices in words."""
    found, over = _points(case), axes(case.findings)
    if over is None:
        return ""
    bent = knee_point(found)
    words = f"Gain: {names.claim(over[0])}. Cost: {names.claim(over[1])}."
    words += f" The front bends {names.inside(bent.name)} ({bent.name})." if bent else " The front has no knee."
    return f"{words} {_best(found, margins(case.findings, over[1]))}"


def _best(found: list[Point], stated: tuple[float, ...]) -> str:
    """The best model within the margin that the cost was tested against; without one margin,
    that none can be named."""
    if len(stated) != 1:
        why = (
            f"was tested against several margins ({', '.join(f'{m:g}' for m in stated)})"
            if stated
            else "was not tested against a margin"
        )
        return f"The cost {why}, so no model is called the best below one."
    best = best_within(found, stated[0])
    if best is None:
        return f"No model is shown to gain at a cost shown to be below {stated[0]:g}."
    return (
        f"The largest gain that is shown at a cost shown to be below {stated[0]:g} is {names.inside(best.name)}"
        f" ({best.name})."
    )


def _points(case: RunResults) -> list[Point]:
    over = axes(case.findings)
    return points(case.findings, *over) if over else []


def _mark(across: Scale, up: Scale, point: Point, case: RunResults) -> Markup:
    x, y = across.at(point.tax), _y(up, point.gain)
    if point == ORIGIN:
        return Markup('<g><title>before</title><circle class="dot start" cx="{}" cy="{:g}" r="4.5"/></g>').format(x, y)
    kind = "end" if point.name == case.stages[-1] else "mid"
    parts: list[Markup] = []
    if point.tax_low is not None and point.tax_high is not None:
        parts.append(_line(across.at(point.tax_low), y, across.at(point.tax_high), y, f"span {kind}"))
    if point.gain_low is not None and point.gain_high is not None:
        parts.append(_line(x, _y(up, point.gain_low), x, _y(up, point.gain_high), f"span {kind}"))
    dot = Markup('<svg x="{}" y="{:g}" overflow="visible"><path class="dot {}" d="M0-5 5 0 0 5-5 0Z"/></svg>').format(
        x, y, kind
    )
    top = y - 5 if point.gain_high is None else _y(up, point.gain_high)
    share = (point.tax - across.low) / (across.high - across.low)
    anchor = "start" if share < 0.1 else "end" if share > 0.9 else "middle"
    name = Markup('<text x="{}" y="{:g}" text-anchor="{}">{}</text>').format(
        x, top - 3, anchor, visible(point.name.removeprefix("train."))
    )
    return Markup("<g><title>{}</title>{}{}{}</g>").format(_words(point), _EMPTY.join(parts), dot, name)


def _words(point: Point) -> str:
    gain = f"gain {point.gain:.3g} {_limits(point.gain_low, point.gain_high)}"
    return visible(
        f"{names.inside(point.name)} ({point.name}): {gain}, cost {point.tax:.3g}"
        f" {_limits(point.tax_low, point.tax_high)}"
    )


def _limits(low: float | None, high: float | None) -> str:
    return "no interval" if low is None or high is None else f"[{low:.3g}, {high:.3g}]"


def _y(up: Scale, value: float) -> float:
    share = (min(max(value, up.low), up.high) - up.low) / (up.high - up.low)
    return HEIGHT - PAD - share * (HEIGHT - 2 * PAD)


def _line(x1: str, y1: float, x2: str, y2: float, kind: str) -> Markup:
    return Markup('<line class="{}" x1="{}" y1="{:g}" x2="{}" y2="{:g}"/>').format(kind, x1, y1, x2, y2)
