"""How is it printed what another judge says of stored attacks?"""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from alignwright.attack.judging.check import describe
from alignwright.core import wording
from alignwright.core.records import Finding
from alignwright.report.text import one_line
from alignwright.run.rejudge.rejudge import STORED, Rejudged

NAMES = {"yes": "success", "no": "no success", "unclear": "cannot be told", None: "no reply"}


def show(result: Rejudged, console: Console) -> None:
    """A line for each claim and model: the stored rate, the new one, and their paired difference."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for heading in ("claim", "model"):
        table.add_column(heading)
    for heading in ("stored [95%]", "by the judge [95%]", "difference [95%]"):
        table.add_column(heading, justify="right", no_wrap=True)
    before = {(f.claim, f.stage): f for f in result.stored}
    changes = {(f.claim, f.stage): f for f in result.findings if f.against == STORED}
    for finding in (f for f in result.findings if f.against is None):
        key = (finding.claim, finding.stage)
        cells = (_rate(before.get(key)), _rate(finding), _change(changes.get(key)))
        table.add_row(Text(one_line(finding.claim)), Text(one_line(finding.stage)), *cells)
    total = sum(result.agreements.values())
    console.print(Text(f"{total} conversations, judged by {one_line(result.judge)}"))
    console.print(table)
    if result.check is not None:
        console.print(Text(one_line(result.check.line)))
        for errors in result.check.errors:
            console.print(Text(f"  {one_line(describe(errors))}", style="dim"))
    for (old, new), count in sorted(result.agreements.items(), key=lambda pair: -pair[1]):
        change = NAMES[old] if old == new else f"{NAMES[old]} -> {NAMES[new]}"
        console.print(Text(f"  {count} of {total}: {change}", style="dim"))
    console.print(Text(f"written to {result.folder}"))


def _rate(finding: Finding | None) -> str:
    return wording.ABSENT if finding is None or finding.value is None else wording.rate(finding)


def _change(finding: Finding | None) -> str:
    if finding is None or finding.value is None:
        return wording.ABSENT
    return f"{wording.number(finding.value, finding.unit, change=True)} {wording.interval(finding)}"
