"""Which rows does a data file hold (CSV, JSON, JSON Lines, Parquet, plain text, the Hub)?

CSV, JSON (a list of objects), JSON Lines, Parquet, plain text (a row for each paragraph), any of
them gzipped but Parquet, and `hf://owner/name[:split]` from the Hugging Face Hub. A row that cannot
be read is kept, with its number and the reason, and the reading goes on; so is one that is too long
(`files.safe_read`), of which the beginning is kept, and one that names something twice. A file that
cannot be read at all is an error. Row numbers are line numbers where the format has lines; a line
ends with "\\n" or "\\r\\n" alone.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

from alignwright.core.records import Record
from alignwright.files import safe_read
from alignwright.files.data_file import HUB
from alignwright.files.errors import SpecError
from alignwright.files.hub_rows import hub_rows
from alignwright.files.json_values import JsonDecoder
from alignwright.files.parquet_rows import parquet_rows
from alignwright.files.unwrapped import rows_of
from alignwright.files.wording import describe_value

KINDS = (".jsonl", ".json", ".csv", ".txt", ".md", ".parquet")
_BEHIND_THE_KIND = (".gz", ".dev", ".test")
"""Endings behind the one that tells the kind: packed, or a part of a data set (`pro.txt.dev`)."""
KEPT_CHARACTERS = 200  # characters that are kept of a row that is too long
_MARK = b"\xef\xbb\xbf"  # with which some programs begin a file in UTF-8
_HALF = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"[ \t\r\n]*")


class BadRow(Record):
    """A row that was set aside, and why."""

    file: str
    row: int
    reason: str
    text: str


class Raw(NamedTuple):
    """One row as it stands: its number, its columns or the reason why there are none, and its text."""

    number: int
    columns: dict[str, Any] | None
    reason: str
    text: str


def raw_rows(source: str | Path) -> Iterator[Raw]:
    """The rows of a file or of a Hub data set, good and bad, in order."""
    for raw in within_limits(source, _rows(source)):
        reason, text = "", raw.text
        if 4 * len(text) > safe_read.ROW_BYTES:  # a character has at most four bytes
            reason = safe_read.too_long(len(text.encode("utf-8", "replace")))
        if not reason and text.count(",") >= safe_read.ROW_VALUES and raw.columns is not None:
            reason = safe_read.too_many(raw.columns)
        yield Raw(raw.number, None, reason, text[:KEPT_CHARACTERS]) if reason else raw


def within_limits(source: str | Path, raws: Iterator[Raw]) -> Iterator[Raw]:
    """The same rows, as long as they are not more than is read of such a file."""
    path = Path(source)
    if str(source).startswith(HUB) or path.suffix not in (".gz", ".zip"):
        for rows, raw in enumerate(raws, 1):
            if rows > safe_read.ROWS:
                safe_read.count(rows, 0, path, f"{source}:{raw.number}")
            yield raw
        return
    values = 0
    for rows, raw in enumerate(raws, 1):
        values += raw.text.count(",") + 1
        if rows > safe_read.PACKED_ROWS or values > safe_read.PACKED_VALUES:
            safe_read.count(rows, values, path, f"{source}:{raw.number}")
        yield raw


def _rows(source: str | Path) -> Iterator[Raw]:
    name = str(source)
    if name.startswith(HUB):
        return _from_objects(hub_rows(name))
    path = Path(source)
    kind = path.with_suffix("").suffix if path.suffix in _BEHIND_THE_KIND else path.suffix
    if kind not in KINDS:
        raise SpecError(
            [
                f"{name}: cannot tell the kind of file from {path.suffix!r}; known: {', '.join(KINDS)}, also with .gz,"
                f" and {HUB}owner/name"
            ]
        )
    if kind == ".parquet":
        return _from_objects(parquet_rows(path))
    if kind == ".jsonl" or (kind == ".json" and safe_read.by_lines(path)):
        return _json_lines(path)
    data = safe_read.data(path).removeprefix(_MARK)
    match kind:
        case ".json":
            return _json(data, name)
        case ".csv":
            return _csv(data, name)
        case _:
            return _paragraphs(data, name)


def _json_lines(path: Path) -> Iterator[Raw]:
    decoder = JsonDecoder()
    for number, (whole, length) in enumerate(safe_read.lines(path), 1):
        line = (whole.removeprefix(_MARK) if number == 1 else whole).rstrip(b"\r\n")
        if not line or line.isspace():
            if number > safe_read.PACKED_ROWS:  # lines of nothing take time, too
                safe_read.count(number, 0, path, f"{path}:{number}")
            continue
        if length > safe_read.ROW_BYTES:
            yield Raw(number, None, safe_read.too_long(length), line[:KEPT_CHARACTERS].decode("utf-8", "replace"))
            continue
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            yield Raw(
                number, None, f"not UTF-8 text: {error.reason} at byte {error.start}", line.decode("utf-8", "replace")
            )
            continue
        try:
            value = decoder.whole(text)
        except json.JSONDecodeError as error:
            hint = "; a list over several lines is a .json file" if number == 1 and text.strip() == "[" else ""
            yield Raw(number, None, f"not valid JSON: {error.msg}, at character {error.colno}{hint}", text)
        except (ValueError, RecursionError) as error:
            yield Raw(number, None, f"not valid JSON: {error}", text)
        else:
            yield _raw(number, value, text, decoder.twice)


_SPELLING = json.JSONEncoder(ensure_ascii=False, default=str)
_HALVED = "holds half of a surrogate pair, which is no text that could be written"


def _halved(text: str, value: Any) -> bool:
    """Whether JSON holds half of a surrogate pair. It can only come in as an escape, for what
    was decoded holds none."""
    return "\\u" in text and _HALF.search(_SPELLING.encode(value)) is not None


def _raw(number: int, value: Any, text: str, twice: str = "") -> Raw:
    if _halved(text, value):
        return Raw(number, None, _HALVED, text)
    if twice:
        return Raw(number, None, f"{twice!r} stands twice in one object of this row; keep one", text)
    if isinstance(value, dict):
        return Raw(number, cast("dict[str, Any]", value), "", text)
    if isinstance(value, str):
        return Raw(number, {"text": value}, "", text)
    return Raw(number, None, f"a row is an object with named columns, saw {describe_value(value)}", text)


def _from_objects(values: Iterator[Any]) -> Iterator[Raw]:
    for number, value in enumerate(values, 1):
        text = _SPELLING.encode(value)
        if _HALF.search(text):
            yield Raw(number, None, _HALVED, text)
        else:
            yield _raw(number, value, text)


def _json(data: bytes, name: str) -> Iterator[Raw]:
    """The objects of a list, each decoded by itself, so that an error has its place and not all
    are held at once."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SpecError([f"{name}:{line}: not UTF-8 text: {error.reason}"]) from None
    place = _after(text, 0)
    if text[place : place + 1] != "[":
        decoder = JsonDecoder()
        try:
            value = decoder.whole(text)
        except (ValueError, RecursionError) as error:
            raise SpecError([f"{name}: not valid JSON: {error}; for one object a line, call it .jsonl"]) from None
        if decoder.twice:
            raise SpecError([f"{name}: {decoder.twice!r} stands twice in one object; keep one"])
        objects = rows_of(value)
        if isinstance(objects, list):
            return _from_objects(iter(cast("list[Any]", objects)))
        raise SpecError(
            [
                f"{name}: a JSON data file is a list of objects, saw {describe_value(value)};"
                " for one object a line, call it .jsonl"
            ]
        )
    return _from_list(text, place + 1, name)


