"""How do two runs differ? Their specs knob by knob, then their findings claim by claim.

The findings of two runs are compared by their intervals only: a paired test needs both runs'
outcomes, and two runs need not have measured the same items. The distance is held against the
facing halves of both intervals, squared and added (Newcombe 1998), and a claim is marked where p,
adjusted by Holm over all claims of the table, is below 0.05, as every mark is (`stats.marks`). Runs
on the same items differ by less than that by chance, so what is marked stands.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist
from typing import cast

from rich.markup import escape
from rich.table import Table

from alignwright.core.promises import NOT_THE_MODEL
from alignwright.core.records import Finding
from alignwright.job.ledger import json_of
from alignwright.report.results import findings_in
from alignwright.report.text import one_line, visible
from alignwright.run.console import screen
from alignwright.stats.marks import LEVEL
from alignwright.stats.significance import holm

_NORMAL = NormalDist()


def read_findings(run: Path) -> list[Finding]:
    """A run's findings. Raises FileNotFoundError, saying what to do, when there are none."""
    path = run / "findings.jsonl"
    if not path.exists():
        raise FileNotFoundError(
            f"{run} has no findings.jsonl: it is no run folder, or the run did not come to its end (resume it)"
        )
    return findings_in(path)


def spec_changes(a: Path, b: Path) -> list[tuple[str, object, object]]:
    """Every knob whose resolved value differs: (path, value in a, value in b); None stands for
    not there."""
    of_a, of_b = (dict(_leaves("", resolved(run))) for run in (a, b))
    return [
        (key, of_a.get(key), of_b.get(key)) for key in dict.fromkeys((*of_a, *of_b)) if of_a.get(key) != of_b.get(key)
    ]


def resolved(run: Path) -> dict[str, object]:
    """The spec that a run was made of, with every knob. FileNotFoundError or ValueError, with
    what to do, where it cannot be read."""
    path = run / "spec" / "resolved.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: {run} is no run folder, or the run never began")
    return read_json_object(path)


def read_json_object(path: Path) -> dict[str, object]:
    """What a run noted in one of its own files, a JSON object; ValueError where it is none."""
    value = json_of(path)
    if not isinstance(value, dict):
        raise ValueError(
            f"{path}: damaged, not the JSON that a run writes; run the same spec again, which writes it anew"
        )
    return cast("dict[str, object]", value)


def show_changes(a: Path, b: Path) -> None:
    """Print the knobs that differ, then the findings of both."""
    console, table = screen(), compare(a, b)
    changes = spec_changes(a, b)
    if not changes:
        console.print("no knob differs")
    for knob, old, new in changes:
        console.print(visible(f"{knob}: {old} -> {new}"), markup=False, highlight=False)
    console.print(table)


def compare(a: Path, b: Path) -> Table:
    """A table of the last stage's level of every claim in both runs."""
    of_a, of_b = ({f.claim: f for f in _final(read_findings(run))} for run in (a, b))
    table = Table(box=None, pad_edge=False)
    for heading in ("claim", a.name, b.name, ""):
        table.add_column(plain(heading), overflow="fold")
    rows = [(claim, of_a.get(claim), of_b.get(claim)) for claim in dict.fromkeys((*of_a, *of_b))]
    for (claim, one, two), p in zip(rows, holm([_apart(one, two) for _, one, two in rows]), strict=True):
        table.add_row(*map(plain, (claim, _cell(one), _cell(two), "apart" if p is not None and p < LEVEL else "")))
    return table


def plain(text: str) -> str:
    """Text of a finding or a folder's name for a cell of a table: neither terminal codes nor the
    table's own markup act."""
    return escape(one_line(text))


def _final(findings: list[Finding]) -> list[Finding]:
    levels = [f for f in findings if f.against is None]
    measured = [f for f in levels if f.axis not in NOT_THE_MODEL]
    last = measured[-1].stage if measured else ""
    return [f for f in levels if f.stage == last or f.axis == "feedback"]


def _cell(finding: Finding | None) -> str:
    if finding is None:
        return "-"
    if finding.value is None:
        return f"no value (n={finding.n}, unscored {finding.unscored})"
    interval = (
        f" [{finding.low:.3f}, {finding.high:.3f}]"
        if finding.low is not None and finding.high is not None
        else " [no interval]"
    )
    return f"{finding.value:.3f}{interval} n={finding.n}"


def _apart(one: Finding | None, two: Finding | None) -> float | None:
    """p of "both levels are the same", by the halves of the intervals that face each other; None
    where one has no interval."""
    if not one or not two or None in (one.value, one.low, one.high, two.value, two.low, two.high):
        return None
    upper, lower = sorted((one, two), key=lambda finding: finding.value or 0.0, reverse=True)
    distance = (upper.value or 0.0) - (lower.value or 0.0)
    half = math.hypot((upper.value or 0.0) - (upper.low or 0.0), (lower.high or 0.0) - (lower.value or 0.0))
    return 1.0 if half == 0 else 2 * _NORMAL.cdf(-_NORMAL.inv_cdf(0.975) * distance / half)


def _leaves(path: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in cast("dict[str, object]", value).items():
            yield from _leaves(f"{path}.{key}" if path else key, inner)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for i, inner in enumerate(cast("list[object]", value)):
            yield from _leaves(f"{path}.{i}", inner)
    else:
        yield path, value
