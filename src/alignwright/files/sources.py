"""Which records do public data files hold: prompts, preference pairs, votes, conversations, items?

Five readers, each from CSV, JSON, JSONL (also gzipped), Parquet or `hf://owner/name[:split]`; the
format is told from the columns. Beside our own columns, below, each reads the published formats of
`published` as they are, and a file whose columns a spec names (`data_file`).

- `read_prompts`: prompt | messages | conversations | instruction (+ input); with topic, principle,
  checks
- `read_pairs`: chosen, rejected with a prompt (TRL, UltraFeedback, ShareGPT) or as whole dialogues,
  with the prompt beside them or without (HH-RLHF); prompt, completion, label (KTO): every reply
  labelled true beats every one labelled false under the same prompt, and labelled replies without a
  counterpart cannot be compared, which `notes` counts
- `read_judged`: the same file with those labelled replies as well, which KTO takes by themselves
- `read_votes`: a prompt, a and b (or replies), choice, rater, group: a row a vote, merged into a
  comparison for each prompt and replies
- `read_conversations`: messages, conversations, prompt + completion (of a KTO file, those labelled
  true), instruction + output
- `read_items`: the held-out items of `files.items`, whose columns are their fields

A bad row is set aside with its number and the reason. More of them than `bad_rows` (a share) is an
error that names them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TypeVar

from alignwright.core.amount import amount
from alignwright.core.records import Comparison, Conversation, Labelled, Prompt
from alignwright.files import chat, construct
from alignwright.files.chat import RowError
from alignwright.files.data_file import data_file
from alignwright.files.errors import SpecError
from alignwright.files.formats import Kind
from alignwright.files.items import Item
from alignwright.files.published.formats import in_our_columns
from alignwright.files.reading import PROMPT, Columns, FileRows, Keep, duplicates, keeps_column, prompt_of, read_rows
from alignwright.files.rows import BadRow, Raw, raw_rows
from alignwright.files.votes import read_votes
from alignwright.files.wording import describe_value

__all__ = [
    "BadRow",
    "FileRows",
    "duplicates",
    "read_conversations",
    "read_items",
    "read_judged",
    "read_pairs",
    "read_prompts",
    "read_votes",
    "write_rejected",
]

_DIGITS = re.compile("[0-9]{1,18}")
I = TypeVar("I", bound=Item)  # noqa: E741 (an item)
T = TypeVar("T")
_PAIRS = (
    "chosen + rejected (+ prompt) · text + score · prompt + completion + label · the published formats of docs/data.md"
)
_NO_COUNTERPART = "have no counterpart under the same prompt to be compared with"
_LABELS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def read_prompts(source: str | Path, *, bad_rows: float = 0.0, keep: Keep = frozenset()) -> FileRows[Prompt]:
    """Prompts to be answered; columns named in `keep` stay with them, for rules that ask for them."""
    return _read(
        source,
        "prompts",
        (PROMPT,),
        partial(prompt_of, keep=keep),
        bad_rows,
        "prompt | messages | conversations | instruction",
        keep=keep,
    )


def read_pairs(source: str | Path, *, bad_rows: float = 0.0, keep: Keep = frozenset()) -> FileRows[Comparison]:
    """Written pairs: reply 0 is the good one, and there are no votes yet. `keep` as in
    `read_prompts`."""
    file_rows = read_judged(source, bad_rows=bad_rows, keep=keep)
    pairs = [
        (row, number)
        for row, number in zip(file_rows.rows, file_rows.numbers, strict=True)
        if isinstance(row, Comparison)
    ]
    alone = len(file_rows.rows) - len(pairs)
    notes = (
        *file_rows.notes[: len(file_rows.notes) - bool(alone)],
        *([f"{alone} labelled replies {_NO_COUNTERPART}"] if alone else []),
    )
    if not pairs:
        why = "no prompt has both a reply labelled true and one labelled false, so nothing can be compared"
        raise SpecError(
            [
                f"{file_rows.file}: {why}; 'kto' alone learns from single labels, without another method that needs"
                " pairs beside it"
            ]
        )
    return FileRows(
        file_rows.file, tuple(row for row, _ in pairs), tuple(number for _, number in pairs), file_rows.rejected, notes
    )


def read_judged(
    source: str | Path, *, bad_rows: float = 0.0, keep: Keep = frozenset()
) -> FileRows[Comparison | Labelled]:
    """Written pairs, and behind them the labelled replies that have no counterpart under their
    prompt."""
    convert = partial(_pair_or_labelled, keep=keep)
    return _pair_labelled(
        _read(source, "pairs", (("chosen", "label"), ("rejected", "label")), convert, bad_rows, _PAIRS, keep=keep)
    )


def read_conversations(source: str | Path, *, bad_rows: float = 0.0) -> FileRows[Conversation]:
    """Whole conversations to learn from, each ending with the assistant's turn."""
    required = (("messages", "conversations", "completion", "output"),)
    formats = "messages · conversations · prompt + completion · instruction + output"
    file_rows = _read(source, "conversations", required, _conversation, bad_rows, formats)
    keeps_column = [
        (row, number) for row, number in zip(file_rows.rows, file_rows.numbers, strict=True) if row is not None
    ]
    untrained = len(file_rows.rows) - len(keeps_column)
    notes = (
        *file_rows.notes,
        *(
            [f"{amount(untrained, 'row')} labelled false {'is' if untrained == 1 else 'are'} not learned from"]
            if untrained
            else []
        ),
    )
    return FileRows(
        file_rows.file,
        tuple(row for row, _ in keeps_column),
        tuple(number for _, number in keeps_column),
        file_rows.rejected,
        notes,
    )


