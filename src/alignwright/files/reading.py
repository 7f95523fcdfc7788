"""How is a data file read row by row, with bad rows set aside?

The machinery that every reader in `sources` and `votes` shares: convert each row, keep the number
of each, count and explain those that cannot be used, and stop when there are more of them than
allowed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from pydantic import ValidationError

from alignwright.core.amount import amount
from alignwright.core.records import CheckCall, Comparison, Conversation, Message, Prompt, Record
from alignwright.files import chat, collector, construct
from alignwright.files.chat import RowError
from alignwright.files.data_file import data_file
from alignwright.files.errors import NoUsableRow, SpecError, bad_row_lines, nearest
from alignwright.files.formats import ShapedRows, near
from alignwright.files.hub_address import HUB
from alignwright.files.hub_rows import hub_notes
from alignwright.files.normal_form import normal_form
from alignwright.files.rows import BadRow, Raw, raw_rows
from alignwright.files.wording import describe_row_errors, describe_value
from alignwright.text import checks

T = TypeVar("T")
Columns = dict[str, Any]
PROMPT = ("prompt", "messages", "conversations", "instruction")
_COLUMNS = (
    *(
        "topic",
        "principle",
        "checks",
        "system",
        "input",
        "chosen",
        "rejected",
        "text",
        "score",
        "completion",
        "label",
        "output",
    ),
    *("a", "b", "replies", "choice", "rater", "group", "instruction_id_list", "kwargs"),
)
_ABOUT = ("topic", "principle", "checks", "system", "rater", "group")
Keep = frozenset[str]
"""Names of columns that stay with their prompts; `EVERY` stands for all that no reader knows."""
EVERY: Keep = frozenset({"*"})
AS_TEXT = "*prompt"
"""The name under which it stays with a prompt whether its row has a text or messages."""
ENOUGH = 1000
"""Bad rows after which a file is read no further, where none is allowed: it is refused whatever
else it holds."""


@dataclass(frozen=True)
class FileRows(Generic[T]):
    """What a file holds: records, the number of the row of each, the rows set aside, and what
    else there is to say."""

    file: str
    rows: tuple[T, ...]
    numbers: tuple[int, ...]
    rejected: tuple[BadRow, ...]
    notes: tuple[str, ...] = ()


def read_rows(
    source: str | Path,
    required: tuple[tuple[str, ...], ...],
    convert: Callable[[Columns], T],
    bad_rows: float,
    formats: str,
    raws: Iterable[Raw] | None = None,
    fields: Iterable[str] = (),
    keys_read: frozenset[str] = chat.KEYS,
) -> FileRows[T]:
    """Read every row. `required` are groups of columns of which a file of this kind has one each;
    `raws` are rows already taken apart; `fields` are all columns of a record whose columns are
    its fields; `keys_read` are the keys of a message that are read."""
    file, rows, numbers, bad = data_file(str(source)).file, list[T](), list[int](), list[BadRow]()
    columns: dict[str, None] = {}
    keys = set[str]()
    with collector.paused():
        for raw in raw_rows(source) if raws is None else raws:
            reason = raw.reason
            if raw.columns is not None:
                for name, value in raw.columns.items():
                    if value is not None and name not in columns:
                        columns[name] = None
                    if type(value) is list:
                        keys.update(f"{name}.{key}" for key in chat.unread_keys(cast("list[Any]", value), keys_read))
                try:
                    rows.append(convert(raw.columns))
                    numbers.append(raw.number)
                    continue
                except RowError as error:
                    reason = str(error)
                except ValidationError as error:
                    reason = describe_row_errors(error, fields)
            # half of a surrogate pair is no text that could be written to a file
            bad.append(
                BadRow(file=file, row=raw.number, reason=reason, text=raw.text.encode("utf-8", "replace").decode())
            )
            if bad_rows == 0.0 and len(bad) == ENOUGH:
                break
    if not rows and not bad:
        raise SpecError([f"{file}: has no rows"])
    present = [any(name in columns for name in group) for group in required]
    # rows that have some of a record's columns say for themselves, line by line, what they lack
    if columns and not all(present) and not (bad and any(present) and tuple(fields)):
        raise SpecError([f"{file}: cannot tell the format from the columns {', '.join(columns)}; known: {formats}"])
    notes = (
        *(raws.notes() if isinstance(raws, ShapedRows) else _unknown_columns(file, columns, required)),
        *_unread_keys(file, keys),
        *(hub_notes(file) if file.startswith(HUB) else ()),
    )
    return within_bad_rows(FileRows(file, tuple(rows), tuple(numbers), tuple(bad), notes), bad_rows)


def _unknown_columns(file: str, columns: Iterable[str], required: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """Columns that nothing reads; one that is nearly a known column is an error, for its author
    meant the other."""
    columns_read = {*PROMPT, *_COLUMNS, *(name for group in required for name in group)}
    unknown = [name for name in columns if name not in columns_read]
    for name in unknown:
        near_name = next((other for other in _ABOUT if other not in columns and near(name, other)), None)
        if near_name is not None:
            raise SpecError([f"{file}: no column {name!r} is known; did you mean {near_name!r}?"])
    return (f"columns not read: {', '.join(unknown)}",) if unknown else ()


def _unread_keys(file: str, keys: set[str]) -> tuple[str, ...]:
    """Keys of messages that nothing reads; one that is nearly `weight` is an error, for it would
    be learnt from what it excludes."""
    for key in sorted(keys):
        if (near := nearest(key.rpartition(".")[2], ("weight",))) is not None:
            raise SpecError([f"{file}: no key {key!r} is known; did you mean {near!r}?"])
    return (f"keys of messages not read: {', '.join(sorted(keys))}",) if keys else ()


def within_bad_rows(rows: FileRows[T], bad_rows: float, good: int | None = None) -> FileRows[T]:
    """What was read, where no more of it is bad than is allowed. `good` is the number of good
    rows where several make one record."""
    bad = len(rows.rejected)
    total = bad + (len(rows.rows) if good is None else good)
    lines = bad_row_lines(rows.file, [(row.row, row.reason) for row in rows.rejected])
    if bad_rows == 0.0 and bad == ENOUGH:
        raise SpecError(
            [
                *lines,
                (
                    f"{rows.file}: {bad} of the first {total} rows cannot be used, and intent.bad_rows allows none:"
                    " read no further"
                ),
            ]
        )
    if bad <= bad_rows * total:
        if not rows.rows:
            raise NoUsableRow([*lines, f"{rows.file}: no row can be used"], bad, rows.notes)
        return rows
    count = f"{bad:,} of {amount(total, 'row')} cannot be used ({bad / total:.1%})"
    raise SpecError([*lines, f"{rows.file}: {count}; intent.bad_rows allows {bad_rows:.1%}"])


def prompt_of(columns: Columns, keep: Keep = frozenset(), question: tuple[Message, ...] | None = None) -> Prompt:
    """The prompt of a row, with its topic, principle and checks; those of IFEval's own files stand
    in `instruction_id_list` and `kwargs`.

    Of its other columns those named in `keep` stay with it. `question` is what is asked, where it stands
    in the replies' columns alone.
    """
    topic, principle, checks = columns.get("topic"), columns.get("principle"), columns.get("checks")
    topic = None if topic is None or topic == "" else chat.name(topic, "topic")
    principle = None if principle is None or principle == "" else chat.name(principle, "principle")
    beside = [
        (name, _as_json(name, columns[name]))
        for name in (columns if keep else ())
        if keeps_column(name, keep) and columns[name] is not None
    ]
    if AS_TEXT in keep:
        written = next((columns[name] for name in PROMPT if columns.get(name) is not None), None)
        beside += [(AS_TEXT, json.dumps(isinstance(written, str)))] if written is not None else []
    conversation = chat.prompt(columns) if question is None else chat.to_answer(question, columns.get("system"))
    calls = _checks(_ifeval(columns) if checks is None or checks == [] else checks)
    return construct.prompt(conversation, topic, principle, calls, tuple(beside) if keep else None)


def keeps_column(name: str, keep: Keep) -> bool:
    """Whether a column stays with its prompt for the rules that ask for it."""
    return name in keep or (keep >= EVERY and name not in (*PROMPT, *_COLUMNS))


def _as_json(name: str, value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False, default=str, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        raise RowError(
            f"{name!r} is asked for by a rule, and cannot be handed to it: saw {describe_value(value)}"
        ) from None


def _ifeval(columns: Columns) -> list[dict[str, Any]] | None:
    names, args = columns.get("instruction_id_list"), columns.get("kwargs")
    if names is None:
        return None
    if (
        not isinstance(names, list)
        or not isinstance(args, list)
        or len(cast("list[Any]", names)) != len(cast("list[Any]", args))
    ):
        raise RowError("'instruction_id_list' and 'kwargs' should be two lists of one length")
    return [
        {"name": name, "args": arguments}
        for name, arguments in zip(cast("list[Any]", names), cast("list[Any]", args), strict=True)
    ]


def _checks(value: Any) -> tuple[CheckCall, ...]:
    if value is not None and not isinstance(value, list):
        raise RowError(f"'checks' should be a list of {{name, args}}, saw {describe_value(value)}")
    return tuple(_call(call, f"checks.{place}") for place, call in enumerate(cast("list[Any]", value))) if value else ()


def _call(value: Any, where: str) -> CheckCall:
    if not isinstance(value, dict):
        raise RowError(f"{where}: a check is a mapping {{name, args}}, saw {describe_value(value)}")
    call = cast("dict[str, Any]", value)
    if unknown := [name for name in call if name not in ("name", "args")]:
        raise RowError(f"{where}: a check has a name and args, and no {unknown[0]!r}")
    name, args = call.get("name"), call.get("args", {})
    if not isinstance(name, str) or not isinstance(args, dict):
        wrong = (
            f"'name' should be text, saw {describe_value(name)}"
            if not isinstance(name, str)
            else f"'args' should be a mapping, saw {describe_value(args)}"
        )
        raise RowError(f"{where}: {wrong}")
    try:
        checks.checked_arguments(name, cast("dict[str, object]", args))
    except ValueError as error:
        raise RowError(f"{where}: {error}") from None
    return CheckCall.model_validate_json(json.dumps({"name": name, "args": args}))


def duplicates(rows: Iterable[Record]) -> int:
    """How many rows say what an earlier one said, in the normal form of their texts."""
    return sum(count - 1 for count in Counter(map(_form, rows)).values())


def _form(value: Any) -> Any:
    """A row to be compared with others: its texts in their normal form, everything else as it is."""
    match value:
        case str():
            return normal_form(value)
        case Comparison(prompt=prompt, replies=replies, votes=votes):
            return _form(prompt), *(normal_form(reply.text) for reply in replies), votes
        case Prompt(conversation=conversation, topic=topic, principle=principle, checks=()):
            return _form(conversation), topic, principle
        case Conversation(messages=messages):
            return tuple((message.role, normal_form(message.content)) for message in messages)
        case Record():
            return tuple(_form(getattr(value, name)) for name in type(value).model_fields)
        case tuple() | list():
            return tuple(map(_form, cast("Iterable[Any]", value)))
        case dict():
            return tuple((name, _form(paused)) for name, paused in cast("dict[str, Any]", value).items())
        case _:
            return value
