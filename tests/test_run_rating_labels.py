"""Are labels filled in one by one without a loss, and do the product's readers take them?"""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from spec_case import jsonl

from alignwright.files.replies import read_labels
from alignwright.run.rating.commands import rate_in_terminal
from alignwright.run.rating.labels import fill, is_to_be_labelled
from alignwright.run.rating.source import Source

HOSTILE = "\x1b[31m\u202e[bold]x[/]\n--- reply ---\ndid the reply refuse?"


def replies(folder: Path) -> Path:
    rows = [
        {"claim": "value.refusal", "stage": "train.0.sft", "prompt": f"Q{i}", "reply": f"R{i}", "refused": None}
        for i in range(4)
    ]
    return jsonl(folder / "labels.jsonl", *rows, {"prompt": "Q", "reply": HOSTILE, "fulfilled": None, "x": HOSTILE})


def answered(source: Path, lines: list[str], **options) -> tuple[int, str]:
    screen, waiting = io.StringIO(), iter(lines)

    def read() -> str:
        line = next(waiting, None)
        if line is None:
            raise EOFError
        return line

    console = Console(file=screen, width=200, force_terminal=False)
    return fill(source, console, read, rater="ann", **options), screen.getvalue()


def test_answers_are_labels_that_are_read_and_nothing_answered_is_asked_again(tmp_path):
    source = replies(tmp_path)
    assert is_to_be_labelled(source)
    left, screen = answered(source, ["y", "what", "c", "n"])
    assert left == 2
    assert "train.0.sft" not in screen
    assert "what: not understood" in screen
    assert [row.refused for row in read_labels(source).rows] == [True, None, False, None, None]
    left, screen = answered(source, ["y", "n"])
    assert left == 0
    assert "R3" in screen
    assert "R1" not in screen  # "cannot say" is an answer
    rows = read_labels(source).rows
    assert [row.refused for row in rows] == [True, None, False, True, None]
    assert (rows[4].fulfilled, rows[4].reply) == (False, HOSTILE)
    assert not {"\x1b", "\u202e"} & set(screen)
    assert screen.splitlines().count("--- reply ---") == 2
    assert answered(source, ["y"]) == (0, "0 labels left. y: yes; n: no; c: cannot say; q ends.\n")
    assert json.loads(source.read_text(encoding="utf-8").splitlines()[4])["x"] == HOSTILE


def test_a_stop_between_answers_keeps_each_answer_and_every_row(tmp_path):
    source = replies(tmp_path)

    def killed() -> str:
        lines.append(source.read_text())
        if len(lines) == 3:
            raise RuntimeError("the process ends here")
        return "y"

    lines: list[str] = []
    with pytest.raises(RuntimeError):
        fill(source, Console(file=io.StringIO()), killed, rater="ann")
    assert [row.refused for row in read_labels(source).rows] == [True, True, None, None, None]
    assert [path.name for path in tmp_path.iterdir()] == ["labels.jsonl"]


def test_pairs_are_not_labelled_and_an_out_for_labels_is_refused(tmp_path):
    assert not is_to_be_labelled(jsonl(tmp_path / "p.jsonl", {"prompt": "Q", "chosen": "x", "rejected": "y"}))
    with pytest.raises(ValueError, match="--out has no effect"):
        rate_in_terminal(Source(replies(tmp_path)), tmp_path / "v.jsonl", rater="ann", group="", seed=0, limit=None)
    (tmp_path / "l.csv").write_text("prompt,reply,refused\nQ,R,\n")
    with pytest.raises(ValueError, match="JSON Lines"):
        answered(tmp_path / "l.csv", [])