def read_items(
    source: str | Path, model: type[I], *, bad_rows: float = 0.0, rows: Iterable[Raw] | None = None
) -> FileRows[I]:
    """Held-out items, whose columns are their fields. `rows` are given where another reader made
    them."""
    required = tuple((name,) for name, field in model.model_fields.items() if field.is_required() and name != "kind")
    convert = partial(_item, model=model)
    return _read(
        source, model.reads, required, convert, bad_rows, ", ".join(model.model_fields), rows, model.model_fields
    )


def _read(
    source: str | Path,
    kind: Kind,
    required: tuple[tuple[str, ...], ...],
    convert: Callable[[Columns], T],
    bad_rows: float,
    formats: str,
    rows: Iterable[Raw] | None = None,
    fields: Iterable[str] = (),
    keep: Keep = frozenset(),
) -> FileRows[T]:
    """The rows of a file, in whatever published format, as records of one kind."""
    file = data_file(str(source))
    raws = in_our_columns(raw_rows(file.file) if rows is None else rows, kind, file, fields, keep)
    return read_rows(source, required, convert, bad_rows, formats, raws, fields)


def write_rejected(path: Path, bad: Iterable[BadRow]) -> None:
    """Keep the rows that were set aside, as JSON Lines."""
    path.write_text("".join(row.model_dump_json() + "\n" for row in bad), encoding="utf-8")


def _pair(columns: Columns, keep: Keep) -> Comparison:
    chosen, rejected = columns.get("chosen"), columns.get("rejected")
    if chosen is None or rejected is None:
        raise RowError(f"no column {'chosen' if chosen is None else 'rejected'!r}")
    beside = columns.get("prompt") is not None or any(columns.get(name) is not None for name in PROMPT)
    if not beside or (chat.whole(chosen) and chat.whole(rejected)):
        question, good, bad = chat.split(chosen, rejected)
        if beside and not chat.begins(question, chat.prompt(columns).messages):
            raise RowError("chosen and rejected are whole dialogues, and do not begin with the prompt beside them")
        about = {name: columns.get(name) for name in ("topic", "principle", "checks", "system")}
        about |= {name: columns[name] for name in (columns if keep else ()) if keeps_column(name, keep)}
        prompt = prompt_of(about, keep, question)
    else:
        prompt = prompt_of(columns, keep)
        good = chat.reply(chosen, "chosen", prompt.conversation)
        bad = chat.reply(rejected, "rejected", prompt.conversation)
    return _compare(prompt, good, bad)


def _compare(prompt: Prompt, good: str, bad: str) -> Comparison:
    if good.strip() == bad.strip():
        raise RowError("chosen and rejected are the same")
    first = construct.reply(good, prompt.id, "written:good")
    return construct.comparison(prompt, (first, construct.reply(bad, prompt.id, "written:bad")))


def _labelled(columns: Columns) -> Labelled:
    label = _LABELS.get(str(columns["label"]).strip().lower())
    if label is None:
        raise RowError(f"'label' should be true or false, saw {describe_value(columns['label'])}")
    if columns.get("completion") is None:
        column = next((name for name in ("messages", "conversations") if columns.get(name) is not None), None)
        if column is None:
            raise RowError(
                "a row with 'label' has a reply to it: no column 'completion' (with a prompt), nor 'messages'"
            )
        dialogue = chat.ending_in_training(chat.messages(columns[column], column), column)
        columns = {
            "topic": columns.get("topic"),
            "prompt": [m.model_dump() for m in dialogue[:-1]],
            "completion": [dialogue[-1].model_dump()],
        }
    prompt = prompt_of(columns)
    return Labelled(
        prompt=prompt, reply=chat.reply(columns["completion"], "completion", prompt.conversation), good=label
    )


