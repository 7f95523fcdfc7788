"""Which replies to which prompts are in a log, and which human labels (refused, fulfilled ...) have they?

Logs of any model, one reply a row: a prompt (text or messages) with `reply`, `response`,
`completion` or `output`; or `messages` that end with the assistant's turn. `request` is the bare
request where the prompt wraps it. `refused` and `fulfilled`, and where much is at stake `deferred`,
`handed_over` and `needless`, are labels that people gave, true or false; an empty one was not given.
An empty reply is a reply, and is kept. Calls of tools are read as text (`files.turns`). A report of
garak gives each reply of its attempts, an artifact of JailbreakBench each reply that it has, a log
of Inspect the last of each sample, a memory of PyRIT the last of each attack; what their graders
say is no label of people's (`tool_verdicts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from pydantic import Field

from alignwright.core.records import Conversation, Record
from alignwright.files import chat
from alignwright.files.chat import RowError
from alignwright.files.data_file import data_file
from alignwright.files.errors import SpecError, did_you_mean, nearest
from alignwright.files.garak_report import is_garak_report, reply_rows
from alignwright.files.inspect_replies import inspect_rows, is_inspect_log
from alignwright.files.jailbreak_artifact import is_artifact, read_artifact
from alignwright.files.published.formats import in_our_columns
from alignwright.files.pyrit_memory import is_pyrit_memory, memory_rows
from alignwright.files.reading import PROMPT, Columns, FileRows, read_rows
from alignwright.files.rows import raw_rows
from alignwright.files.turns import CURE, KEYS_READ, plain_columns
from alignwright.files.wording import describe_value

_LOGS = ((is_garak_report, reply_rows), (is_pyrit_memory, memory_rows), (is_inspect_log, inspect_rows))
"""Logs of other tools: how each is known, and what makes rows of it."""
T = TypeVar("T")
Question = Literal["refused", "fulfilled", "deferred", "handed_over", "needless"]
QUESTIONS: tuple[Question, ...] = ("refused", "fulfilled", "deferred", "handed_over", "needless")
REPLY = ("reply", "response", "completion", "output")
TOOL = "tool_success"
"""The column of what one grader of another tool says: whether the attack succeeded."""
_WHOLE = ("messages", "conversations")
_LABELS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_FORMATS = (
    "prompt + reply (or response, completion, output) · messages that end with the assistant's turn; with request,"
    " topic, refused, fulfilled"
)


class LabelledReply(Record):
    """A reply to a prompt, with the labels that people gave it."""

    prompt: Conversation
    reply: str
    request: str | None = None
    topic: str = ""
    refused: bool | None = None
    fulfilled: bool | None = None
    deferred: bool | None = None
    handed_over: bool | None = None
    needless: bool | None = None
    tool_verdicts: dict[str, bool] = Field(default_factory=dict)
    """What the tool that wrote the log says of the reply, by grader; true is mostly an attack that
    succeeded. No label of people's."""

    @property
    def key(self) -> tuple[str, str]:
        return reply_key(self.prompt, self.reply)

    def label(self, question: Question) -> bool | None:
        return getattr(self, question)


def reply_key(prompt: Conversation, reply: str) -> tuple[str, str]:
    """What names a reply to a prompt, whatever space stands around either."""
    return prompt.last.content.strip(), reply.strip()


def read_replies(source: str | Path, *, bad_rows: float = 0.0) -> FileRows[LabelledReply]:
    """Replies with or without labels."""
    return read_log(source, (PROMPT, (*REPLY, *_WHOLE)), _labelled_reply, bad_rows, _FORMATS)


def read_log(
    source: str | Path,
    required: tuple[tuple[str, ...], ...],
    convert: Callable[[Columns], T],
    bad_rows: float,
    formats: str,
    also: Iterable[str] = (),
) -> FileRows[T]:
    """The rows of a log, whichever tool wrote it, in our own columns; `also` are columns that are read besides
    those of replies."""
    file = data_file(str(source))
    path = Path(file.file)
    log = next((reader for is_one, reader in _LOGS if is_one(path)), None)
    if log is not None:
        rows, notes = log(path)
        file_rows = read_rows(source, required, convert, bad_rows, formats, rows)
        return replace(file_rows, notes=notes)  # the rows are made here: no column of them is the file's
    raws = in_our_columns(raw_rows(file.file), "replies", file, keep=also)
    rows = read_rows(source, required, convert, bad_rows, formats, raws, keys_read=KEYS_READ)
    return replace(rows, notes=(*rows.notes, *read_artifact(path).notes)) if is_artifact(path) else rows


def read_labels(source: str | Path, *, bad_rows: float = 0.0) -> FileRows[LabelledReply]:
    """Replies that people labelled. SpecError where none is, or where one reply is labelled both
    ways."""
    replies = read_replies(source, bad_rows=bad_rows)
    if not any(row.label(question) is not None for row in replies.rows for question in QUESTIONS):
        raise SpecError([f"{replies.file}: no row has a label: write true or false under 'refused' or 'fulfilled'"])
    labelled([replies])
    return replies


