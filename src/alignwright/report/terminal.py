"""What should the last screen of a run say?

Promises first, then one table of claims, then where the files are. Built for eighty columns; on a
pipe or with NO_COLOR it is plain text. All text is put in as text and never as markup, with
terminal codes stripped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from alignwright.core import wording
from alignwright.core.records import Finding
from alignwright.core.section import OF_THE_MODEL
from alignwright.report import blocks, names
from alignwright.report.blocks import shown_in
from alignwright.report.results import ClaimFindings, RunResults
from alignwright.report.text import LONGEST, one_line, shortened
from alignwright.stats.marks import direction

_FILES = (
    ("report.html", "the report, with the replies"),
    ("README.md", "the model card"),
    ("findings.jsonl", "every number"),
)
_SIGNS = {"broken": ("✕", "bold red"), "untested": ("?", "bold yellow"), "kept": ("✓", "bold green")}
_COLOURS = {"better": "green", "worse": "red", "changed": "yellow", "unclear": "dim"}
_PLAIN = str.maketrans(
    {
        "✕": "x",
        "✓": "+",
        "▲": "^",
        "▼": "v",
        "◆": "*",
        "≈": "~",
        wording.ABSENT: "-",
        wording.MINUS: "-",
        "·": "-",
        "→": ">",
    }
)


@dataclass(frozen=True)
class Summary:
    """What rich prints: `console.print(summary(case, folder))`."""

    case: RunResults
    folder: Path | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        case = self.case
        yield _plain(console, _headline(case))
        for verdict in sorted(case.verdicts, key=lambda v: list(_SIGNS).index(v.answer)):
            yield _entry(console, verdict.answer, verdict.promise, verdict.reason)
        table = _claims(console, case)
        if table.row_count:
            yield Text()
            yield table
            if any(claim.changes for claim in case.of(*OF_THE_MODEL)):
                yield _plain(console, Text(names.RULE, style="dim"))
        for section in shown_in(case.sections, "terminal"):
            yield Text()
            yield from (
                _plain(console, text) if isinstance(text, Text) else text for text in blocks.terminal(case, section)
            )
        files = (
            [(self.folder / name, what) for name, what in _FILES if (self.folder / name).exists()]
            if self.folder
            else []
        )
        if files:
            yield Text()
        for path, what in files:
            yield Text.assemble(one_line(str(path)), (f"  {what}", "dim"), no_wrap=True, overflow="ignore")


def _headline(case: RunResults) -> Text:
    line = Text(_line(case.header.name), style="bold")
    if not case.verdicts:
        return line.append("  no promise was made", style="dim")
    for answer, (_, style) in reversed(_SIGNS.items()):
        line.append("  ").append(f"{case.count(answer)} {answer}", style=style if case.count(answer) else "dim")
    return line


def _entry(screen: Console, answer: str, promise: str, reason: str) -> Table:
    sign, style = _SIGNS[answer]
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(overflow="fold")
    grid.add_row(_plain(screen, Text(sign, style=style)), Text.assemble((_line(promise), "bold"), f"  {answer}"))
    grid.add_row("", _plain(screen, Text(_line(reason), style="dim")))
    return grid


def _line(text: str) -> str:
    return one_line(shortened(text, LONGEST))


def _claims(screen: Console, case: RunResults) -> Table:
    """Each claim before, now and what changed; of one model alone, what was measured."""
    alone = len(case.stages) == 1
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("claim", overflow="fold")
    for heading in ("measured [95%]", "n") if alone else ("before", "now", "change [95%]", "n"):
        table.add_column(heading, justify="right", no_wrap=True)
    if not case.stages:
        return table
    first, last = case.stages[0], case.stages[-1]
    for claim in case.of(*OF_THE_MODEL):
        record = case.record(claim.name)
        if record and record.measured == "start" and case.parent(claim):
            continue  # points of a curve, which the page draws
        level = claim.levels.get(last)
        if alone:
            cells = [_level(level, interval=True)]
        else:
            cells = [
                _level(claim.levels.get(first)),
                _level(level),
                _change(claim.change(last)),
            ]
        table.add_row(*(_plain(screen, cell) for cell in (_name(case, claim), *cells, _count(level))))
    return table


def _name(case: RunResults, claim: ClaimFindings) -> Text:
    parent = case.parent(claim)
    return Text("  " + _line(claim.name.removeprefix(parent.name)), style="dim") if parent else Text(_line(claim.name))


def _level(finding: Finding | None, *, interval: bool = False) -> Text:
    if finding is None:
        return Text(wording.ABSENT)
    text = Text(wording.number(finding.value, "share" if finding.unit == "share" else ""))
    return text.append(f" {wording.interval(finding)}", style="dim") if interval and finding.value is not None else text


def _change(finding: Finding | None) -> Text:
    if finding is None:
        return Text(wording.ABSENT, style="dim")
    way = direction(finding)
    value = wording.number(finding.value, "share" if finding.unit == "share" else "", change=True).removesuffix(" pts")
    return Text.assemble((f"{names.SIGNS[way]} {value}", _COLOURS[way]), (f" {wording.interval(finding)}", "dim"))


def _count(finding: Finding | None) -> Text:
    if finding is None:
        return Text(wording.ABSENT)
    total = finding.n + finding.unscored + finding.errors
    return Text(str(finding.n)) if total == finding.n else Text(f"{finding.n}/{total}", style="yellow")


def _plain(screen: Console, text: Text) -> Text:
    """The same text in ASCII signs, where the screen cannot show others."""
    if screen.encoding.lower().startswith("utf"):
        return text
    plain = text.copy()
    plain.plain = text.plain.translate(_PLAIN)
    return plain