def _pair_or_labelled(columns: Columns, keep: Keep) -> Comparison | Labelled:
    return (
        _labelled(columns)
        if columns.get("label") is not None and columns.get("chosen") is None
        else _pair(columns, keep)
    )


def _pair_labelled(file_rows: FileRows[Comparison | Labelled]) -> FileRows[Comparison | Labelled]:
    """Put good and bad labelled replies to one prompt side by side; behind them come those that
    stand alone."""
    rows_found: list[tuple[Comparison | Labelled, int]] = []
    groups: dict[str, list[tuple[Labelled, int]]] = {}
    for row, number in zip(file_rows.rows, file_rows.numbers, strict=True):
        if isinstance(row, Comparison):
            rows_found.append((row, number))
        else:
            groups.setdefault(row.prompt.id, []).append((row, number))
    alone: list[tuple[Labelled, int]] = []
    both = 0
    for group in groups.values():
        rows = _labelled_one_way(group)
        both += len(group) - len(rows)
        good, bad = [row for row, _ in rows if row.good], [row for row, _ in rows if not row.good]
        alone += [] if good and bad else rows
        rows_found += [(_compare(g.prompt, g.reply, b.reply), rows[0][1]) for g in good for b in bad]
    good = sum(row.good for row, _ in alone)
    notes = (
        [f"{amount(both, 'row')} left out, whose reply is labelled both good and bad under one prompt"] if both else []
    )
    if notes and not rows_found and not alone:
        raise SpecError([f"{file_rows.file}: no row is left: {notes[0]}"])
    notes += (
        [
            f"{good} replies labelled good and {len(alone) - good} labelled bad {_NO_COUNTERPART}: examples of kto by"
            " themselves"
        ]
        if alone
        else []
    )
    rows_found += sorted(alone, key=lambda row: row[1])
    return FileRows(
        file_rows.file,
        tuple(row for row, _ in rows_found),
        tuple(number for _, number in rows_found),
        file_rows.rejected,
        (*file_rows.notes, *notes),
    )


def _labelled_one_way(rows: list[tuple[Labelled, int]]) -> list[tuple[Labelled, int]]:
    """The rows of one prompt without those whose reply another row labels otherwise: nothing can
    be learnt from either."""
    good, bad = ({row.reply.strip() for row, _ in rows if row.good is label} for label in (True, False))
    return [(row, number) for row, number in rows if row.reply.strip() not in good & bad]


def _conversation(columns: Columns) -> Conversation | None:
    """A whole conversation; None for one that is labelled false."""
    if columns.get("label") is not None:
        labelled = _labelled(columns)
        return labelled.prompt.conversation.then("assistant", labelled.reply).only_last() if labelled.good else None
    for name in ("completion", "output"):
        if columns.get(name) is not None:
            question = chat.prompt(columns)
            return question.then("assistant", chat.reply(columns[name], name, question)).only_last()
    column = "messages" if columns.get("messages") is not None else "conversations"
    if columns.get(column) is None:
        half = (
            "completion"
            if columns.get("prompt") is not None
            else "output"
            if columns.get("instruction") is not None
            else "messages"
        )
        raise RowError(f"no column {half!r}")
    dialogue = chat.messages(columns[column], column)
    if dialogue[-1].role != "assistant":
        raise RowError(
            f"a conversation to learn from ends with the assistant's turn, this one with the {dialogue[-1].role}'s"
        )
    if not any(message.trained for message in dialogue if message.role == "assistant"):
        raise RowError(f"every message of the assistant in {column!r} has weight 0, so there is nothing to learn")
    return Conversation(messages=dialogue)


def _item(columns: Columns, model: type[I]) -> I:
    """An item of a row. A CSV has texts only: a whole number among them is read where the item
    wants one. `topic` may be a number."""
    values = {name: value for name, value in columns.items() if value is not None and name in model.model_fields}
    for name, field in model.model_fields.items():
        value = values.get(name)
        if field.annotation is int and isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
            values[name] = int(value)
    if "topic" in values:
        values["topic"] = chat.name(values["topic"], "topic") if values["topic"] != "" else ""
    if "kind" in model.model_fields and "kind" not in values:
        raise RowError(
            "nothing says whether this is harmful or harmless: give a column 'kind', or name the file as {file: FILE,"
            " kind: harmful}"
        )
    return model.model_validate_json(json.dumps(values, default=str))