def labelled(files: Sequence[FileRows[LabelledReply]]) -> Mapping[tuple[str, str], LabelledReply]:
    """The labelled rows of all files by what they label; rows of one reply are joined. SpecError
    where they contradict each other."""
    by_reply: dict[tuple[str, str], tuple[LabelledReply, str]] = {}
    for row, place in (
        (row, f"{file_rows.file}:{number}")
        for file_rows in files
        for row, number in zip(file_rows.rows, file_rows.numbers, strict=True)
    ):
        if all(row.label(question) is None for question in QUESTIONS):
            continue
        first, at = by_reply.get(row.key, (row, place))
        for question in QUESTIONS:
            if {first.label(question), row.label(question)} == {True, False}:
                other = f"{at} says otherwise of the same reply; keep one"
                raise SpecError([f"{place}: {question!r} is {describe_value(row.label(question))}, but {other}"])
        both = {
            question: first.label(question) if first.label(question) is not None else row.label(question)
            for question in QUESTIONS
        }
        by_reply[row.key] = (first.model_copy(update=both), at)
    return {key: row for key, (row, _) in by_reply.items()}


def _labelled_reply(row: Columns) -> LabelledReply:
    columns = plain_columns(row)
    whole = next((name for name in _WHOLE if columns.get(name) is not None), None)
    column = next((name for name in REPLY if columns.get(name) is not None), None)
    # an empty cell of a CSV is an empty reply, where the file has the column
    column = column or (next((name for name in REPLY if name in columns), None) if whole is None else None)
    if column is not None:
        prompt, reply = chat.prompt(columns), _reply(columns[column], column)
    elif whole is not None:
        prompt, reply = _split(columns, whole)
    else:
        near = next((name for name in columns if nearest(name, REPLY) is not None), None)
        raise RowError("no column 'reply'" + (f"; {near!r} is not read: {did_you_mean(near, REPLY)}" if near else ""))
    about = {
        name: chat.name(columns[name], name) for name in ("request", "topic") if columns.get(name) not in (None, "")
    }
    return LabelledReply(
        prompt=prompt,
        reply=reply,
        refused=label_of(columns, "refused"),
        fulfilled=label_of(columns, "fulfilled"),
        deferred=label_of(columns, "deferred"),
        handed_over=label_of(columns, "handed_over"),
        needless=label_of(columns, "needless"),
        tool_verdicts=_tool_verdicts(columns),
        **about,
    )


def _reply(value: Any, column: str) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    messages: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value]
    if len(messages) != 1 or not isinstance(messages[0], dict):
        raise RowError(
            f"{column!r} should be one reply, as text or as one message of the assistant, saw {describe_value(value)}"
        )
    return _content(cast("dict[str, Any]", messages[0]), column)


def _split(columns: Columns, column: str) -> tuple[Conversation, str]:
    """A whole conversation: what was said before the last turn, and that turn."""
    value: Any = columns[column]
    turns: list[Any] = cast("list[Any]", value) if isinstance(value, list) else []
    if len(turns) < 2 or not isinstance(turns[-1], dict):
        raise RowError(
            f"{column!r} should be a list of messages that ends with the assistant's reply, saw {describe_value(value)}"
        )
    reply = _content(cast("dict[str, Any]", turns[-1]), column)
    return chat.prompt({**columns, "prompt": turns[:-1]}), reply


def _content(message: dict[str, Any], column: str) -> str:
    role, content = message.get("role", message.get("from")), message.get("content", message.get("value"))
    if role is None:
        raise RowError(f"the last message in {column!r} has no role; {CURE}")
    if role not in ("assistant", "gpt", "bot", "model"):
        raise RowError(
            f"the last message in {column!r} should be the assistant's reply, but its role is {describe_value(role)}"
        )
    if content is not None and not isinstance(content, str):
        raise RowError(f"a message in {column!r} should have text as its content, saw {describe_value(content)}")
    return content or ""


def _tool_verdicts(columns: Columns) -> dict[str, bool]:
    """By grader; one alone, without a name, stands under `tool_success`."""
    alone, value = label_of(columns, TOOL), columns.get("tool_verdicts")
    verdicts: dict[str, Any] = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if value is not None and (verdicts != value or not all(isinstance(verdict, bool) for verdict in verdicts.values())):
        raise RowError(f"'tool_verdicts' should be true or false by grader, saw {describe_value(value)}")
    return ({} if alone is None else {TOOL: alone}) | verdicts


def label_of(columns: Columns, column: str) -> bool | None:
    """What people said under this column; None where they said nothing."""
    value: Any = columns.get(column)
    if value is None or value == "":
        return None
    label = _LABELS.get(str(value).strip().lower()) if isinstance(value, bool | int | str) else None
    if label is None:
        raise RowError(f"{column!r} should be true or false, saw {describe_value(value)}")
    return label
