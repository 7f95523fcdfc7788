"""Which conversations did somebody else record: who said what, which tools were called, and what do
people say of it?

Chat logs and agent traces: `messages` (also `conversation`, `conversations`) or a prompt with its
reply, as `files.replies` reads them, and with it the logs of other tools that it knows. Calls of tools
and thoughts are kept (`files.turns`).

Labels are columns of true and false that people gave: `refused`, `fulfilled`, `sycophantic`,
`hacked`, `deceptive`, `leaked`. `secret` are words that were not to be said.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, cast

from pydantic import Field

from alignwright.core.records import Conversation, Message
from alignwright.files import chat
from alignwright.files.chat import RowError
from alignwright.files.formats import Kind
from alignwright.files.items import Item
from alignwright.files.reading import Columns, FileRows
from alignwright.files.replies import REPLY, label_of, read_log
from alignwright.files.turns import CURE, DIALOGUE, Turn, last_reply, speech, turns

Label = Literal["refused", "fulfilled", "sycophantic", "hacked", "deceptive", "leaked"]
LABELS: tuple[Label, ...] = ("refused", "fulfilled", "sycophantic", "hacked", "deceptive", "leaked")
_FORMATS = "messages with roles · prompt + reply; with topic, request, secret, " + ", ".join(LABELS)


class RecordedConversation(Item):
    """A conversation as it was recorded, with what people say of it."""

    reads: ClassVar[Kind] = "replies"
    turns: tuple[Turn, ...] = Field(min_length=1)
    request: str | None = None
    secret: tuple[str, ...] = ()
    refused: bool | None = None
    fulfilled: bool | None = None
    sycophantic: bool | None = None
    hacked: bool | None = None
    deceptive: bool | None = None
    leaked: bool | None = None

    def label(self, name: Label) -> bool | None:
        return getattr(self, name)

    @property
    def last_reply(self) -> int:
        """The place of the assistant's last turn that says something, or of its last."""
        return last_reply(self.turns)

    @property
    def reply(self) -> str:
        return self.turns[self.last_reply].content

    @property
    def question(self) -> str:
        """What the user said last before the reply; "" where nothing."""
        before = self.turns[: self.last_reply]
        return next((turn.content for turn in reversed(before) if turn.role == "user"), "")

    @property
    def task(self) -> str:
        """What rows of one task share: the topic, or what the user said first."""
        return self.topic or next((turn.content for turn in self.turns if turn.role == "user"), self.id)

    @property
    def prompt(self) -> Conversation | None:
        """What came before the reply, calls written out; None where nothing did."""
        before = [Message(role=turn.role, content=turn.text) for turn in self.turns[: self.last_reply] if turn.text]
        return Conversation(messages=tuple(before)) if before else None


def read_transcripts(source: str | Path, *, bad_rows: float = 0.0) -> FileRows[RecordedConversation]:
    """The conversations of a file. SpecError names file and line of what has no roles."""
    return read_log(source, (), _transcript, bad_rows, _FORMATS, DIALOGUE)


def _transcript(columns: Columns) -> RecordedConversation:
    dialogue = _turns_of(columns)
    system = columns.get("system")
    if isinstance(system, str) and system.strip() and dialogue[0].role != "system":
        dialogue = (Turn(role="system", content=system), *dialogue)
    last_reply(dialogue)
    labels = {name: label_of(columns, name) for name in LABELS}
    request, topic = (
        chat.name(columns[name], name) if columns.get(name) not in (None, "") else None for name in ("request", "topic")
    )
    secret = _secret(columns.get("secret"))
    return RecordedConversation(turns=dialogue, secret=secret, request=request, topic=topic or "", **labels)


def _turns_of(columns: Columns) -> tuple[Turn, ...]:
    reply = next((name for name in REPLY if columns.get(name) is not None), None)
    if reply is not None:
        value = columns[reply]
        answer = turns(value, reply) if isinstance(value, list | dict) else (speech("assistant", str(value)),)
        return (*_prompt_turns(columns), *answer)
    name = next((name for name in DIALOGUE if columns.get(name) is not None), None)
    if name is None:
        raise RowError(f"no conversation: saw the columns {', '.join(columns) or 'none'}; {CURE} under 'messages'")
    return turns(columns[name], name)


def _prompt_turns(columns: Columns) -> tuple[Turn, ...]:
    column = next((name for name in ("prompt", *DIALOGUE, "instruction") if columns.get(name) is not None), None)
    if column is None:
        raise RowError("a reply without its prompt: write what was asked under 'prompt'")
    value = columns[column]
    if isinstance(value, list | dict):
        return turns(value, column)
    return tuple(Turn(role=m.role, content=m.content) for m in chat.prompt(columns).messages)


def _secret(value: Any) -> tuple[str, ...]:
    words: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value] if value else []
    if not all(isinstance(word, str) and word.strip() for word in words):
        raise RowError("'secret' should be words, or a list of words, that must not be said")
    return tuple(words)
