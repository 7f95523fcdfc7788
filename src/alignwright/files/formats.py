"""Which published format is a row in, and what is it in our own columns?

A format is told from the names of a row's columns, never from a file's name, and is one entry of
the table in `published`: what it can be read as, the columns that tell it, and one pure function
from a row to rows in our own columns. A row in no published format is left as it is. Rows that have
nothing to give (a tie; a question without its answer) say nothing that is wrong: they are left out
and counted.

A column that nothing reads is a note. It is an error only where it is a slip of the pen for a
column that the same row lacks (one letter too many, too few, wrong or exchanged; `topik`), since
its author meant the other one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from alignwright.files.chat import RowError
from alignwright.files.data_file import DataFile
from alignwright.files.errors import SpecError
from alignwright.files.rows import Raw

Columns = dict[str, Any]
Kind = Literal[
    "prompts",
    "pairs",
    "votes",
    "conversations",
    "replies",
    "choice",
    "problems",
    "refusal",
    "trait",
    "text",
    "pushback",
    "opinion",
    "meant",
    "faithful",
    "decision",
    "pressure",
    "bbq",
    "crows",
    "winobias",
    "high_stakes",
    "short_answer",
    "inspected",
    "passage",
    "self_description",
    "agent_scenario",
    "labelled_text",
    "contrast_pair",
    "training_reply",
]
_PROMPT = (
    "prompt",
    "messages",
    "conversations",
    "instruction",
    "input",
    "system",
    "topic",
    "principle",
    "checks",
    "instruction_id_list",
    "kwargs",
)
COLUMNS_READ: dict[Kind, tuple[str, ...]] = {
    "prompts": _PROMPT,
    "pairs": (*_PROMPT, "chosen", "rejected", "completion", "label"),
    "votes": (*_PROMPT, "a", "b", "replies", "choice", "rater", "group"),
    "conversations": (*_PROMPT, "completion", "output", "label"),
    "replies": (
        *_PROMPT,
        *("reply", "response", "completion", "output"),
        *("request", "refused", "fulfilled", "deferred", "handed_over", "needless", "tool_success", "tool_verdicts"),
        *("sycophantic", "hacked", "deceptive", "leaked", "secret"),
    ),
}
"""The columns of our own that each kind of reader understands; those of items are their fields."""
COLUMNS_NAMED: dict[Kind, tuple[str, ...]] = {
    "prompts": ("topic", "principle", "checks", "system"),
    "pairs": ("topic", "principle", "checks", "system"),
    "votes": ("topic", "principle", "system", "rater", "group"),
    "conversations": ("system",),
    "replies": ("topic", "system", "request", "refused", "fulfilled"),
}
"""Those of them that a row may lack without a word, so that a slip of the pen would lose them in
silence."""
MEDIA = ("images", "image", "videos", "audios")


class LeftOut(Exception):
    """This row has nothing to give. Its text says what such rows are, in the plural."""


TIE = "ties"


@dataclass(frozen=True)
class Format:
    """A published format. `columns` tell it; `rows` puts a row into our own columns, and is None
    where these are its own columns."""

    name: str
    kinds: tuple[Kind, ...]
    columns: tuple[str, ...]
    rows: Callable[[Columns], Columns | Sequence[Columns]] | None
    source: str
    checked_against: Literal["file", "page", "no"]
    note: str = ""


@dataclass(frozen=True)
class _Reading:
    """What is done with rows of these column names."""

    format: Format | None
    unknown: tuple[str, ...]
    media: tuple[str, ...]


class ShapedRows:
    """The rows of a file in our own columns. What there is to say of them is known when all were
    taken: `notes`."""

    def __init__(
        self,
        raws: Iterable[Raw],
        kind: Kind,
        formats: Sequence[Format],
        file: DataFile,
        fields: Iterable[str] = (),
        keep: Iterable[str] = (),
    ) -> None:
        self._raws, self._kind, self._file = raws, kind, file
        candidates = [entry for entry in formats if kind in entry.kinds and entry.rows is not None]
        self._formats = sorted(
            candidates, key=lambda entry: -len(entry.columns)
        )  # what is told by more columns is the nearer
        fields, self._keep = tuple(fields), frozenset(keep)
        self._columns_read, self._columns_named = (
            frozenset((*COLUMNS_READ.get(kind, fields), *self._keep)),
            COLUMNS_NAMED.get(kind, fields),
        )
        self._readings: dict[tuple[str, ...], _Reading] = {}
        self._formats_used: set[str] = set()
        self._mapped: set[str] = set()
        self._left_out_counts: Counter[str] = Counter()
        self.row_count = 0

    def __iter__(self) -> Iterator[Raw]:
        readings, plain = self._readings, not self._file.columns and self._file.kind is None
        for raw in self._raws:
            if raw.columns is None:
                self.row_count += 1
                yield raw
                continue
            keys = tuple(raw.columns)
            reading = readings.get(keys) if plain else None
            if reading is not None and reading.format is None and not reading.media:
                self.row_count += 1
                yield raw  # our own columns, as most files have them
                continue
            yield from self._row(raw)
        if self._left_out_counts and not self.row_count:
            raise SpecError([f"{self._file.file}: no row is left: {', '.join(self._left_out())}"])
        self._all_mapped()

    def notes(self) -> tuple[str, ...]:
        """What the file was read as, what was left out, and the columns that nothing reads."""
        unknown = dict.fromkeys(name for reading in self._readings.values() for name in reading.unknown)
        lines = [f"read as {', '.join(sorted(self._formats_used))}"] if self._formats_used else []
        return (*lines, *self._left_out(), *([f"columns not read: {', '.join(unknown)}"] if unknown else []))

    def _left_out(self) -> list[str]:
        return [f"{count} {what} left out" for what, count in self._left_out_counts.items()]

    def _row(self, raw: Raw) -> Iterator[Raw]:
        try:
            # 1. The spec's own mapping of columns comes first: what a user says of a file outranks what it looks like.
            columns = self._renamed(raw.columns or {})
            # 2. The format is told from the column names alone, once for all rows that have the same.
            keys = tuple(columns)
            reading = self._readings.get(keys)
            if reading is None:
                reading = self._readings[keys] = self._reading(columns)
            # 3. A row with an image or a sound is refused rather than read without it.
            for name in reading.media:
                if columns[name] not in (None, "", []):
                    raise RowError(f"the row has {name!r}, and only text is read")
            # 4. One published row may be several of ours (three replies are three pairs), or none (a tie: `LeftOut`).
            ours = columns
            if reading.format is not None:
                ours = _in_our_columns(columns, reading.format)
                self._formats_used.add(reading.format.name)
            records = [ours] if isinstance(ours, dict) else list(ours)
            # 5. Columns that a rule asks for go with each, unless the format uses their names.
            for one in records:
                self.row_count += 1
                beside = {name: columns[name] for name in self._keep if name in columns and name not in one}
                yield Raw(raw.number, self._of_one_kind({**one, **beside} if beside else one), "", raw.text)
        except LeftOut as what:
            self._left_out_counts[str(what)] += 1
        except RowError as error:
            self.row_count += 1
            yield Raw(raw.number, None, str(error), raw.text)

    def _reading(self, columns: Columns) -> _Reading:
        names = columns.keys()
        entry = next((entry for entry in self._formats if names >= {*entry.columns}), None)
        media = tuple(name for name in MEDIA if name in names)
        if entry is not None:
            return _Reading(entry, (), media)
        unknown = tuple(name for name in names if name not in self._columns_read)
        for name in unknown:
            lacking = next((other for other in self._columns_named if other not in names and near(name, other)), None)
            if lacking is not None and self._file.columns.get(name) != name:
                advice = (
                    f"no column {name!r} is known; did you mean {lacking!r}? If it is right as it is, name the file"
                    " with"
                )
                raise SpecError([f"{self._file.file}: {advice} columns: {{{name}: {name}}}"])
        return _Reading(None, unknown, media)

    def _renamed(self, columns: Columns) -> Columns:
        mapping = self._file.columns
        if not mapping:
            return columns
        self._mapped.update(name for name in mapping if name in columns)
        renamed = {
            mapping.get(name, name): value
            for name, value in columns.items()
            if name in mapping or name not in mapping.values()
        }
        duplicates = [
            ours
            for theirs, ours in mapping.items()
            if theirs in columns and ours in columns and mapping.get(ours, ours) == ours and ours != theirs
        ]
        if duplicates:
            raise RowError(
                f"'columns' names another column {duplicates[0]!r}, which the row has already; map that one too"
            )
        return renamed

    def _of_one_kind(self, columns: Columns) -> Columns:
        kind = self._file.kind
        if kind is None:
            return columns
        if columns.get("kind") not in (None, kind):
            raise RowError(
                f"the row's kind is {columns['kind']!r}, but the spec says that the file holds {kind} requests alone"
            )
        return {**columns, "kind": kind}

    def _all_mapped(self) -> None:
        unmapped = [name for name in self._file.columns if name not in self._mapped]
        if unmapped and self._readings:
            names = dict.fromkeys(name for keys in self._readings for name in keys)
            raise SpecError(
                [f"{self._file.file}: 'columns' names {unmapped[0]!r}, which no row has; there are {', '.join(names)}"]
            )


def _in_our_columns(columns: Columns, entry: Format) -> Columns | Sequence[Columns]:
    assert entry.rows is not None, "a format whose columns are ours is not looked for"
    try:
        return entry.rows(columns)
    except KeyError as error:
        raise RowError(f"no column {error.args[0]!r} (read as {entry.name})") from None
    except RowError as error:
        raise RowError(f"{error} (read as {entry.name})") from None


def near(name: str, other: str) -> bool:
    """Whether one is a slip of the pen for the other: one letter more, less, wrong, or two
    beside each other exchanged."""
    if name == other or abs(len(name) - len(other)) > 1 or min(len(name), len(other)) < 4:
        return False
    place = next((i for i, (x, y) in enumerate(zip(name, other, strict=False)) if x != y), min(len(name), len(other)))
    rest, others = name[place:], other[place:]
    exchanged = rest[:2] == others[1::-1] and len(rest) > 1 and rest[2:] == others[2:]
    return exchanged or rest[1:] == others[1:] or rest[1:] == others or rest == others[1:]
