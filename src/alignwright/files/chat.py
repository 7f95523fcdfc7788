"""Which conversation (chat messages, ShareGPT, transcripts) do these columns hold?

Prompts, messages and replies as they are written in public data: plain text, lists of `{role,
content}`, ShareGPT's `{from, value}`, and Anthropic's transcripts `\\n\\nHuman: … \\n\\nAssistant:
…`. What cannot be read is a `RowError` with the reason.
"""

from __future__ import annotations

import re
from typing import Any, cast, get_args

from alignwright.core.records import Conversation, Message, Role
from alignwright.files import construct
from alignwright.files.errors import did_you_mean
from alignwright.files.wording import describe_value

_TURN = re.compile(r"\n\n(Human|Assistant):")
ROLES = get_args(Role)
ALIASES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant", "function": "tool"}
KEYS = frozenset({"role", "from", "content", "value", "weight"})
"""What is read of a message."""
_SPEECH = ("tool_calls", "function_call", "reasoning_content", "reasoning", "thinking")
"""Keys under which the assistant says more than its content."""
# shorter questions are repeated in good answers too ("What is DNA? What is DNA ..." is rare, "Hi" is not)
REPEATED_FROM = 24


Turn = tuple[Role, str, bool]
"""Who speaks, what is said, and whether it is to be learnt."""


class RowError(ValueError):
    """Why a row cannot be used."""


def text(value: Any, column: str) -> str:
    """A text with something in it."""
    if value is None:
        raise RowError(f"no column {column!r}")
    if not isinstance(value, str):
        raise RowError(f"{column!r} should be text, saw {describe_value(value)}")
    if not value.strip():
        raise RowError(f"{column!r} is empty")
    return value


def name(value: Any, column: str) -> str:
    """A text, or a number as one, that names something or somebody."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else text(value, column)


def messages(value: Any, column: str) -> tuple[Message, ...]:
    """A list of messages, or a single one. An empty system message says nothing, and is none."""
    return tuple([construct.message(*turn) for turn in _turns(value, column)])


def _turns(value: Any, column: str) -> list[Turn]:
    items: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value]
    if len(items) > 1 and _empty_system(items[0]):
        items = items[1:]
    if not items:
        raise RowError(f"{column!r} has no messages")
    return [_turn(item, column) for item in items]


def _empty_system(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    item = cast("dict[str, Any]", value)
    return item.get("role", item.get("from")) == "system" and item.get("content", item.get("value")) in (None, "", [])


def _parts(parts: list[Any], column: str) -> str:
    """Content in parts, each a text, as one text."""
    texts: list[str] = []
    for part in parts:
        fields = cast("dict[str, Any]", part) if isinstance(part, dict) else {"type": "text", "text": part}
        if fields.get("type", "text") != "text" or not isinstance(fields.get("text"), str):
            raise RowError(
                f"a message in {column!r} has a part of its content that is not text"
                f" ({describe_value(fields.get('type'))}); only text is read"
            )
        texts.append(fields["text"])
    return "".join(texts)


def _turn(value: Any, column: str) -> Turn:
    if not isinstance(value, dict):
        raise RowError(f"{column!r} should hold messages with role and content, saw {describe_value(value)}")
    item = cast("dict[str, Any]", value)
    role = item.get("role", item.get("from"))
    content = item.get("content", item.get("value"))
    if len(item) == 2 and role in ROLES and type(content) is str and "role" in item and content.strip():
        return cast("Role", role), content, True  # as most messages are; all else is looked at one by one
    if role is None:
        raise RowError(f"a message in {column!r} has no 'role'; choose from {', '.join(ROLES)}")
    if not isinstance(role, str) or ALIASES.get(role, role) not in ROLES:
        raise RowError(
            f"a message in {column!r} has as its role {describe_value(role)}; {did_you_mean(str(role), ROLES)}"
        )
    if speech_key := next((key for key in _SPEECH if item.get(key)), None):
        raise RowError(
            f"a message in {column!r} has {speech_key!r}, which no model here is shown or taught; write it into"
            " 'content', or leave it out"
        )
    if isinstance(content, list) and any(isinstance(part, dict) for part in cast("list[Any]", content)):
        content = _parts(cast("list[Any]", content), column)
    if not isinstance(content, str):
        raise RowError(f"a message in {column!r} should have text as its content, saw {describe_value(content)}")
    if not content.strip():
        raise RowError(f"a message of the {role} in {column!r} is empty")
    speaker = cast("Role", ALIASES.get(role, role))
    weight = item.get("weight")
    return speaker, content, True if weight is None else _trained(weight, speaker, column)


def _trained(weight: Any, role: Role, column: str) -> bool:
    """Whether a message is to be learnt: its weight as OpenAI's files have it, 0 or 1, on the
    assistant's messages."""
    if not isinstance(weight, int | float) or weight not in (0, 1):
        raise RowError(
            f"a message in {column!r} has as its weight {describe_value(weight)}; it is 0 (read only) or 1 (learnt)"
        )
    if weight and role != "assistant":
        raise RowError(
            f"a message of the {role} in {column!r} has weight 1, but the assistant's alone are learnt; leave it out"
        )
    return bool(weight) or role != "assistant"


def unread_keys(value: Any, keys_read: frozenset[str] = KEYS) -> set[str]:
    """The keys of a list of messages that nothing reads."""
    if not isinstance(value, list):
        return set()
    items = [cast("dict[str, Any]", item) for item in cast("list[Any]", value) if isinstance(item, dict)]
    if all(item.keys() <= keys_read for item in items):
        return set()
    return {
        key
        for item in items
        if "role" in item or "from" in item
        for key in item.keys() - keys_read
        if item[key] not in (None, "", [])
    }


