"""Where did the proxy and gold part, and what became of the three meters on the way?

Two drawings from findings alone. The curve: gains of proxy and gold over the root of the
divergence, for the best of n replies of the start model (a line) and for each trained model (a
diamond), with the place where gold would be highest and its interval. The path: optimisation,
capture and generalisation, each with intervals, from the weakest pressure to the strongest. Only
numbers and fixed words are drawn; names of stages pass `text.visible` and the escaping of markup.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from alignwright.core.records import Finding
from alignwright.report import names
from alignwright.report.figures import Scale, around
from alignwright.report.results import RunResults
from alignwright.report.text import visible

HEIGHT, SMALL, PAD = 210, 96, 12
METERS = {"optimization": (0.0, 1.0), "capture": (-0.5, 1.5), "generalization": (-0.5, 1.5)}
_EMPTY = Markup()
_SIZE = re.compile(r"goodhart\.gold\.best_of_([0-9]{1,6})")


@dataclass(frozen=True)
class _Place:
    """One policy: where it lies, and what it gained."""

    name: str
    trained: bool
    d: float
    proxy: Finding
    gold: Finding


def curve(case: RunResults) -> Markup:
    """Proxy and gold over the root of the divergence; empty where neither best-of-n nor a
    trained model was measured."""
    chosen, trained = _chosen(case), _trained(case)
    if not chosen and not trained:
        return _EMPTY
    peak = _level(case, "goodhart.peak", "baseline")
    far = max(place.d for place in (*chosen, *trained))
    if peak and peak.value is not None:
        far = max(far, min(peak.value, 1.5 * far))
    across = Scale(0.0, far * 1.04, ())
    seen = [
        v for p in (*chosen, *trained) for f in (p.proxy, p.gold) for v in (f.low, f.value, f.high) if v is not None
    ]
    up = around([0.0, *seen])
    parts = [_tick(up, tick) for tick in up.ticks] + _peak(across, peak)
    for kind in ("proxy", "gold"):
        line = [(0.0, 0.0), *((p.d, _value(p, kind)) for p in chosen)]
        parts += [_segment(across, up, a, b, kind) for a, b in pairwise(line)]
    parts += [_mark(across, up, p, kind) for p in (*chosen, *trained) for kind in ("proxy", "gold")]
    ticks = [_number(across, tick) for tick in around([0.0, far]).ticks if tick <= across.high]
    drawing = Markup('<svg class="curve" width="100%" height="{}" role="img" aria-label="{}">{}{}</svg>')
    return drawing.format(HEIGHT + 18, visible(_told(chosen, trained)), _EMPTY.join(parts), _EMPTY.join(ticks))


def said(case: RunResults) -> str:
    """What the curve comes to, in one sentence."""
    peak = _level(case, "goodhart.peak", "baseline")
    if peak is None:
        return ""
    if peak.value is None:
        return "Within what was measured, choosing by the proxy raises gold throughout."
    if peak.value == 0:
        return (
            "Choosing the start model's replies by the proxy lowers gold from the first: more of this proxy is less of"
            " what is meant."
        )
    where = f"{names.number(peak.value, '')} {names.interval(peak)}"
    how = "an extrapolation, beyond what was measured" if peak.detail.get("beyond_data") else "within what was measured"
    return f"Choosing the start model's replies by the proxy, gold is highest at a root divergence of {where}: {how}."


def path(case: RunResults) -> list[tuple[str, Markup]]:
    """(meter, drawing) for each of the three meters that was measured. Never one number of all
    three."""
    order = [f"best_of_{n}" for n in sorted(_sizes(case))]
    drawn = list[tuple[str, Markup]]()
    for meter, (low, high) in METERS.items():
        name = f"trilemma.{meter}"
        found = [(f"{n.removeprefix('best_of_')}", _level(case, f"{name}.{n}", "baseline")) for n in order]
        found += [(stage, _level(case, name, stage)) for stage in case.stages if stage != "baseline"]
        if any(f is not None and f.value is not None for _, f in found):
            drawn.append((name, _small(found, Scale(low, high, ()))))
    return drawn


def _small(found: Sequence[tuple[str, Finding | None]], up: Scale) -> Markup:
    """One meter: a mark with its interval for each policy, from left to right."""
    across = Scale(0.0, float(len(found)), ())
    parts = [_tick(up, tick, SMALL) for tick in (0.0, 1.0)]
    told = list[str]()
    for i, (name, finding) in enumerate(found):
        x, trained = across.at(i + 0.5), not name.isdigit()
        parts.append(
            Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
                x, SMALL + 14, "\N{BLACK DIAMOND}" if trained else name
            )
        )
        if finding is None or finding.value is None:
            parts.append(
                Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(x, SMALL / 2, names.ABSENT)
            )
            continue
        words = (
            f"{names.stage(name) if trained else f'best of {name}'}: {names.number(finding.value, '')}"
            f" {names.interval(finding)}"
        )
        told.append(words)
        limits = (
            Markup()
            if finding.low is None or finding.high is None
            else _upright(x, _y(up, finding.low, SMALL), _y(up, finding.high, SMALL))
        )
        dot = _shape(x, _y(up, finding.value, SMALL), trained, "gold")
        parts.append(Markup("<g><title>{}</title>{}{}</g>").format(visible(words), limits, dot))
    return Markup('<svg class="curve" width="100%" height="{}" role="img" aria-label="{}">{}</svg>').format(
        SMALL + 18, visible("; ".join(told)), _EMPTY.join(parts)
    )


def _sizes(case: RunResults) -> list[int]:
    return [int(found[1]) for claim in case.claims if (found := _SIZE.fullmatch(claim.name))]


def _chosen(case: RunResults) -> list[_Place]:
    """The best of n of the start model, for each n that was measured."""
    places = list[_Place]()
    for n in sorted(_sizes(case)):
        nats, proxy, gold = (
            _level(case, f"goodhart.{what}.best_of_{n}", "baseline") for what in ("kl", "proxy", "gold")
        )
        if nats and proxy and gold and None not in (nats.value, proxy.value, gold.value):
            places.append(_Place(f"best of {n}", False, math.sqrt(nats.value or 0.0), proxy, gold))
    return places


def _trained(case: RunResults) -> list[_Place]:
    """Each trained model, with its paired changes from the start."""
    places = list[_Place]()
    for stage in case.stages:
        nats = _level(case, "goodhart.kl", stage)
        proxy, gold = (
            claim.change(stage) if (claim := case.find(f"goodhart.{what}")) else None for what in ("proxy", "gold")
        )
        if nats and proxy and gold and None not in (nats.value, proxy.value, gold.value):
            places.append(_Place(names.inside(stage), True, math.sqrt(max(0.0, nats.value or 0.0)), proxy, gold))
    return places


def _level(case: RunResults, name: str, stage: str) -> Finding | None:
    claim = case.find(name)
    return claim.levels.get(stage) if claim else None


def _value(place: _Place, kind: str) -> float:
    value = (place.proxy if kind == "proxy" else place.gold).value
    assert value is not None
    return value


def _told(chosen: Sequence[_Place], trained: Sequence[_Place]) -> str:
    places = ((p.name, p.d, _value(p, "proxy"), _value(p, "gold")) for p in (*chosen, *trained))
    return "; ".join(
        f"{name}: root divergence {d:.2f}, proxy {proxy:+.2f} SD, gold {gold:+.2f} SD"
        for name, d, proxy, gold in places
    )


def _peak(across: Scale, peak: Finding | None) -> list[Markup]:
    if peak is None or peak.value is None or peak.value > across.high:
        return []
    left, right = (
        float(across.at(v).rstrip("%"))
        for v in (peak.low if peak.low is not None else peak.value, _upper(peak, across))
    )
    shade = Markup('<rect class="promised" x="{:.2f}%" y="0" width="{:.2f}%" height="{}"/>').format(
        left, max(0.0, right - left), HEIGHT
    )
    line = Markup('<line class="bound" x1="{0}" x2="{0}" y1="0" y2="{1}"/>').format(across.at(peak.value), HEIGHT)
    return [shade, line]


def _upper(peak: Finding, across: Scale) -> float:
    return across.high if peak.high is None else peak.high


def _mark(across: Scale, up: Scale, place: _Place, kind: str) -> Markup:
    finding = place.proxy if kind == "proxy" else place.gold
    x = across.at(place.d)
    words = (
        f"{place.name}: {kind} {names.number(finding.value, finding.unit, change=True)} {names.interval(finding)}, root"
        f" divergence {place.d:.2f}"
    )
    limits = (
        Markup()
        if finding.low is None or finding.high is None
        else _upright(x, _y(up, finding.low), _y(up, finding.high), kind)
    )
    return Markup("<g><title>{}</title>{}{}</g>").format(
        visible(words), limits, _shape(x, _y(up, _value(place, kind)), place.trained, kind)
    )


def _shape(x: str, y: float, trained: bool, kind: str) -> Markup:
    if trained:
        return Markup(
            '<svg x="{}" y="{:.1f}" overflow="visible"><path class="at {}" d="M0-6 6 0 0 6-6 0Z"/></svg>'
        ).format(x, y, kind)
    return Markup('<circle class="at {}" cx="{}" cy="{:.1f}" r="3.5"/>').format(kind, x, y)


def _segment(across: Scale, up: Scale, a: tuple[float, float], b: tuple[float, float], kind: str) -> Markup:
    ends = (across.at(a[0]), _y(up, a[1]), across.at(b[0]), _y(up, b[1]))
    return Markup('<line class="way {}" x1="{}" y1="{:.1f}" x2="{}" y2="{:.1f}"/>').format(kind, *ends)


def _upright(x: str, low: float, high: float, kind: str = "gold") -> Markup:
    return Markup('<line class="limits {0}" x1="{1}" x2="{1}" y1="{2:.1f}" y2="{3:.1f}"/>').format(kind, x, low, high)


def _tick(up: Scale, value: float, height: int = HEIGHT) -> Markup:
    y = _y(up, value, height)
    line = Markup('<line class="{}" x1="0" x2="100%" y1="{:.1f}" y2="{:.1f}"/>').format(
        "zero" if value == 0 else "tick", y, y
    )
    return line + Markup('<text x="0" y="{:.1f}">{}</text>').format(y - 3, f"{value:g}")


def _number(across: Scale, value: float) -> Markup:
    anchor = "start" if value == 0 else "middle"
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(
        across.at(value), HEIGHT + 14, anchor, f"{value:.4g}"
    )


def _y(up: Scale, value: float, height: int = HEIGHT) -> float:
    share = (min(max(value, up.low), up.high) - up.low) / (up.high - up.low)
    return height - PAD / 2 - share * (height - 1.5 * PAD)
