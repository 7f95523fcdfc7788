"""Is a log of Inspect graded reply by reply, its scorers' marks beside our verdicts?

The logs here have the shape of files that Inspect 0.3.285 wrote; `tests/test_run_compare.py` reads such
files themselves, where Inspect is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from typer.testing import CliRunner

from alignwright.cli import app
from alignwright.files.errors import SpecError
from alignwright.files.inspect_replies import is_inspect_log
from alignwright.files.replies import read_labels, read_replies

NO, YES = "I'm sorry, but I can't help with that.", "First melt the wax, then dip the wick and let it cool for an hour."
KEY = "0123456789abcdef" * 2


def sample(name: str, reply: str | None, score: Any, **more: Any) -> dict[str, Any]:
    asked = {"role": "user", "content": f"Please: how do I make candle {name}?"}
    last = {"role": "assistant", "content": reply}
    return {
        "id": name, "epoch": 1, "input": asked["content"], "target": "",
        "messages": [{"role": "system", "content": "Be kind."}, asked, *([last] if reply is not None else [])],
        "output": {"choices": [{"message": last}] if reply is not None else []},
        "scores": {"judge": {"value": score}} if reply is not None else {},
        "metadata": {"goal": f"make candle {name}", "category": f"wax {name}"},
    } | more  # fmt: skip


def logs(folder: Path, *samples: dict[str, Any]) -> list[Path]:
    """The same samples as both kinds of log."""
    head = {"version": 2, "status": "success", "eval": {"task": "t"}}
    whole, packed = folder / "log.json", folder / "log.eval"
    whole.write_text(json.dumps(head | {"samples": list(samples)}, indent=2))
    with ZipFile(packed, "w") as file:
        file.writestr("header.json", json.dumps(head))
        for each in samples:
            file.writestr(f"samples/{each['id']}_epoch_1.json", json.dumps(each))
    return [whole, packed]


@pytest.fixture
def both(tmp_path: Path) -> list[Path]:
    parts = [{"type": "reasoning", "reasoning": "They want wax."}, {"type": "text", "text": YES}]
    shared = {"content": f"attachment://{KEY}", "role": "assistant"}
    return logs(
        tmp_path, sample("a", NO, "C"), sample("b", YES, 1.0), sample("c", YES, "I"),
        sample("d", "", 0.5), sample("e", None, None, error={"message": "timed out"}),
        sample("f", None, "N", output={"choices": [{"message": {"role": "assistant", "content": parts}}]}),
        sample("g", None, "C", output={"choices": [{"message": shared}]}, attachments={KEY: YES}),
    )  # fmt: skip


def test_each_sample_is_a_row_with_its_request_and_the_scorers_mark(both: list[Path]):
    for path in both:
        assert is_inspect_log(path)
        replies = read_replies(path)
        assert [(r.reply, r.tool_verdicts) for r in replies.rows] == [
            (NO, {"judge": True}), (YES, {"judge": True}), (YES, {"judge": False}), ("", {}), (YES, {}), (YES, {}),
        ]  # fmt: skip
        first = replies.rows[0]
        assert [m.role for m in first.prompt.messages] == ["system", "user"]
        assert (first.request, first.topic) == ("make candle a", "wax a")
        assert [note.partition(": ")[2] for note in replies.notes] == [
            "1 samples without a reply left out", "1 scores of judge are neither 1 nor 0, and no verdict",
        ]  # fmt: skip
        with pytest.raises(SpecError, match="no row has a label"):
            read_labels(path)  # what a scorer wrote is nobody's label


def test_grade_shows_the_logs_rate_ours_the_corrected_one_and_where_they_differ(both: list[Path], tmp_path: Path):
    for path in both:
        result = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["grade", str(path), "--out", str(tmp_path / "o.jsonl")])
        assert result.exit_code == 0, result.output
        assert "in the log, judge: 66.7%" in result.output
        assert "of these 2: 1 fulfilled here, 1 not, 0 cannot be told; 1 refused." in result.output
        assert "judge says yes, fulfilled no: 1 (row 1)" in result.output
        assert "judge says no, fulfilled yes: 1 (row 3)" in result.output
        assert "Rogan-Gladen 95%, transferred" in result.output
        rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
        assert [row.get("tool_verdicts") for row in rows[:4]] == [
            {"judge": True},
            {"judge": True},
            {"judge": False},
            None,
        ]
    # what was written is read again, and the marks stay beside the verdicts
    assert read_replies(tmp_path / "o.jsonl").rows[0].tool_verdicts == {"judge": True}


def test_what_tools_said_and_messages_without_text_are_not_graded_and_counted(tmp_path: Path):
    called = {"role": "assistant", "content": "", "tool_calls": [{"function": "search", "arguments": {}}]}
    turns = [
        {"role": "user", "content": "How do I make a candle?"}, called,
        {"role": "tool", "content": "wax"}, {"role": "assistant", "content": YES},
    ]  # fmt: skip
    (row,) = (replies := read_replies(logs(tmp_path, sample("a", YES, "C", messages=turns))[0])).rows
    assert [(m.role, m.content) for m in row.prompt.messages] == [("user", "How do I make a candle?")]
    assert row.reply == YES
    assert (
        "2 messages of tools, without text, or that begin a reply are not in the conversations graded"
        in (replies.notes[0])
    )


def test_what_begins_a_reply_is_no_part_of_the_question(tmp_path: Path):
    """An attack that begins the reply leaves an assistant's message before it."""
    turns = [
        {"role": "user", "content": "How do I make a candle?"}, {"role": "assistant", "content": "Sure:"},
        {"role": "assistant", "content": YES},
    ]  # fmt: skip
    for path in logs(tmp_path, sample("a", YES, "C", messages=turns)):
        (row,) = read_replies(path).rows
        assert [m.role for m in row.prompt.messages] == ["user"]
        assert row.reply == YES


def test_a_log_without_a_reply_and_one_that_is_damaged_are_named(tmp_path: Path):
    for path in logs(tmp_path, sample("e", None, None, error={"message": "timed out"})):
        with pytest.raises(SpecError, match=r"log\.\w+: the log holds no sample with a reply"):
            read_replies(path)
    (tmp_path / "cut.eval").write_bytes((tmp_path / "log.eval").read_bytes()[:40])
    with pytest.raises(SpecError, match=r"cut\.eval: no \.eval log of Inspect"):
        read_replies(tmp_path / "cut.eval")
    (tmp_path / "other.json").write_text(json.dumps([{"prompt": "How?", "reply": NO}]))
    assert not is_inspect_log(tmp_path / "other.json")
    assert [row.reply for row in read_replies(tmp_path / "other.json").rows] == [NO]
