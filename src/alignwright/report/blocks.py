"""How are the blocks of a section shown in the card (Markdown) and on the terminal?

The page shows them by `templates/blocks.html.j2` and `report.charts`. The card and the terminal
have no drawings and no replies; in the card a drawing is a list of its points in words. The terminal
is brief: it leaves out what explains, and numbers that stand in its table of claims.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text as Line

from alignwright.core import wording
from alignwright.core.section import (
    Block,
    Cell,
    Intervals,
    Items,
    LineChart,
    Medium,
    Note,
    Section,
    Table,
    Text,
    Transcript,
)
from alignwright.report import names
from alignwright.report.results import RunResults
from alignwright.report.text import LONGEST, markdown, one_line, shortened
from alignwright.stats.marks import direction

Lines = list[tuple[str, tuple[str, ...]]]
"""Lines, each with what is said beneath it."""


def shown_in(sections: Sequence[Section], medium: Medium) -> list[Section]:
    """The sections that this medium has."""
    return [section for section in sections if medium in section.media and section.blocks]


def card(case: RunResults) -> list[str]:
    """The sections of the card, in Markdown."""
    return [
        "\n\n".join((f"## {markdown(section.title)}", *filter(None, _markdown(case, section))))
        for section in shown_in(case.sections, "card")
    ]


def terminal(case: RunResults, section: Section) -> Iterator[RenderableType]:
    """A section on the terminal: words, lists and tables."""
    yield Line(_line(section.title), style="bold")
    for block in section.blocks:
        match block:
            case Text():
                yield Line(_line(block.heading or block.text), overflow="fold")
            case Items():
                yield from _lines([(_words(case, cell), cell.lines) for cell in block.items if cell.number is None])
            case Table():
                yield _grid(case, block)
            case Note() | LineChart() | Intervals() | Transcript():
                pass


def _markdown(case: RunResults, section: Section) -> Iterator[str]:
    yield markdown(section.intro)
    replies = False
    for block in section.blocks:
        replies |= isinstance(block, Transcript)
        yield from _block(case, block)
    if replies:
        yield "The replies behind them: see report.html."


def _block(case: RunResults, block: Block) -> Iterator[str]:
    match block:
        case Text():
            yield f"### {markdown(block.heading)}" if block.heading else ""
            yield markdown(block.text)
        case Note():
            yield ""  # it tells how a drawing is read
        case Table():
            rows = [[markdown(_with_lines(case, cell)) for cell in row] for row in block.rows]
            rows = [list(map(markdown, block.columns)), ["---"] * len(block.columns), *rows]
            yield "\n".join(f"| {' | '.join(row)} |" for row in rows)
        case Items():
            yield _list([(_words(case, cell), cell.lines) for cell in block.items])
        case LineChart():
            yield _list([(point.words, ()) for series in block.series for point in series.points])
        case Intervals():
            yield _list([(case.title(p.claim), tuple(mark.words for mark in p.marks)) for p in block.panels])
        case Transcript():
            pass


def _list(lines: Lines) -> str:
    return "\n".join(
        f"{sign} {markdown(text)}"
        for line, beneath in lines
        for sign, text in (("-", line), *(("  -", text) for text in beneath))
    )


def _lines(lines: Lines) -> Iterator[RenderableType]:
    for line, beneath in lines:
        yield Line(_line(line), overflow="fold")
        for text in beneath:
            yield Padding(Line(_line(text), style="dim", overflow="fold"), (0, 0, 0, 2), expand=False)


def _grid(case: RunResults, table: Table) -> Grid:
    grid = Grid(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for column in table.columns:
        grid.add_column(Line(_line(column)), overflow="fold")
    for row in table.rows:
        grid.add_row(*(Line(_line(_words(case, cell, brief=True))) for cell in row))
    return grid


def _line(text: str) -> str:
    return one_line(shortened(text, LONGEST))


def _with_lines(case: RunResults, cell: Cell) -> str:
    code = f" ({cell.code})" if cell.code else ""
    return "; ".join((_words(case, cell) + code, *cell.lines))


def _words(case: RunResults, cell: Cell, *, brief: bool = False) -> str:
    """A cell in words; `brief`: without how many items are behind a number."""
    if cell == Cell():
        return "not measured"
    of = (case.label(cell.stage) if cell.stage else "", case.title(cell.claim) if cell.claim else "")
    return ": ".join(filter(None, (*of, cell.text, _number(case, cell, brief=brief))))


def _number(case: RunResults, cell: Cell, *, brief: bool) -> str:
    finding = cell.number
    if finding is None:
        return ""
    change = finding.against is not None
    if finding.value is None and not change and (finding.unscored or finding.errors):
        return wording.scored(finding)  # why there is no number, rather than that it has no interval
    value = wording.count(finding) if cell.counted else wording.number(finding.value, finding.unit, change=change)
    words = f"{names.SIGNS[direction(finding)]} " * change + f"{value} {wording.interval(finding)}"
    p = wording.p_value(finding.p) if finding.p is not None else ""
    beneath = (case.where(finding) if change else "", wording.scored(finding), p)
    return ", ".join((words, *filter(None, beneath))) if cell.scored and not brief else words
