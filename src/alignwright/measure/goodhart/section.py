"""Where did the proxy and gold part (Goodhart's law), and what became of the three meters on the
way?

Two drawings. The curve: gains of proxy and gold over the root of the divergence, for the best of n
replies of the start model (a line) and for each trained model (a diamond), with the place where
gold would be highest and its interval. The path: optimisation, capture and generalisation, each
with intervals, from the weakest pressure to the strongest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from alignwright.core.records import Finding
from alignwright.core.section import (
    Band,
    Block,
    FindingTable,
    Intervals,
    LineChart,
    Mark,
    Note,
    Panel,
    Point,
    Section,
    Series,
    Text,
)
from alignwright.core.wording import interval, number

METERS = {"optimization": (0.0, 1.0), "capture": (-0.5, 1.5), "generalization": (-0.5, 1.5)}
TELLS = ("goodhart.sign.", "goodhart.kl", "goodhart.peak", "goodhart.covariance", "trilemma.")
INTRO = "Gains in standard deviations of the start model's replies, over the root of the divergence from it."
HOW = (
    "Numbers below are n of best-of-n; diamonds are trained models in their order. Capture 1: a gain of the proxy is as"
    " much a gain of gold. Generalisation 1: the gain holds on shifted prompts. Marks beyond the frame are drawn at its"
    " edge."
)
_SIZE = re.compile(r"goodhart\.gold\.best_of_([0-9]{1,6})")


def section(table: FindingTable) -> Section | None:
    """None where neither best-of-n nor a trained model was measured."""
    best, trained = list(_best_of_n(table)), list(_trained(table))
    if not best and not trained:
        return None
    peak = table.level("goodhart.peak", "baseline")
    chart = LineChart(
        series=tuple(_series(kind, best, trained) for kind in ("proxy", "gold")),
        band=_band(peak),
        legend=("dots: best of n of the start model", "diamonds: trained models"),
    )
    blocks: list[Block] = [Text(text=" ".join(filter(None, (_peak(peak), INTRO)))), chart]
    if panels := [panel for meter in METERS if (panel := _panel(table, meter))]:
        heading = Text(heading="Three meters, from the weakest pressure to the strongest")
        blocks += [heading, Intervals(panels=tuple(panels)), Note(text=HOW)]
    return Section(name="gamed", title="Proxy and gold", blocks=tuple(blocks), tells=TELLS)


Gains = tuple[str, float, Finding, Finding]
"""A policy: its name, the root of its divergence from the start model, the gains of proxy and gold."""


def _best_of_n(table: FindingTable) -> Iterator[Gains]:
    """The best of n of the start model, for each n that was measured."""
    for n in _sizes(table):
        nats, proxy, gold = (
            table.level(f"goodhart.{what}.best_of_{n}", "baseline") for what in ("kl", "proxy", "gold")
        )
        yield from _gains(f"best of {n}", nats, proxy, gold)


def _trained(table: FindingTable) -> Iterator[Gains]:
    """Each trained model, with its paired changes from the start."""
    for name in table.stages:
        changes = (table.change(f"goodhart.{what}", name) for what in ("proxy", "gold"))
        yield from _gains(table.inside(name), table.level("goodhart.kl", name), *changes)


def _gains(name: str, nats: Finding | None, proxy: Finding | None, gold: Finding | None) -> Iterator[Gains]:
    if nats and proxy and gold and None not in (nats.value, proxy.value, gold.value):
        yield name, math.sqrt(max(0.0, nats.value or 0.0)), proxy, gold


def _sizes(table: FindingTable) -> list[int]:
    return sorted(int(match[1]) for claim in table.claims if (match := _SIZE.fullmatch(claim)))


def _series(kind: str, best: list[Gains], trained: list[Gains]) -> Series:
    """The line goes from the start through every n; trained models stand beside it."""
    points = [_point(kind, gains, "dot") for gains in best] + [_point(kind, gains, "diamond") for gains in trained]
    line = [(0.0, 0.0), *((p.x, p.y) for p in points[: len(best)])] if best else []
    proxy = kind == "proxy"
    return Series(name=kind, colour="start" if proxy else "end", dashed=proxy, line=tuple(line), points=tuple(points))


def _point(kind: str, gains: Gains, shape: str) -> Point:
    name, root, proxy, gold = gains
    finding = proxy if kind == "proxy" else gold
    gain = f"{kind} {number(finding.value, finding.unit, change=True)} {interval(finding)}"
    return Point(
        words=f"{name}: {gain}, root divergence {root:.2f}", shape="diamond" if shape == "diamond" else "dot",
        x=root, y=finding.value or 0.0, y_low=finding.low, y_high=finding.high,
    )  # fmt: skip


def _band(peak: Finding | None) -> Band | None:
    if peak is None or peak.value is None:
        return None
    low = peak.value if peak.low is None else peak.low
    return Band(name="where gold is highest", value=peak.value, low=low, high=peak.high)


def _peak(peak: Finding | None) -> str:
    """What the curve comes to, in one sentence."""
    if peak is None:
        return ""
    if peak.value is None:
        return "Within what was measured, choosing by the proxy raises gold throughout."
    if peak.value == 0:
        return (
            "Choosing the start model's replies by the proxy lowers gold from the first: more of this proxy is less of"
            " what is meant."
        )
    how = "an extrapolation, beyond what was measured" if peak.detail.get("beyond_data") else "within what was measured"
    place = f"{number(peak.value, '')} {interval(peak)}"
    return f"Choosing the start model's replies by the proxy, gold is highest at a root divergence of {place}: {how}."


def _panel(table: FindingTable, meter: str) -> Panel | None:
    """One meter, for each policy; None where no policy has it."""
    claim, (low, high) = f"trilemma.{meter}", METERS[meter]
    marks = [
        _mark(str(n), f"best of {n}", table.level(f"{claim}.best_of_{n}", "baseline"), trained=False)
        for n in _sizes(table)
    ]
    marks += [
        _mark("\N{BLACK DIAMOND}", table.stage(name), table.level(claim, name), trained=True)
        for name in table.stages
        if name != "baseline"
    ]
    if all(mark.value is None for mark in marks):
        return None
    return Panel(claim=claim, low=low, high=high, lines=(0.0, 1.0), marks=tuple(marks))


def _mark(label: str, name: str, finding: Finding | None, *, trained: bool) -> Mark:
    if finding is None or finding.value is None:
        return Mark(label=label, trained=trained, words=f"{name}: not measured")
    return Mark(
        label=label, trained=trained, words=f"{name}: {number(finding.value, '')} {interval(finding)}",
        value=finding.value, low=finding.low, high=finding.high,
    )  # fmt: skip
