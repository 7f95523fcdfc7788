"""Which model, of one run or of several, gives the most for the least? The table of `alignwright front`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from alignwright.core.front import Point, axes, best_within, front, knee, points
from alignwright.run.compare import plain, read_findings


def table(runs: Sequence[Path], gain: str | None, tax: str | None, margin: float) -> Table:
    """Every trained model with its gain and cost against its run's start model, and what marks it. ValueError where nothing can be compared."""
    found = {run: read_findings(run) for run in runs}
    seen = [finding for findings in found.values() for finding in findings]
    default = axes(seen)
    over = (gain or (default[0] if default else ""), tax or (default[1] if default else ""))
    rows = [point for run, findings in found.items() for point in points(findings, *over, run=run.name if len(runs) > 1 else "")]
    if not rows:
        compared = sorted({f.claim for f in seen if f.against == "baseline"})
        asked = f"no trained model has a change of both {over[0] or 'a gain'!r} and {over[1] or 'a tax'!r} against the start model"
        raise ValueError(f"{asked}; there are changes of {', '.join(compared) or 'nothing'}: name two of them with --gain and --tax")
    shown = Table(box=None, pad_edge=False)
    for heading in ("model", f"gain: {over[0]}", f"cost: {over[1]}", ""):
        shown.add_column(plain(heading), overflow="fold")
    on, bent, best = {p.name for p in front(rows)}, knee(rows), best_within(rows, margin)
    for point in sorted(rows, key=lambda p: p.tax):
        said = ["on the front"] * (point.name in on) + ["knee"] * (point == bent) + [f"best below {margin:g}"] * (point == best)
        shown.add_row(*map(plain, (point.name, *_cells(point), ", ".join(said))))
    if best is None:
        shown.caption = f"no model is shown to gain at a cost shown to be below {margin:g}"
    return shown


def _cells(point: Point) -> tuple[str, str]:
    return _cell(point.gain, point.gain_low, point.gain_high), _cell(point.tax, point.tax_low, point.tax_high)


def _cell(value: float, low: float | None, high: float | None) -> str:
    return f"{value:+.3f} " + ("[no interval]" if low is None or high is None else f"[{low:+.3f}, {high:+.3f}]")
