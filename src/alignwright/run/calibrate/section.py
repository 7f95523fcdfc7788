"""How is a calibration shown: a table for each fault, on the terminal and on a page (`calibration.html`)?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text as Line

from alignwright.core.promises import Header
from alignwright.core.section import Block, Cell, Note, Section, Table, Text
from alignwright.core.wording import ABSENT, minus
from alignwright.job.ledger import write_text
from alignwright.report import page
from alignwright.report.results import RunResults
from alignwright.report.text import one_line
from alignwright.run.calibrate.table import (
    CalibrationTable,
    ContestLine,
    CountedRate,
    DetectorLine,
    DriftLine,
    FaultLine,
    percent,
)
from alignwright.stats.detection import FALSE_ALARMS

PAGE = "calibration.html"
INTRO = (
    "Each model was trained by an ordinary run, and the detectors saw it under a name that says nothing. A threshold"
    f" is fixed on the clean models of one half, so that {FALSE_ALARMS:.0%} of them pass it, and the other half is"
    " judged by it; the halves share no topic, trigger or seed. Limits are exact (Clopper-Pearson) for counts, and"
    " DeLong's for the area; both take the models for independent. The smallest dose is that share of planted rows"
    " down to which all doses are told from the clean models, the looks of all detectors paid for."
)
DRIFT = (
    "The clean models say how far harmless training moves a detector's number. A later change that lies within the"
    " smallest and the largest of theirs is one that harmless training makes too. One more training of the same kind"
    " moves it no further with the probability of the last column, whatever the shape of its changes; a longer one,"
    " or one on other topics, is not of the same kind."
)
DRIFT_COLUMNS = ("detector", "start model", "smallest change", "mean", "largest", "clean models", "no further")
COLUMNS = ("detector", "box", "found", "false alarms", "AUROC", "smallest dose", "CPU s", "items")


def results(table: CalibrationTable) -> RunResults:
    """The calibration as a report has it."""
    header = table.header
    facts = {
        "models": f"{header.models}, {header.clean} of them clean",
        "doses": ", ".join(f"{percent(dose)} %" for dose in header.doses),
        "seeds": ", ".join(map(str, header.seeds)),
        "detectors": str(header.detectors),
    }
    if header.without_number:
        facts["no number of any model"] = ", ".join(header.without_number)
    head = Header(name="calibration", model=header.model, seed=min(header.seeds, default=0), effort="", facts=facts)
    return RunResults(head, (), (), tuple(sections(table)))


def sections(table: CalibrationTable) -> Iterator[Section]:
    """A section for each fault."""
    contests = {line.fault: line for line in table.contests}
    for place, fault in enumerate(table.faults):
        own = sorted((line for line in table.detectors if line.fault == fault.fault), key=_order)
        rows = tuple(_row(line) for line in own)
        refusals = dict.fromkeys(line.refused for line in own if line.refused)
        parts: list[Block] = [
            Text(text=_planted(fault)),
            Table(columns=COLUMNS, rows=rows),
            Text(text=_better(contests[fault.fault])),
        ]
        parts += [Text(text=f"{why[0].upper()}{why[1:]}.") for why in refusals]
        parts += [Note(text=f"{line.detector}: {line.note}") for line in own if line.note]
        yield Section(
            name="calibration", title=f"{fault.fault}: a model that {fault.words}", intro="" if place else INTRO,
            blocks=tuple(parts), media=("page", "card"),
        )  # fmt: skip
    if table.drift:
        rows = tuple(map(_drift_row, table.drift))
        yield Section(
            name="calibration", title="drift: how far harmless training moves each detector", intro=DRIFT,
            blocks=(Table(columns=DRIFT_COLUMNS, rows=rows),), media=("page", "card"),
        )  # fmt: skip


def show(table: CalibrationTable, console: Console) -> None:
    """The tables on the terminal, within eighty columns; the page has the limits of the counts too."""
    for fault in table.faults:
        grid = Grid(box=None, pad_edge=False, title=f"{fault.fault}: {fault.words}", title_justify="left")
        for name in ("detector", "box", "found", "alarms", "AUROC", "dose", "CPU s"):
            grid.add_column(name, no_wrap=True)
        own = sorted((line for line in table.detectors if line.fault == fault.fault), key=_order)
        for line in own:
            counts = (ABSENT if rate is None else f"{rate.count}/{rate.n}" for rate in (line.found, line.false_alarms))
            dose = ABSENT if line.smallest_dose is None else f"{percent(line.smallest_dose)}%"
            cells = (line.detector, line.box.partition(" ")[0], *counts, _area(line), dose, f"{line.cpu_seconds:.1f}")
            grid.add_row(*(Line(one_line(cell)) for cell in cells))
        console.print()
        console.print(grid)
        contest = next(line for line in table.contests if line.fault == fault.fault)
        whys = dict.fromkeys(line.refused for line in own if line.refused)
        for text in (_planted(fault), _better(contest), *whys):
            console.print(Line(one_line(text)), style="dim")


def write_page(table: CalibrationTable, out: Path) -> Path:
    write_text(out / PAGE, page.html(results(table)))
    return out / PAGE


def _order(line: DetectorLine) -> tuple[float, str]:
    return (-(line.auroc if line.auroc is not None else -1.0), line.detector)


def _row(line: DetectorLine) -> tuple[Cell, ...]:
    dose = ABSENT if line.smallest_dose is None else f"{percent(line.smallest_dose)} %"
    unscored = (f"{line.unscored} models without a number",) if line.unscored else ()
    texts = (
        line.box,
        _count(line.found),
        _count(line.false_alarms),
        _area(line),
        dose,
        f"{line.cpu_seconds:.1f}",
        str(line.items),
    )
    return (Cell(text=line.detector, lines=unscored), *(Cell(text=text) for text in texts))


def _drift_row(line: DriftLine) -> tuple[Cell, ...]:
    changes = (minus(f"{change:+.3g}") for change in (line.low, line.mean, line.high))
    texts = (line.detector, minus(f"{line.start:.3g}"), *changes, str(line.n), f"{line.coverage:.1%}")
    return tuple(Cell(text=text) for text in texts)


def _area(line: DetectorLine) -> str:
    return ABSENT if line.auroc is None else f"{line.auroc:.2f}{_limits(*line.auroc_interval, '.2f')}"


def _count(rate: CountedRate | None) -> str:
    return ABSENT if rate is None else f"{rate.count} of {rate.n}{_limits(rate.low, rate.high, '.0%')}"


def _limits(low: float | None, high: float | None, form: str) -> str:
    return "" if low is None or high is None else minus(f" [{low:{form}}, {high:{form}}]")


def _planted(fault: FaultLine) -> str:
    rates = ", ".join(
        f"{ABSENT if value is None else format(value, '.0%')} at {dose} %" for dose, value in fault.shows.items()
    )
    left_out = [
        f"{count} {what} left out" for count, what in (
            (fault.not_planted, "organisms of the highest dose do not show it and are"),
            (fault.twins_with_it, "twins may show it and are"),
        ) if count
    ]  # fmt: skip
    return "; ".join((f"Replies that show it, by dose (0: the clean twins): {rates}", *left_out)) + "."


def _better(line: ContestLine) -> str:
    if line.difference is None:
        return f"White box against black box: {line.note}."
    return minus(
        f"White box against black box, each the best of its kind on half a, compared on the {line.n} models of half b:"
        f" AUROC of {line.white} less that of {line.black} is {line.difference:+.2f}{_limits(*line.interval, '+.2f')}."
    )
