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

from alignwright.core.records import CheckCall, Comparison, Conversation, Message, Prompt, Record
from alignwright.files import chat, collector, construct
from alignwright.files.chat import RowError
from alignwright.files.data_file import data_file
from alignwright.files.errors import SpecError, did_you_mean
from alignwright.files.formats import Shaped, near
from alignwright.files.normal_form import normal_form
from alignwright.files.rows import BadRow, Raw, raw_rows
from alignwright.files.wording import of_a_row, seen
from alignwright.text import checks

T = TypeVar("T")
Columns = dict[str, Any]
PROMPT = ("prompt", "messages", "conversations", "instruction")
_KNOWN = (
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
_SHOWN = 10
Keep = frozenset[str]
"""Names of columns that stay with their prompts; `EVERY` stands for all that no reader knows."""
EVERY: Keep = frozenset({"*"})
ENOUGH = 1000
"""Bad rows after which a file is read no further, where none is allowed: it is refused whatever
else it holds."""


@dataclass(frozen=True)
class Read(Generic[T]):
    """What a file holds: records, the number of the row of each, the rows set aside, and what
    else there is to say."""

    file: str
    rows: tuple[T, ...]
    numbers: tuple[int, ...]
    rejected: tuple[BadRow, ...]
    notes: tuple[str, ...] = ()


def read_rows(
    source: str | Path,
    needed: tuple[tuple[str, ...], ...],
    convert: Callable[[Columns], T],
    bad_rows: float,
    formats: str,
    given: Iterable[Raw] | None = None,
    fields: Iterable[str] = (),
) -> Read[T]:
    """Read every row. `needed` are groups of columns of which a file of this kind has one each;
    `given` are rows already taken apart; `fields` are all columns of a record whose columns are
    its fields."""
    file, rows, numbers, bad = data_file(str(source)).file, list[T](), list[int](), list[BadRow]()
    columns: dict[str, None] = {}
    keys = set[str]()
    with collector.held():
        for raw in raw_rows(source) if given is None else given:
            reason = raw.reason
            if raw.columns is not None:
                for name, value in raw.columns.items():
                    if value is not None and name not in columns:
                        columns[name] = None
                    if type(value) is list:
                        keys.update(f"{name}.{key}" for key in chat.unread(cast("list[Any]", value)))
                try:
                    rows.append(convert(raw.columns))
                    numbers.append(raw.number)
                    continue
                except RowError as error:
                    reason = str(error)
                except ValidationError as error:
                    reason = of_a_row(error, fields)
            # half of a surrogate pair is no text that could be written to a file
            bad.append(
                BadRow(file=file, row=raw.number, reason=reason, text=raw.text.encode("utf-8", "replace").decode())
            )
            if bad_rows == 0.0 and len(bad) == ENOUGH:
                break
    if not rows and not bad:
        raise SpecError([f"{file}: has no rows"])
    if columns and not all(any(name in columns for name in group) for group in needed):
        raise SpecError([f"{file}: cannot tell the format from the columns {', '.join(columns)}; known: {formats}"])
    notes = (
        *(given.notes() if isinstance(given, Shaped) else _unread(file, columns, needed)),
        *_unread_keys(file, keys),
    )
    return checked(Read(file, tuple(rows), tuple(numbers), tuple(bad), notes), bad_rows)


def _unread(file: str, columns: Iterable[str], needed: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """Columns that nothing reads; one that is nearly a known column is an error, for its author
    meant the other."""
    known = {*PROMPT, *_KNOWN, *(name for group in needed for name in group)}
    unread = [name for name in columns if name not in known]
    for name in unread:
        meant = next((other for other in _ABOUT if other not in columns and near(name, other)), None)
        if meant is not None:
            raise SpecError([f"{file}: no column {name!r} is known; did you mean {meant!r}?"])
    return (f"columns not read: {', '.join(unread)}",) if unread else ()


def _unread_keys(file: str, keys: set[str]) -> tuple[str, ...]:
    """Keys of messages that nothing reads; one that is nearly `weight` is an error, for it would
    be learnt from what it excludes."""
    for key in sorted(keys):
        hint = did_you_mean(key.rpartition(".")[2], ("weight",))
        if hint.startswith("did"):
            raise SpecError([f"{file}: no key {key!r} is known; {hint}"])
    return (f"keys of messages not read: {', '.join(sorted(keys))}",) if keys else ()


def checked(read: Read[T], bad_rows: float, good: int | None = None) -> Read[T]:
    """What was read, where no more of it is bad than is allowed. `good` is the number of good
    rows where several make one record."""
    bad = len(read.rejected)
    total = bad + (len(read.rows) if good is None else good)
    lines = [f"{row.file}:{row.row}: {row.reason}" for row in read.rejected[:_SHOWN]]
    lines += [f"{read.file}: and {bad - _SHOWN} more"] if bad > _SHOWN else []
    if bad_rows == 0.0 and bad == ENOUGH:
        raise SpecError(
            [
                *lines,
                (
                    f"{read.file}: {bad} of the first {total} rows cannot be used, and intent.bad_rows allows none:"
                    " read no further"
                ),
            ]
        )
    if bad <= bad_rows * total:
        if not read.rows:
            raise SpecError([*lines, f"{read.file}: no row can be used"])
        return read
    count = f"{bad} of {total} rows cannot be used ({bad / total:.1%})"
    raise SpecError([*lines, f"{read.file}: {count}; intent.bad_rows allows {bad_rows:.1%}"])


def prompt_of(columns: Columns, keep: Keep = frozenset(), given: tuple[Message, ...] | None = None) -> Prompt:
    """The prompt of a row, with its topic, principle and checks; those of IFEval's own files stand
    in `instruction_id_list` and `kwargs`.

    Of its other columns those named in `keep` stay with it. `given` is what is asked, where it stands
    in the replies' columns alone.
    """
    topic, principle, checks = columns.get("topic"), columns.get("principle"), columns.get("checks")
    topic = None if topic is None or topic == "" else chat.name(topic, "topic")
    principle = None if principle is None or principle == "" else chat.name(principle, "principle")
    beside = [
        (name, _as_json(name, columns[name]))
        for name in (columns if keep else ())
        if kept(name, keep) and columns[name] is not None
    ]
    asked = chat.prompt(columns) if given is None else chat.to_answer(given, columns.get("system"))
    calls = _checks(_ifeval(columns) if checks is None or checks == [] else checks)
    return construct.prompt(asked, topic, principle, calls, tuple(beside) if keep else None)


def kept(name: str, keep: Keep) -> bool:
    """Whether a column stays with its prompt for the rules that ask for it."""
    return name not in (*PROMPT, *_KNOWN) if keep == EVERY else name in keep


def _as_json(name: str, value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False, default=str, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        raise RowError(f"{name!r} is asked for by a rule, and cannot be handed to it: saw {seen(value)}") from None


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
        {"name": name, "args": given}
        for name, given in zip(cast("list[Any]", names), cast("list[Any]", args), strict=True)
    ]


def _checks(value: Any) -> tuple[CheckCall, ...]:
    if value is not None and not isinstance(value, list):
        raise RowError(f"'checks' should be a list of {{name, args}}, saw {seen(value)}")
    return tuple(_call(call, f"checks.{place}") for place, call in enumerate(cast("list[Any]", value))) if value else ()


def _call(value: Any, where: str) -> CheckCall:
    if not isinstance(value, dict):
        raise RowError(f"{where}: a check is a mapping {{name, args}}, saw {seen(value)}")
    call = cast("dict[str, Any]", value)
    if unknown := [name for name in call if name not in ("name", "args")]:
        raise RowError(f"{where}: a check has a name and args, and no {unknown[0]!r}")
    name, args = call.get("name"), call.get("args", {})
    if not isinstance(name, str) or not isinstance(args, dict):
        wrong = (
            f"'name' should be text, saw {seen(name)}"
            if not isinstance(name, str)
            else f"'args' should be a mapping, saw {seen(args)}"
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
            return tuple((name, _form(held)) for name, held in cast("dict[str, Any]", value).items())
        case _:
            return value
