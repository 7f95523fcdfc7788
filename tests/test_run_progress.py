"""Where nobody sees a bar, does a run say where it is; and does a training's line say how the
loss went rather than two batches of it?"""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest
from rich.console import Console

from alignwright.run.progress import View
from alignwright.train.run import ends_width, summary_line
from alignwright.train.step0 import Invariant, Step0Error, check_start, start_lines


def view(pulse: float) -> tuple[View, io.StringIO]:
    screen = io.StringIO()
    return View(Console(file=screen, width=200), pulse=pulse), screen


def test_a_long_job_says_its_step_loss_and_time_left_into_a_file() -> None:
    shown, screen = view(0.02)
    with shown.job("train sft") as bar:
        bar.unit = "step"
        bar(1, 34, "loss 1.900", 10)
        time.sleep(0.01)
        bar(3, 34, "loss 1.700", 10)
        deadline = time.perf_counter() + 5
        while "left" not in screen.getvalue() and time.perf_counter() < deadline:
            time.sleep(0.01)
    line = next(line for line in screen.getvalue().splitlines() if "left" in line)
    assert line.startswith("  train sft: step 3 of 34, loss 1.700, ")
    said = screen.getvalue()
    time.sleep(0.1)
    assert screen.getvalue() == said, "a job that has ended says no more"


def test_a_job_without_steps_says_that_it_is_at_work_and_a_short_one_says_nothing() -> None:
    shown, screen = view(0.02)
    with shown.job("aggregate votes"):
        deadline = time.perf_counter() + 5
        while not screen.getvalue() and time.perf_counter() < deadline:
            time.sleep(0.01)
    assert "aggregate votes: at work" in screen.getvalue()
    shown, screen = view(30.0)
    with shown.job("aggregate votes") as bar:
        bar(1, 2)
    assert screen.getvalue() == ""


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
