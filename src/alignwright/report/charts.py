"""How are the line charts and interval panels of a section drawn, as SVG?

Horizontal places are per cent of the width, so that a drawing stretches with the page and its dots
and letters do not. Only numbers are drawn, and words that passed `text.visible` and the escaping of
markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from markupsafe import Markup

from alignwright.core.section import Band, LineChart, Panel, Point, Series
from alignwright.core.wording import ABSENT
from alignwright.report.figures import Scale, around
from alignwright.report.text import visible

HEIGHT, PANEL, PAD = 210, 96, 12
_EMPTY = Markup()


def line_chart(chart: LineChart) -> Markup:
    """Lines and points over two axes, and the shaded band of a place on the x axis."""
    points = [point for series in chart.series for point in series.points]
    across = _across(points, chart.band)
    up = around([0.0, *(v for p in points for v in (p.y_low, p.y, p.y_high) if v is not None)])
    parts = [_tick(up, tick, HEIGHT) for tick in up.ticks]
    if across.low < 0:
        parts.append(_line("zero", across.at(0.0), 0, across.at(0.0), HEIGHT))
    parts += _band(across, chart.band) if chart.band else []
    for series in chart.series:
        parts += [_segment(series, across, up, a, b) for a, b in pairwise(series.line)]
    parts += [_point(series.colour, across, up, point) for series in chart.series for point in series.points]
    parts += [_number(across, tick) for tick in across.ticks if tick <= across.high]
    return _svg(HEIGHT + 18, (point.words for point in points), parts)


def swatch(series: Series) -> Markup:
    """The line of a series, for the legend."""
    dashed = " dashed" if series.dashed else ""
    return Markup(
        '<svg class="curve key" width="30" height="16" aria-hidden="true">'
        '<line class="way {}{}" x1="0" x2="30" y1="8" y2="8"/></svg>'
    ).format(series.colour, dashed)


def panel(panel: Panel) -> Markup:
    """A mark with its interval for each policy, from left to right."""
    up = Scale(panel.low, panel.high, ())
    across = Scale(0.0, float(len(panel.marks)), ())
    parts = [_tick(up, value, PANEL) for value in panel.lines]
    text = Markup('<text x="{}" y="{:g}" text-anchor="middle">{}</text>')
    for place, mark in enumerate(panel.marks):
        x = across.at(place + 0.5)
        parts.append(text.format(x, PANEL + 14, visible(mark.label)))
        if mark.value is None:
            parts.append(text.format(x, PANEL / 2, ABSENT))
            continue
        limits = _EMPTY
        if mark.low is not None and mark.high is not None:
            limits = _upright("end", x, _y(up, mark.low, PANEL), _y(up, mark.high, PANEL))
        dot = _shape("diamond" if mark.trained else "dot", "end", x, _y(up, mark.value, PANEL))
        parts.append(Markup("<g><title>{}</title>{}{}</g>").format(visible(mark.words), limits, dot))
    return _svg(PANEL + 18, (mark.words for mark in panel.marks if mark.value is not None), parts)


def _svg(height: int, words: Iterator[str], parts: Sequence[Markup]) -> Markup:
    return Markup('<svg class="curve" width="100%" height="{}" role="img" aria-label="{}">{}</svg>').format(
        height, visible("; ".join(words)), _EMPTY.join(parts)
    )


def _across(points: Sequence[Point], band: Band | None) -> Scale:
    """The x axis: round ends where something lies before 0 or has an interval along it; else from
    0 to a little beyond the last point, or to the band's value where that is not far off."""
    reach = [0.0, *(v for p in points for v in (p.x_low, p.x, p.x_high) if v is not None)]
    if min(reach) < 0 or any(p.x_low is not None for p in points):
        return around(reach)
    far = max(reach)
    far = max(far, min(band.value, 1.5 * far)) if band else far
    return Scale(0.0, (far or 1.0) * 1.04, around([0.0, far]).ticks)


def _band(across: Scale, band: Band) -> list[Markup]:
    if band.value > across.high:
        return []
    start, end = (float(across.at(v).rstrip("%")) for v in (band.low, across.high if band.high is None else band.high))
    shade = Markup('<rect class="promised" x="{:.2f}%" y="0" width="{:.2f}%" height="{}"/>').format(
        start, max(0.0, end - start), HEIGHT
    )
    return [shade, _line("bound", across.at(band.value), 0, across.at(band.value), HEIGHT)]


def _segment(series: Series, across: Scale, up: Scale, a: tuple[float, float], b: tuple[float, float]) -> Markup:
    kind = f"way {series.colour}{' dashed' if series.dashed else ''}"
    return _line(kind, across.at(a[0]), _y(up, a[1]), across.at(b[0]), _y(up, b[1]))


def _point(colour: str, across: Scale, up: Scale, point: Point) -> Markup:
    x, y, top = across.at(point.x), _y(up, point.y), _y(up, point.y)
    parts: list[Markup] = []
    if point.x_low is not None and point.x_high is not None:
        parts.append(_line(f"limits {colour}", across.at(point.x_low), y, across.at(point.x_high), y))
    if point.y_low is not None and point.y_high is not None:
        top = _y(up, point.y_high)
        parts.append(_upright(colour, x, _y(up, point.y_low), top))
    parts.append(_shape(point.shape, colour, x, y))
    if point.name:
        share = (point.x - across.low) / (across.high - across.low)
        anchor = "start" if share < 0.1 else "end" if share > 0.9 else "middle"
        text = Markup('<text x="{}" y="{:.1f}" text-anchor="{}">{}</text>')
        parts.append(text.format(x, min(top, y - 5) - 3, anchor, visible(point.name)))
    return Markup("<g><title>{}</title>{}</g>").format(visible(point.words), _EMPTY.join(parts))


def _shape(shape: str, colour: str, x: str, y: float) -> Markup:
    if shape == "diamond":
        return Markup(
            '<svg x="{}" y="{:.1f}" overflow="visible"><path class="at {}" d="M0-6 6 0 0 6-6 0Z"/></svg>'
        ).format(x, y, colour)
    kind, radius = (f"dot {colour}", 4.5) if shape == "ring" else (f"at {colour}", 3.5)
    return Markup('<circle class="{}" cx="{}" cy="{:.1f}" r="{}"/>').format(kind, x, y, radius)


def _upright(colour: str, x: str, low: float, high: float) -> Markup:
    return _line(f"limits {colour}", x, low, x, high)


def _tick(up: Scale, value: float, height: int) -> Markup:
    y = _y(up, value, height)
    text = Markup('<text x="0" y="{:.1f}">{:.4g}</text>').format(y - 3, value)
    return _line("zero" if value == 0 else "tick", "0", y, "100%", y) + text


def _number(across: Scale, value: float) -> Markup:
    anchor = "start" if value == across.low else "end" if value == across.high else "middle"
    text = Markup('<text x="{}" y="{}" text-anchor="{}">{:.4g}</text>')
    return text.format(across.at(value), HEIGHT + 14, anchor, value)


def _line(kind: str, x1: str, y1: float, x2: str, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{}" y1="{:.1f}" x2="{}" y2="{:.1f}"/>').format(kind, x1, y1, x2, y2)


def _y(up: Scale, value: float, height: int = HEIGHT) -> float:
    share = (min(max(value, up.low), up.high) - up.low) / (up.high - up.low)
    return height - PAD / 2 - share * (height - 1.5 * PAD)
