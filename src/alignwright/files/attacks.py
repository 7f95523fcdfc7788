"""Which conversations of earlier attacks are in a file, each with what is asked for in it?

A line of a run's `attacks.jsonl` (`core.attacks.Try`); one that was flagged in a chat; a log of another
tool, whose rows have a prompt or messages, and under `request` or `goal` the bare request. Where none
is named, what was asked last is the request. A conversation that ends with a reply of the assistant, in a
row that has no column of its own for it, is taken without that reply. What was flagged as harmless is
no attack: it is left out, and counted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, cast

from pydantic import Field

from alignwright.core.records import Conversation, Message
from alignwright.files import chat
from alignwright.files.chat import RowError
from alignwright.files.data_file import data_file
from alignwright.files.errors import SpecError
from alignwright.files.formats import Kind
from alignwright.files.items import Item, RefusalItem, Text
from alignwright.files.reading import Columns, FileRows, read_rows
from alignwright.files.replies import REPLY
from alignwright.files.rows import raw_rows

_DIALOGUE = ("messages", "conversation", "conversations")
_REQUEST = ("request", "goal", "Goal", "behavior")
_TOPIC = ("topic", "category", "Category")
_FORMATS = "a line of attacks.jsonl · what chat flagged · prompt or messages, with request or goal"
_COLUMNS = (*_DIALOGUE, "prompt", "request", "attack", "way", "topic", "target", "secret", "kind", *REPLY)


class AttackItem(Item):
    """A conversation that was put to some model to make it do what is requested."""

    reads: ClassVar[Kind] = "prompts"
    messages: tuple[Message, ...] = Field(min_length=1)
    request: Text
    attack: str = ""
    way: str = ""
    target: str = ""
    secret: tuple[str, ...] = ()

    @property
    def asks(self) -> tuple[str, ...]:
        return (self.request,)

    @property
    def shown(self) -> str:
        return " ".join(message.content for message in self.messages)

    @property
    def dialogue(self) -> Conversation:
        return Conversation(messages=self.messages)

    @property
    def behaviour(self) -> RefusalItem:
        """The request by itself."""
        return RefusalItem(
            prompt=self.request, kind="harmful", topic=self.topic, target=self.target, secret=self.secret
        )


def read_attacks(source: str | Path, *, bad_rows: float = 0.0) -> FileRows[AttackItem]:
    """The conversations of a file. SpecError where it holds none, or more bad rows than allowed."""
    file = data_file(str(source))
    if file.columns or file.kind:
        raise SpecError([f"{file.file}: a file of attacks is named by its path alone, without 'columns' and 'kind'"])
    file_rows = read_rows(source, (("prompt", *_DIALOGUE),), _attack, bad_rows, _FORMATS, raw_rows(file.file), _COLUMNS)
    attacks = [(row, number) for row, number in zip(file_rows.rows, file_rows.numbers, strict=True) if row is not None]
    if not attacks:
        raise SpecError([f"{file.file}: every conversation is flagged as harmless, so there is no attack to replay"])
    harmless = len(file_rows.rows) - len(attacks)
    notes = (*file_rows.notes, *([f"{harmless} conversations flagged as harmless are left out"] if harmless else []))
    return FileRows(
        file_rows.file,
        tuple(row for row, _ in attacks),
        tuple(number for _, number in attacks),
        file_rows.rejected,
        notes,
    )


def _attack(columns: Columns) -> AttackItem | None:
    if columns.get("kind") == "harmless":
        return None
    dialogue = _messages(columns)
    name = next((name for name in _REQUEST if columns.get(name) not in (None, "")), None)
    question = next(message.content for message in reversed(dialogue) if message.role == "user")
    topic = next((name for name in _TOPIC if columns.get(name) not in (None, "")), None)
    return AttackItem(
        messages=dialogue,
        request=chat.text(columns[name], name) if name else question,
        topic=chat.name(columns[topic], topic) if topic else "",
        secret=_secret(columns.get("secret")),
        **{key: str(columns[key]) for key in ("attack", "way", "target") if columns.get(key) not in (None, "")},
    )


def _messages(columns: Columns) -> tuple[Message, ...]:
    column = next((name for name in _DIALOGUE if columns.get(name) is not None), None)
    if column is None:
        return chat.prompt(columns).messages
    dialogue = chat.messages(columns[column], column)
    if not any(name in columns for name in REPLY) and dialogue[-1].role == "assistant":
        dialogue = dialogue[:-1]
    if not any(message.role == "user" for message in dialogue):
        raise RowError(f"{column!r} has no turn of the user, so nothing is asked in it")
    return dialogue


def _secret(value: Any) -> tuple[str, ...]:
    words: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value] if value else []
    if not all(isinstance(word, str) and word.strip() for word in words):
        raise RowError("'secret' should be a word, or a list of words, that must not be said")
    return tuple(words)
