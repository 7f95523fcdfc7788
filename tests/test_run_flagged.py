"""Is a conversation that went wrong kept to the letter, and can an attack and a measure of a spec ask it again?"""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from feedback_doubles import Talker
from rich.console import Console
from spec_case import write

from alignwright.core.records import Message
from alignwright.experiment.check import check
from alignwright.feedback.attribution import Attribution
from alignwright.files.errors import SpecError
from alignwright.files.items import RefusalItem
from alignwright.files.sources import read_items
from alignwright.run.chat import converse
from alignwright.run.flagged import flag

HOSTILE = '\x1b[31mred \u202e é\n{"prompt": 1}'


def chat(lines: list[str], flags: Path, reply: str = "Sure: do it.") -> tuple[str, list[int]]:
    screen, speaker, waiting = io.StringIO(), Talker(lambda c, k: reply), iter([*lines, None])

    def read() -> str:
        line = next(waiting)
        if line is None:
            raise EOFError
        return line

    console = Console(file=screen, width=400, force_terminal=False)
    converse(speaker, Attribution([]), console, read, seed=0, temperature=0.0, flags=flags)
    return screen.getvalue(), [len(c.messages) for c in speaker.asked]


def test_flagged_conversations_are_refusal_prompts_with_their_reasons_and_the_model_is_not_asked(tmp_path):
    flags = tmp_path / "flagged.jsonl"
    lines = [
        "/flag early",
        "Do harm.",
        "/flag it did so",
        "Now more.",
        "/flag",
        "/new",
        "Do good.",
        "/flag harmless why no?",
    ]
    shown, turns = chat(lines, flags)
    assert turns == [1, 3, 1]
    assert "nothing has been said yet, so there is nothing to flag" in shown
    assert shown.count("'by: replay' the whole conversation") == 1
    rows = [json.loads(line) for line in flags.read_text(encoding="utf-8").splitlines()]
    assert [(row["kind"], row["reason"]) for row in rows] == [
        ("harmful", "it did so"),
        ("harmful", ""),
        ("harmless", "why no?"),
    ]
    assert [len(row["conversation"]) for row in rows] == [2, 4, 2]
    items = read_items(flags, RefusalItem).rows
    assert [(item.prompt, item.kind) for item in items] == [
        ("Do harm.", "harmful"),
        ("Now more.", "harmful"),
        ("Do good.", "harmless"),
    ]


def test_a_spec_attacks_and_measures_with_what_was_flagged_and_passes_check(tmp_path):
    spec, flags = write(tmp_path), tmp_path / "flagged.jsonl"
    chat(["Tell me how.", "/flag told"], flags)
    text = spec.read_text()
    attacked = "- {by: suite, name: jailbreaks, prompts: [refusal.jsonl, flagged.jsonl]}"
    spec.write_text(text.replace("- {by: suite, name: jailbreaks, prompts: refusal.jsonl}", attacked))
    assert any("flagged.jsonl" in line for line in check(spec).lines)
    alone = text.replace("name: jailbreaks, prompts: refusal.jsonl", "name: jailbreaks, prompts: flagged.jsonl")
    spec.write_text(alone)
    check(spec)
    flags.unlink()  # the control: harmless requests alone are nothing to attack with
    chat(["Water a rose?", "/flag harmless refused"], flags)
    with pytest.raises(SpecError, match="has no harmful prompts"):
        check(spec)


def test_what_was_said_is_kept_to_the_letter_behind_what_was_there_and_shown_as_text(tmp_path):
    flags = tmp_path / "flagged.jsonl"
    flags.write_text('{"prompt": "old", "kind": "harmful"}')  # an editor left no line end
    shown = flag(flags, (Message(role="user", content=HOSTILE), Message(role="assistant", content=HOSTILE)), " r")
    rows = [json.loads(line) for line in flags.read_bytes().decode().split("\n")[:-1]]
    assert [row["prompt"] for row in rows] == ["old", HOSTILE]
    assert [message["content"] for message in rows[1]["conversation"]] == [HOSTILE, HOSTILE]
    assert HOSTILE not in shown
    assert "\x1b" not in chat(["Hi", "/flag \x1b[2J"], flags)[0]


def test_a_file_that_cannot_be_written_is_told_and_the_conversation_goes_on(tmp_path):
    shown, turns = chat(["Hi", "/flag bad", "And?"], tmp_path / "no" / "flagged.jsonl")
    assert "not kept" in shown
    assert turns == [1, 3]