def _from_list(text: str, place: int, name: str) -> Iterator[Raw]:
    decoder, number, place = JsonDecoder(), 1, _after(text, place)
    if text[place : place + 1] == "]":
        number = 0
    while number:
        try:
            value, end = decoder.at(text, place)
        except (ValueError, RecursionError) as error:
            raise SpecError(
                [f"{name}: not valid JSON in row {number}: {error}; for one object a line, call it .jsonl"]
            ) from None
        yield _raw(number, value, text[place:end], decoder.twice)
        place = _after(text, end)
        if text[place : place + 1] == "]":
            break
        if text[place : place + 1] != ",":
            line = text.count("\n", 0, place) + 1
            raise SpecError(
                [f"{name}:{line}: not valid JSON: after row {number} a comma or the end of the list was expected"]
            )
        number, place = number + 1, _after(text, place + 1)
    if _after(text, place + 1) < len(text):
        line = text.count("\n", 0, place) + 1
        raise SpecError(
            [
                f"{name}:{line}: not valid JSON: the list ends here, and the file goes on; for one object a line, call"
                " it .jsonl"
            ]
        )


def _after(text: str, place: int) -> int:
    """The next place that is no white space."""
    match = _SPACE.match(text, place)
    return match.end() if match else place


def _csv(data: bytes, name: str) -> Iterator[Raw]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SpecError([f"{name}:{line}: not UTF-8 text: {error.reason}"]) from None
    csv.field_size_limit(
        max(safe_read.ROW_BYTES, csv.field_size_limit())
    )  # Python's own limit is a tenth of a long document
    decoder, reader = JsonDecoder(), csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, list[str]())
        if twice := [column for column, times in Counter(header).items() if times > 1]:
            raise SpecError([f"{name}:1: the column {twice[0]!r} stands twice in the header; name each column once"])
        if len(header) > safe_read.ROW_VALUES:
            raise SpecError(
                [f"{name}:1: the header names {len(header):,} columns, and at most {safe_read.ROW_VALUES:,} are read"]
            )
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                yield Raw(
                    reader.line_num, None, f"{len(cells)} cells, but the header has {len(header)}", ",".join(cells)
                )
            else:
                yield _of_cells(reader.line_num, header, cells, decoder)
    except csv.Error as error:
        raise SpecError([f"{name}:{reader.line_num}: not valid CSV: {error}"]) from None


def _of_cells(number: int, header: list[str], cells: list[str], decoder: JsonDecoder) -> Raw:
    """A cell is text, unless it is a JSON list or object (messages, choices); an empty cell is
    absent."""
    columns: dict[str, Any] = {}
    for name, cell in zip(header, cells, strict=True):
        value: Any = cell or None
        if cell[:1] in ("[", "{"):
            with suppress(ValueError, RecursionError):  # a text that begins with a bracket
                value = decoder.whole(cell)
                if _halved(cell, value):
                    return Raw(number, None, _HALVED, ",".join(cells))
            if decoder.twice:
                return Raw(
                    number,
                    None,
                    f"{decoder.twice!r} stands twice in one object of the column {name!r}; keep one",
                    ",".join(cells),
                )
        columns[name] = value
    return Raw(number, columns, "", ",".join(cells))


def _paragraphs(data: bytes, name: str) -> Iterator[Raw]:
    try:
        lines = [
            line.removesuffix("\r") for line in data.decode("utf-8").split("\n")
        ]  # a line ends there alone, as in all that is read by lines
    except UnicodeDecodeError as error:
        raise SpecError([f"{name}: not UTF-8 text: {error.reason} at byte {error.start}"]) from None
    first_line, run = 0, list[str]()
    for number, line in enumerate([*lines, ""], 1):
        if line.strip():
            first_line = first_line if run else number
            run.append(line)
        elif run:
            text = "\n".join(run)
            yield Raw(first_line, {"text": text}, "", text)
            run = []
