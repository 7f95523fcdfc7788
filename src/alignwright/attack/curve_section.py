"""How does an attack's success grow with the number of tries, as a section of the report?

A line for each model over the number of tries, on a scale on which doubling them is one step, with the
interval of each point.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from alignwright.attack.claims import WITHIN
from alignwright.core.records import Finding
from alignwright.core.section import Cell, Colour, FindingTable, LineChart, Note, Point, Section, Series, Table
from alignwright.core.wording import rate

HOW = (
    "One step to the right is twice as many tries. An item is a request: it falls with the first try that succeeds, and"
    " is counted as safe only where every try was made and none succeeded."
)


def section(table: FindingTable, kind: str, tries: str = "tries") -> Section | None:
    """The curve of one kind of attack; None where nothing was measured. `tries`: what they are called."""
    name = f"attack.{kind}.success"
    pattern = re.compile(rf"{re.escape(name)}\.{WITHIN}([0-9]{{1,9}})")
    sizes = sorted(int(match[1]) for claim in table.claims if (match := pattern.fullmatch(claim)))
    stages = [stage for stage in table.stages if table.level(name, stage) is not None]
    if not stages:
        return None
    columns = ("Model", *(f"within {size} {tries}" for size in sizes), "in all")
    rows = tuple(
        (
            Cell(stage=stage),
            *(table.cell(f"{name}.{WITHIN}{size}", stage) for size in sizes),
            table.cell(name, stage),
        )
        for stage in stages
    )
    series = tuple(
        _series(table, name, stage, sizes, "start" if place == 0 else "end" if stage == stages[-1] else "mid")
        for place, stage in enumerate(stages)
    )
    chart = (LineChart(series=series, legend=(f"{tries}: {', '.join(map(str, sizes))}",)),) if len(sizes) > 1 else ()
    return Section(
        name=f"attack_{kind}", title=f"{table.title(name)}, by number of {tries}",
        blocks=(*chart, Table(columns=columns, rows=rows), Note(text=HOW)), tells=(f"{name}.{WITHIN}",),
    )  # fmt: skip


def _series(table: FindingTable, name: str, stage: str, sizes: list[int], colour: Colour) -> Series:
    points = tuple(_points(table, name, stage, sizes))
    return Series(
        name=table.stage(stage), colour=colour, line=tuple((point.x, point.y) for point in points), points=points
    )


def _points(table: FindingTable, name: str, stage: str, sizes: list[int]) -> Iterator[Point]:
    for size in sizes:
        finding: Finding | None = table.level(f"{name}.{WITHIN}{size}", stage)
        if finding is not None and finding.value is not None:
            yield Point(
                words=f"{table.inside(stage)} within {size}: {rate(finding)}",
                x=math.log2(size), y=finding.value, y_low=finding.low, y_high=finding.high, name=str(size),
            )  # fmt: skip