def ending_in_training(dialogue: tuple[Message, ...], column: str) -> tuple[Message, ...]:
    """The messages, whose last is a reply to be learnt."""
    _check_trained(dialogue[-1].trained, column)
    return dialogue


def _check_trained(trained: bool, column: str) -> None:
    if not trained:
        raise RowError(f"the last message of {column!r} has weight 0, so it is not to be learnt")


def transcript(value: str, column: str) -> list[Turn]:
    """Anthropic's transcript, turn by turn."""
    parts = _TURN.split(value)
    if len(parts) < 3 or parts[0].strip():
        raise RowError(f"{column!r} is not a transcript that begins with '\\n\\nHuman:'")
    turns: list[Turn] = []
    for speaker, words in zip(parts[1::2], parts[2::2], strict=True):
        content = words.strip()
        if not content:
            raise RowError(f"a turn of the {speaker} in {column!r} is empty")
        turns.append(("user" if speaker == "Human" else "assistant", content, True))
    return turns


def prompt(columns: dict[str, Any]) -> Conversation:
    """The conversation to be answered: 'prompt' as text or messages, 'messages',
    'conversations', or 'instruction' with 'input'."""
    value = columns.get("prompt")
    if type(value) is str and value[:2] != "\n\n":
        turns = (construct.message("user", text(value, "prompt")),)
    elif value is None and columns.get("instruction") is not None:
        input_text = "" if columns.get("input") is None else columns["input"]
        instruction = text(columns["instruction"], "instruction")
        turns = (
            construct.message(
                "user", f"{instruction}\n\n{text(input_text, 'input')}" if input_text != "" else instruction
            ),
        )
    else:
        column = next(
            (name for name in ("prompt", "messages", "conversations") if columns.get(name) is not None), "prompt"
        )
        value = columns.get(column)
        if isinstance(value, list | dict):
            turns = messages(value, column)
        elif isinstance(value, str) and _TURN.match(value):
            turns = _open_transcript(value, column)
        else:
            turns = (construct.message("user", text(value, column)),)
    return to_answer(turns, columns.get("system"))


def to_answer(turns: tuple[Message, ...], system: Any) -> Conversation:
    """The messages that ask, behind those of the system's column."""
    if system is not None and not isinstance(system, str):
        raise RowError(f"'system' should be text, saw {describe_value(system)}")
    if system and system.strip() and turns[0].role != "system":
        turns = (construct.message("system", system), *turns)
    if turns[-1].role not in ("user", "tool"):
        raise RowError(f"a prompt ends with the user's turn, this one with the {turns[-1].role}'s")
    if False in [m.trained for m in turns]:
        turns = tuple(m if m.trained else construct.message(m.role, m.content) for m in turns)
    return construct.conversation(turns)


def _open_transcript(value: str, column: str) -> tuple[Message, ...]:
    """A transcript that ends with 'Assistant:', still to be answered."""
    head, mark, rest = value.rpartition("\n\nAssistant:")
    turns = transcript(head if mark and not rest.strip() else value, column)
    return tuple([construct.message(*turn) for turn in turns])


def reply(value: Any, column: str, question_before: Conversation) -> str:
    """An assistant's reply to the conversation: text, a message, or a list of one message."""
    if isinstance(value, list | dict):
        turns = _turns(cast("Any", value), column)
        speaker, content, trained = turns[-1]
        if len(turns) != 1 or speaker != "assistant":
            raise RowError(
                f"{column!r} should be one reply of the assistant, saw {', '.join(turn[0] for turn in turns)}"
            )
        _check_trained(trained, column)
    else:
        content = text(value, column)
    question = question_before.last.content.strip()
    if len(question) >= REPEATED_FROM and content.lstrip().startswith(question):
        raise RowError(f"the prompt is repeated at the head of {column!r}; keep the answer alone")
    return content


def whole(value: Any) -> bool:
    """Whether a value is a dialogue of more than one message, and no reply alone."""
    return (
        len(cast("list[Any]", value)) > 1
        if isinstance(value, list)
        else isinstance(value, str) and _TURN.match(value) is not None
    )


def begins(dialogue: tuple[Message, ...], prompt: tuple[Message, ...]) -> bool:
    """Whether a dialogue begins with a prompt, whatever is said by the system and whatever space
    stands around a turn."""
    turns, opening = ([(m.role, m.content.strip()) for m in one if m.role != "system"] for one in (dialogue, prompt))
    return turns[: len(opening)] == opening


def split(chosen: Any, rejected: Any) -> tuple[tuple[Message, ...], str, str]:
    """The shared prompt and the two replies of two whole dialogues, as transcripts or as messages."""
    good, bad = _dialogue(chosen, "chosen"), _dialogue(rejected, "rejected")
    if good == bad:
        raise RowError("chosen and rejected are the same")
    if good[:-1] != bad[:-1]:
        raise RowError("the two dialogues part before the last turn, so their last replies answer different prompts")
    (speaker, chosen_reply, _), (other, rejected_reply, _) = good[-1], bad[-1]
    if len(good) < 2 or speaker != "assistant" or other != "assistant":
        raise RowError("a dialogue should end with the assistant's reply to something")
    return tuple([construct.message(*turn) for turn in good[:-1]]), chosen_reply, rejected_reply


def _dialogue(value: Any, column: str) -> list[Turn]:
    if not isinstance(value, list):
        return transcript(text(value, column), column)
    turns = _turns(cast("Any", value), column)
    _check_trained(turns[-1][2], column)
    return turns
