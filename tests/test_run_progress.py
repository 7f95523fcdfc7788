"""Where nobody sees a bar, does a run say where it is; and does a training's line say how the
loss went rather than two batches of it?"""

from __future__ import annotations

import io
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from alignwright.job.bar import pace
from alignwright.run.progress import View
from alignwright.train.run import ends_width, summary_line
from alignwright.train.step0 import Invariant, Step0Error, check_start, start_lines


class FakeTime:
    """Time that goes by when the test says so, for the run and for whoever waits."""

    def __init__(self) -> None:
        self.now, self.asleep_until, self.step = 0.0, -1.0, threading.Condition()

    def clock(self) -> float:
        return self.now

    def waits(self, stop: threading.Event, seconds: float) -> bool:
        with self.step:
            self.asleep_until = self.now + seconds
            while self.now < self.asleep_until and not stop.is_set():
                self.step.wait(0.002)
        return stop.is_set()

    def pass_by(self, seconds: int) -> None:
        """Second for second, each time until everybody who is due has woken and sleeps again."""
        for _ in range(seconds):
            with self.step:
                self.now += 1.0
                self.step.notify_all()
            while self.asleep_until <= self.now:
                time.sleep(0.0005)


def watched(**console: Any) -> tuple[View, io.StringIO, FakeTime]:
    screen, fake = io.StringIO(), FakeTime()
    shown = View(Console(file=screen, width=200, **console), clock=fake.clock, waits=fake.waits)
    return shown, screen, fake


def view(pulse: float) -> tuple[View, io.StringIO]:
    screen = io.StringIO()
    return View(Console(file=screen, width=200), pulse=pulse), screen


def test_a_line_in_a_pipe_says_stage_step_loss_rate_and_time_left() -> None:
    shown, screen, fake = watched()
    with shown.job("train sft") as bar:
        bar.unit = "step"
        bar(1, 34, "loss 1.900", 10)
        fake.pass_by(20)
        bar(3, 34, "loss 1.700", 10)
        fake.pass_by(9)
        assert screen.getvalue() == ""
        fake.pass_by(1)
    assert screen.getvalue() == "  train sft: step 3 of 34, loss 1.700, 4 a minute, 8 min left, 30 s so far\n"
    fake.now += 600
    time.sleep(0.01)
    assert screen.getvalue().count("\n") == 1, "a job that has ended says no more"


def test_thirty_seconds_never_go_by_without_a_line_whatever_the_run_is_at() -> None:
    """Reading, then a long measure whose first batch alone takes minutes, with lines of others between."""
    shown, screen, fake = watched()
    lines_at: list[float] = []
    seconds_of = lambda: lines_at.extend([fake.now] * (screen.getvalue().count("\n") - len(lines_at)))  # noqa: E731

    def goes_on(seconds: int) -> None:
        for _ in range(seconds):
            fake.pass_by(1)
            seconds_of()

    with shown.job("reading the spec and its data"):
        goes_on(25)
    with shown.job("measure value on the start model") as bar:
        goes_on(20)
        for share in (0.1, 0.4, 0.9):
            bar(64 * share, 128)
            goes_on(50)
        shown.say("a warning of somebody")
        goes_on(40)
        bar(64, 128)
        goes_on(3)
    seconds_of()
    gaps = [after - before for before, after in zip([0.0, *lines_at], lines_at, strict=False)]
    assert len(lines_at) == 8
    assert max(gaps) == 30
    lines = screen.getvalue().splitlines()
    assert lines[0] == "  measure value on the start model: at work, 5 s so far"
    assert lines[2] == "  measure value on the start model: 6 of 128, 65 s so far"
    assert lines[3] == "  measure value on the start model: 25 of 128, 15 a minute, 7 min left, 2 min so far"


@pytest.mark.parametrize("terminal", [{"force_terminal": True}, {}])
def test_what_is_no_terminal_gets_plain_lines_and_nothing_drawn(
    terminal: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """FORCE_COLOR, which CI sets, makes rich take a pipe for a terminal: its bars would fill the log."""
    shown, screen, fake = watched(**terminal)
    with shown.job("collect") as bar:
        fake.pass_by(10)
        bar(1, 9)
        fake.pass_by(30)
    assert not bar.on_terminal
    assert screen.getvalue().count("\n") == 1
    assert not {"\r", "\x1b"} & set(screen.getvalue())


def test_a_terminal_is_drawn_on_and_a_dumb_one_is_told_in_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True, raising=False)
    for term, drawn in (("xterm", True), ("dumb", False)):
        shown = View(Console(file=screen, width=200, force_terminal=True, _environ={"TERM": term}))
        assert shown.drawn == drawn


@pytest.mark.parametrize(
    ("rate", "words"), [(250.0, "250 a second"), (3.21, "3.2 a second"), (0.2, "12 a minute"), (0.002, "7.2 an hour")]
)
def test_a_pace_is_said_in_the_unit_that_suits_it(rate: float, words: str) -> None:
    assert pace(rate) == words


def test_the_line_is_gone_from_the_job_also_when_the_job_fails() -> None:
    shown, screen = view(0.01)
    with pytest.raises(ValueError, match="stopped"), shown.job("train sft"):
        raise ValueError("stopped")
    said = screen.getvalue()
    time.sleep(0.05)
    assert screen.getvalue() == said


def metrics(folder: Path, losses: list[float], tokens: list[int] | None = None) -> Path:
    counts = tokens or [1] * len(losses)
    rows = [
        {"step": i, "loss": loss, "grad_norm": float(loss > 0), "tokens": counts[i], "metrics": {}}
        for i, loss in enumerate(losses)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_both_ends_of_a_training_are_means_so_that_two_odd_batches_say_nothing(tmp_path: Path) -> None:
    """The first batch happens to be easy and the last one hard; the loss fell from 1.8 to 1.6
    all the same."""
    losses = [1.066, *[1.9] * 7, *[1.7] * 16, *[1.56] * 7, 1.881]
    assert summary_line(metrics(tmp_path, losses)) == "32 steps, loss 1.796 -> 1.600 (means of 8 steps)"


def test_ends_never_overlap_and_few_steps_are_said_as_they_are(tmp_path: Path) -> None:
    assert [ends_width(n) for n in (1, 3, 4, 15, 16, 34, 1000)] == [1, 1, 1, 3, 4, 8, 8]
    assert summary_line(metrics(tmp_path, [2.0, 1.0])) == "2 steps, loss 2.000 -> 1.000"


def test_a_step_counts_by_its_tokens_and_one_with_nothing_to_teach_not_at_all(tmp_path: Path) -> None:
    losses, tokens = [1.0, 4.0, 2.0, 2.0, 2.0, 2.0, 0.0, 1.0], [300, 100, 1, 1, 1, 1, 50, 50]
    assert summary_line(metrics(tmp_path, losses, tokens)) == "8 steps, loss 1.750 -> 1.000 (means of 2 steps)"


def test_what_must_hold_is_said_with_its_tolerance(tmp_path: Path) -> None:
    check_start(
        [Invariant("KL to the reference", 3e-7, 0.0, 1e-4, "moved"), Invariant("reward", 0.31, 0.3, None, "")], tmp_path
    )
    assert start_lines(tmp_path) == [
        "at the start KL to the reference: 3e-07 (must be 0 to within 0.0001)",
        "at the start reward: 0.31 (beside 0.3)",
    ]
    with pytest.raises(Step0Error, match=r"is 0\.5 where it must be 0 to within 0\.0001: moved"):
        check_start([Invariant("KL", 0.5, 0.0, 1e-4, "moved")], tmp_path)
