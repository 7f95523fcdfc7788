"""How far is a job? A progress bar, its rate and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.padding import Padding
from rich.progress import Progress, TaskID
from rich.text import Text

from alignwright.report.text import one_line


@dataclass
class Bar:
    """The moving part of one job."""

    progress: Progress
    task: TaskID
    tokens: int = 0
    completed: float = 0
    total: int = 0
    note: str = ""
    unit: str = ""
    since: tuple[float, float] = (0.0, 0.0)
    clock: Callable[[], float] = time.perf_counter
    on_terminal: bool = True
    """Whether somebody looks on, or the lines go to a file."""
    refused: bool = False
    """The job is done, and what it made was refused: it gets no tick."""

    def __call__(self, completed: float, total: int, note: str = "", tokens: int = 0) -> None:
        """Show that `completed` of `total` is done (a batch under way in part); `tokens` are added
        to the job's count."""
        self.tokens += tokens
        if (
            completed < self.completed or total != self.total
        ):  # a first call, or another round of the same job: the pace is counted from here
            self.since = (self.clock(), completed)
        self.completed, self.total, self.note = completed, total, note
        elapsed = self.progress.tasks[0].elapsed or 0.0
        rate = f"{self.tokens / elapsed:,.0f} tok/s" if self.tokens and elapsed > 1 else ""
        self.progress.update(self.task, completed=completed, total=total, note=one_line(f"{note} {rate}"))

    def line(self) -> str:
        """Where the job is, in words: how much is done, what was noted (a loss), the pace so far, and
        the time left at that pace."""
        if not self.total:
            return "at work"
        began, first = self.since
        seconds, done = self.clock() - began, self.completed - first
        paced = seconds > 0 and done > 0
        parts = (
            f"{self.unit} {int(self.completed)} of {self.total}".strip(),
            self.note,
            pace(done / seconds) if paced else "",
            f"{span(seconds * (self.total - self.completed) / done)} left" if paced else "",
        )
        return ", ".join(part for part in parts if part)

    def say(self, lines: Sequence[Text]) -> None:
        """Print lines above the bar."""
        for line in lines:
            self.progress.console.print(Padding(line, (0, 0, 0, 2), expand=False))


def pace(rate: float) -> str:
    """How fast something goes, as people say it: 3.2 a second, 12 a minute, 5 an hour."""
    for length, name in ((1, "a second"), (60, "a minute")):
        if rate * length >= 1:
            return f"{rate * length:.2g} {name}" if rate * length < 10 else f"{rate * length:,.0f} {name}"
    return f"{rate * 3600:.2g} an hour"


def span(seconds: float) -> str:
    """A length of time as people say it: 45 s, 3 min, 2 h 5 min."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
