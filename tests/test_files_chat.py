"""What is read of a message: its weight, and no word is lost of what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from alignwright.core.records import Message
from alignwright.files.errors import SpecError
from alignwright.files.sources import read_conversations, read_pairs, read_prompts


def turn(role: str, content: str, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_weight_of_0_leaves_an_assistants_message_out_of_what_is_learnt(tmp_path: Path) -> None:
    talk = [
        turn("user", "a"),
        turn("assistant", "b", weight=0),
        turn("user", "c", weight=None),
        turn("assistant", "d", weight=1),
    ]
    (found,) = read_conversations(written(tmp_path, {"messages": talk})).rows
    assert [m.trained for m in found.messages] == [True, False, True, True]
    assert [m.content for m in found.messages] == ["a", "b", "c", "d"]


def test_a_message_that_is_learnt_is_stored_as_before() -> None:
    assert Message(role="assistant", content="b").model_dump() == {"role": "assistant", "content": "b"}
    assert (
        Message.model_validate_json(Message(role="assistant", content="b", trained=False).model_dump_json()).trained
        is False
    )


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"messages": [turn("user", "a"), turn("assistant", "b", weight=0)]}, "nothing to learn"),
        ({"messages": [turn("user", "a"), turn("assistant", "b", weight=0.5)]}, "0 .read only. or 1"),
        ({"messages": [turn("user", "a"), turn("assistant", "b", weight="0")]}, "0 .read only. or 1"),
        ({"messages": [turn("user", "a", weight=1), turn("assistant", "b")]}, "message of the user .* has weight 1"),
        ({"prompt": "a", "completion": [turn("assistant", "b", weight=0)]}, "'completion' has weight 0"),
        ({"messages": [turn("user", "a"), turn("assistant", "b", weight=0)], "label": True}, "'messages' has weight 0"),
        ({"messages": [turn("user", "a"), turn("assistant", "b", tool_calls=[{"id": "1"}])]}, "'tool_calls'"),
        ({"messages": [turn("user", "a"), turn("assistant", "b", reasoning_content="well")]}, "'reasoning_content'"),
        ({"messages": [turn("user", "a"), turn("assistant", "b", wieght=0)]}, "did you mean 'weight'"),
    ],
)
def test_what_a_message_says_and_cannot_be_done_is_an_error(tmp_path: Path, rows: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        read_conversations(written(tmp_path, rows))


def test_a_pair_whose_reply_is_excluded_is_an_error(tmp_path: Path) -> None:
    dialogue = [turn("user", "a"), turn("assistant", "b")]
    with pytest.raises(SpecError, match="'chosen' has weight 0"):
        read_pairs(written(tmp_path, {"chosen": [dialogue[0], turn("assistant", "c", weight=0)], "rejected": dialogue}))


def test_unread_keys_of_messages_are_told_as_unread_columns_are(tmp_path: Path) -> None:
    talk = [turn("user", "a", name="Ann"), turn("assistant", "b", refusal=None, tool_calls=None)]
    read = read_conversations(written(tmp_path, {"messages": talk, "tag": 1}))
    assert read.notes == ("columns not read: tag", "keys of messages not read: messages.name")


def test_a_prompt_is_one_prompt_whatever_weights_its_messages_carry(tmp_path: Path) -> None:
    talk = [turn("user", "a"), turn("assistant", "b"), turn("user", "c")]
    plain, weighed = read_prompts(
        written(tmp_path, {"messages": talk}, {"messages": [talk[0], turn("assistant", "b", weight=0), talk[2]]})
    ).rows
    assert plain.id == weighed.id


def test_of_a_prompt_with_its_completion_the_completion_alone_is_learnt(tmp_path: Path) -> None:
    asked = [turn("user", "a"), turn("assistant", "b"), turn("user", "c")]
    (found,) = read_conversations(written(tmp_path, {"prompt": asked, "completion": "d"})).rows
    assert [m.trained for m in found.messages if m.role == "assistant"] == [False, True]
