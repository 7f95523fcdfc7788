"""Which multiple-choice questions does a public file hold?

Our own columns are MMLU's on the Hub: question, choices, answer (counted from 0), with subject or
topic. The other published formats are told by their columns (`published`), but for what is no table
with a header, which is read here:

- PIQA's original files, whose labels stand in `valid-labels.lst` beside `valid.jsonl`, line by line
- tables without a header: the question, two to six choices, and the letter of the right one (ARC
  and MMLU, as they are also passed on); or two scenarios, the better one first (ETHICS)
- a `.zip` of such tables (MMLU's): all `*_test.csv` in it, or every `.csv` where none is so called;
  each file is a topic

The letter only says which choice is right; it is never shown to a model. A row in none of these
forms is a bad row like any other.
"""

from __future__ import annotations

import csv
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from alignwright.files import safe_read
from alignwright.files.data_file import data_file
from alignwright.files.errors import SpecError
from alignwright.files.items import ChoiceItem
from alignwright.files.reading import Columns, FileRows
from alignwright.files.rows import Raw, raw_rows, within_limits
from alignwright.files.sources import read_items

LETTERS = "ABCDEF"
SENTENCE = 4
"""So many words make a sentence, and no column's name."""
UNPACKED = 64 * 2**20  # bytes; MMLU has 7 million


def read_choices(source: str | Path, *, bad_rows: float = 0.0) -> FileRows[ChoiceItem]:
    """Multiple-choice items of a file or Hub data set, in any published format."""
    return read_items(source, ChoiceItem, bad_rows=bad_rows, rows=_rows(data_file(str(source)).file))


def label_file(name: str) -> str | None:
    """Where the labels of a file of PIQA's kind would stand: part of what is read, if it is there."""
    path = data_file(name).file
    return f"{path.removesuffix('.jsonl')}-labels.lst" if path.endswith(".jsonl") and "://" not in path else None


def _rows(source: str) -> Iterator[Raw]:
    path = Path(source)
    if path.suffix == ".zip":
        yield from within_limits(path, _zipped(path))
    elif (
        path.suffix == ".csv"
        and safe_read.is_file(path)
        and _headless(first := _table(safe_read.data(path), str(path)))
    ):
        yield from within_limits(path, _sentences(first) if len(first[0]) == 2 else _lettered(first, ""))
    else:
        labels = _labels(label_file(source))
        for raw in raw_rows(source):
            yield (
                _with_label(raw, labels)
                if raw.columns is not None and "sol1" in raw.columns and "label" not in raw.columns
                else raw
            )


def _labels(name: str | None) -> list[str] | None:
    path = Path(name) if name else None
    if path is None or not safe_read.is_file(path):
        return None
    try:
        return safe_read.data(path).decode("utf-8").split()
    except UnicodeDecodeError as error:
        raise SpecError([f"{path}: not text in UTF-8: {error}"]) from None


def _with_label(raw: Raw, labels: list[str] | None) -> Raw:
    """A row of PIQA with the label that stands in the file beside it."""
    if labels is None:
        return Raw(raw.number, None, "no 'label', and no file of labels beside it (FILE-labels.lst)", raw.text)
    if raw.number > len(labels):
        reason = f"the file of labels beside it has {len(labels)} labels, and none for this row"
        return Raw(raw.number, None, reason, raw.text)
    return Raw(raw.number, {**(raw.columns or {}), "label": labels[raw.number - 1]}, "", raw.text)


def _zipped(path: Path) -> Iterator[Raw]:
    try:
        with zipfile.ZipFile(path) as archive:
            tables = [
                info
                for info in archive.infolist()
                if info.filename.endswith(".csv") and not info.filename.startswith("__MACOSX")
            ]
            tables = [info for info in tables if info.filename.endswith("_test.csv")] or tables
            if sum(info.file_size for info in tables) > UNPACKED:
                raise SpecError(
                    [
                        f"{path}: would unpack to more than {UNPACKED >> 20} MiB; unpack it and name the files that are"
                        " wanted"
                    ]
                )
            number, lines = 0, 0
            for info in tables:
                lines += archive.read(info).count(b"\n")
                safe_read.count(lines, 0, path, f"{path}:{info.filename}")
                rows = _table(archive.read(info), f"{path}:{info.filename}")
                for raw in _lettered(rows, Path(info.filename).stem.removesuffix("_test"), number):
                    number = raw.number
                    yield raw
    except FileNotFoundError:
        raise SpecError([f"{path}: there is no such file"]) from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        RuntimeError,
        OSError,
        NotImplementedError,
    ) as error:
        raise SpecError([f"{path}: cannot be read as a zip file: {error}"]) from None


def _table(data: bytes, name: str) -> list[list[str]]:
    try:
        return [cells for cells in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True) if cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise SpecError([f"{name}: not valid CSV in UTF-8: {error}"]) from None


def _headless(rows: list[list[str]]) -> bool:
    """A table without a header: its first row ends with a letter that counts one of the cells
    between, or is two whole sentences."""
    if rows and len(rows[0]) == 2:
        return all(len(cell.split()) >= SENTENCE for cell in rows[0])
    return bool(rows) and len(rows[0]) >= 4 and rows[0][-1].strip() in tuple(LETTERS[: len(rows[0]) - 2])


def _sentences(rows: list[list[str]]) -> Iterator[Raw]:
    """ETHICS's utilitarianism: two scenarios a row, the better one first."""
    for number, cells in enumerate(rows, 1):
        if len(cells) == 2:
            yield Raw(number, {"better": cells[0], "worse": cells[1]}, "", ",".join(cells))
        else:
            yield Raw(number, None, f"two scenarios were expected, saw {len(cells)} cells", ",".join(cells))


def _lettered(rows: list[list[str]], topic: str, before: int = 0) -> Iterator[Raw]:
    for number, cells in enumerate(rows, before + 1):
        letter, text = cells[-1].strip(), ",".join(cells)
        if len(cells) < 4 or len(letter) != 1 or letter not in LETTERS[: len(cells) - 2]:
            reason = (
                f"a question, its choices and the letter of one of them were expected, saw {len(cells)} cells, the last"
                f" {letter!r}"
            )
            yield Raw(number, None, reason, text)
        else:
            columns: Columns = {"question": cells[0], "choices": cells[1:-1], "answer": LETTERS.index(letter)}
            yield Raw(number, columns | ({"topic": topic} if topic else {}), "", text)
