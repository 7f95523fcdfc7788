"""Which progress does a user see while a run is at work?

One quiet line per finished job; while a job runs, a bar with its rate and time left on a terminal,
and elsewhere (a pipe, a log file, a batch queue) a plain line after every 30 seconds in which none
was printed. A terminal is what can be drawn on: a pipe under FORCE_COLOR is none, and neither is
TERM=dumb. Nothing printed here is evidence: the report is made from findings.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from alignwright.job.bar import Bar, span
from alignwright.report.text import one_line, visible
from alignwright.run.estimate import RunEstimate


def _waits(stop: threading.Event, seconds: float) -> bool:
    return stop.wait(seconds)


@dataclass
class View:
    """The terminal of a run; `column` is the width of the labels. Where nobody sees a bar, a job
    says where it is after `pulse` seconds without a line. `clock` and `waits` are the time that
    goes by, which a test may have pass as it likes."""

    console: Console = field(default_factory=Console)
    column: int = 36
    shows_cached: bool = True
    """Whether a stage that was done before is a line: of many runs that share stages it is none."""
    pulse: float = 30.0
    clock: Callable[[], float] = time.perf_counter
    waits: Callable[[threading.Event, float], bool] = _waits

    def __post_init__(self) -> None:
        self._last_line = self.clock()

    @property
    def drawn(self) -> bool:
        """Whether a bar can be drawn, and drawn again over itself."""
        isatty = getattr(self.console.file, "isatty", None)
        return self.console.is_interactive and isatty is not None and bool(isatty())

    @contextmanager
    def job(self, label: str) -> Iterator[Bar]:
        """A live line for the job of this label (`experiment.labels`), gone when the job ends."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=self.console, transient=True, disable=not self.drawn) as progress:
            task = progress.add_task(one_line(label), total=None, note="")
            bar = Bar(progress, task, clock=self.clock, on_terminal=self.drawn)
            with nullcontext() if self.drawn else self._pulsing(label, bar):
                yield bar

    @contextmanager
    def _pulsing(self, label: str, bar: Bar) -> Iterator[None]:
        """A thread that prints a line about the job when none was printed for `pulse` seconds: also a
        single step, or what comes before the first, may take longer than that."""
        stop, started = threading.Event(), self.clock()

        def tell() -> None:
            while not self.waits(stop, max(0.0, self._last_line + self.pulse - self.clock())):
                if self.clock() - self._last_line >= self.pulse:
                    self.say(f"  {label}: {bar.line()}, {span(self.clock() - started)} so far")

        teller = threading.Thread(target=tell, name="progress", daemon=True)
        teller.start()
        try:
            yield
        finally:
            stop.set()
            teller.join()

    def done(self, label: str, seconds: float, note: str = "", *, cached: bool = False, refused: bool = False) -> None:
        if cached and not self.shows_cached:
            return
        self._last_line = self.clock()
        label, note = one_line(label), one_line(note)
        mark, cost = (
            ("[dim]·[/]", "cached") if cached else ("[red]✕[/]" if refused else "[green]✓[/]", f"{seconds:.1f} s")
        )
        line = Text.from_markup(f"{mark} {escape(f'{label:<{self.column}}')} {cost:>9}")
        if line.cell_len + 2 + len(note) <= self.console.width:
            self.console.print(line.append(f"  {note}" if note else "", style="dim"))
        else:
            self.console.print(line)
            self.console.print(Padding(Text(note, style="dim"), (0, 0, 0, 2), expand=False))

    def say(self, text: str) -> None:
        self._last_line = self.clock()
        self.console.print(visible(text), highlight=False, markup=False)


def _show_served(estimated: RunEstimate, console: Console) -> None:
    """What is known beforehand of asking a server."""
    todo = sum(not line.cached for line in estimated.lines)
    folder = visible(str(estimated.folder))
    console.print(f"\n{todo} of {len(estimated.lines)} stages to do into {folder}", markup=False, highlight=False)
    money = "not known: give 'server: {prices: {NAME: [PROMPTS, REPLIES]}}', for a million tokens each"
    if estimated.money is not None:
        money = (
            f"at most about {estimated.money:,.4g} in the unit of the prices, if every reply is as long as it may be"
        )
    lines = (
        f"model: {estimated.server}, behind a server: nothing is loaded; how long it takes is up to the server",
        "tokens: four bytes each, as the server counts them by a tokenizer that is not here",
        f"cost: {money}",
    )
    for line in lines:
        console.print(visible(line), markup=False, highlight=False)


def _parameters(count: int) -> str:
    return f"{count / 1e6:,.0f} million parameters" if count >= 1e6 else f"{count:,} parameters"


def show_estimate(estimated: RunEstimate, console: Console) -> None:
    """Print the estimate of a dry run."""
    for line in estimated.notes:
        console.print(visible(line), highlight=False, markup=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("stage")
    for heading in ("tokens", "minutes"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for line in estimated.lines:
        if line.cached and estimated.runs > 1:
            continue
        most = "at most " if line.at_most and not line.cached else ""
        tokens = f"{most}{line.tokens:,}" if line.tokens or line.left_out else "-"
        voting = f"(+{_tenths(line.voting)} if it passes its check)" if line.voting and not line.cached else ""
        minutes = "cached" if line.cached else "-" if estimated.server else f"{most}{_tenths(line.minutes)}"
        more = "; ".join(part for part in (voting, line.left_out, one_line(line.why)) if part)
        table.add_row(Text(one_line(line.label)), tokens, minutes, f" {more}" if more else "")
    console.print(table)
    if estimated.powers:
        console.print("\nwhat the promises can show with these items, if all of them are scored:", highlight=False)
    for power in estimated.powers:
        console.print(f"- {visible(power.line)}", highlight=False, markup=False)
    if estimated.server:
        _show_served(estimated, console)
        return
    size = _parameters(estimated.parameters) if estimated.parameters else "size unknown before it is fetched"
    todo = sum(not line.cached for line in estimated.lines)
    place = (
        "here, as measured"
        if estimated.measured
        else "on two cores of a recent server; not measured here: --dry-run --probe does"
    )
    minutes = f"{_in_minutes(estimated.minutes, 'at most about' if estimated.at_most else 'about')} {place}"
    console.print(
        f"\n{todo} of {len(estimated.lines)} stages to do into {visible(str(estimated.folder))}, {minutes}",
        markup=False,
        highlight=False,
    )
    if estimated.at_most:
        console.print("at most: a stage with 'stop' may end before its last step", highlight=False)
    if estimated.voting:
        console.print(
            f"and {_in_minutes(estimated.voting, 'about')} more if every judge passes its check and votes",
            highlight=False,
        )
    if not estimated.tokenized:
        console.print(
            "tokens: four bytes each, as the model's own tokenizer is not at hand without loading it", highlight=False
        )
    console.print(f"model: {size}; memory: about {estimated.memory_gb:.1f} GB", highlight=False)


def _tenths(minutes: float) -> str:
    """Minutes to a tenth; what is less than that is not nothing."""
    return "<0.1" if 0 < minutes < 0.05 else f"{minutes:.1f}"


def _in_minutes(minutes: float, about: str) -> str:
    """A length of time in whole minutes, as people say it."""
    if minutes < 1:
        return "less than a minute"
    return f"{about} {minutes:.0f} minute{'' if round(minutes) == 1 else 's'}"
