"""What rows does a data file hold?

CSV, JSON (a list of objects), JSON Lines, Parquet, plain text (a row for each paragraph), any of them gzipped but Parquet, and
`hf://owner/name[:split]` from the Hugging Face Hub. A row that cannot be read is kept, with its number and the reason, and the
reading goes on; so is one that is too long (`spec.bounded`), of which the beginning is kept. A file that cannot be read at all is an
error. Row numbers are line numbers where the format has lines.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from alignwright.core.records import Record
from alignwright.spec import bounded
from alignwright.spec.errors import SpecError
from alignwright.spec.experiment import HUB
from alignwright.spec.wording import seen

KINDS = (".jsonl", ".json", ".csv", ".txt", ".md", ".parquet")
HUB_SECONDS = "10"
BATCH = 4096  # rows of a Parquet file made at once; the default of 65,536 is seconds before the first is looked at
SHOWN = 200  # characters that are kept of a row that is too long
_MARK = b"\xef\xbb\xbf"  # with which some programs begin a file in UTF-8
_HALF = re.compile("[\ud800-\udfff]")


class BadRow(Record):
    """A row that was set aside, and why."""

    file: str
    row: int
    reason: str
    text: str


@dataclass(frozen=True)
class Raw:
    """One row as it stands: its number, its columns or the reason why there are none, and its text."""

    number: int
    columns: dict[str, Any] | None
    reason: str
    text: str


def raw_rows(source: str | Path) -> Iterator[Raw]:
    """The rows of a file or of a Hub data set, good and bad, in order."""
    for raw in _rows(source):
        reason = bounded.too_long(len(raw.text.encode("utf-8", "replace")))
        yield Raw(raw.number, None, reason, raw.text[:SHOWN]) if reason else raw


def _rows(source: str | Path) -> Iterator[Raw]:
    name = str(source)
    if name.startswith(HUB):
        return _from_objects(_hub(name))
    path = Path(source)
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if kind not in KINDS:
        raise SpecError([f"{name}: cannot tell the kind of file from {path.suffix!r}; known: {', '.join(KINDS)}, also with .gz, and {HUB}owner/name"])
    if kind == ".parquet":
        return _from_objects(_parquet(path))
    if kind == ".jsonl":
        return _json_lines(path)
    data = bounded.data(path).removeprefix(_MARK)
    match kind:
        case ".json":
            return _from_objects(_json(data, name))
        case ".csv":
            return _csv(data, name)
        case _:
            return _paragraphs(data, name)


def _json_lines(path: Path) -> Iterator[Raw]:
    for number, (whole, length) in enumerate(bounded.lines(path), 1):
        line = (whole.removeprefix(_MARK) if number == 1 else whole).rstrip(b"\n")
        if not line.strip():
            continue
        if reason := bounded.too_long(length):
            yield Raw(number, None, reason, line[:SHOWN].decode("utf-8", "replace"))
            continue
        text = line.decode("utf-8", "replace").rstrip("\r")
        try:
            yield _raw(number, _load(line.decode("utf-8")), text)
        except UnicodeDecodeError as error:
            yield Raw(number, None, f"not UTF-8 text: {error.reason} at byte {error.start}", text)
        except json.JSONDecodeError as error:
            hint = "; a list over several lines is a .json file" if number == 1 and text.strip() == "[" else ""
            yield Raw(number, None, f"not valid JSON: {error.msg}, at character {error.colno}{hint}", text)
        except (ValueError, RecursionError) as error:
            yield Raw(number, None, f"not valid JSON: {error}", text)


def _load(text: str) -> Any:
    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is not a number")

    return json.loads(text, parse_constant=refuse)


def _raw(number: int, value: Any, text: str) -> Raw:
    spelled = json.dumps(value, ensure_ascii=False, default=str) if "\\u" in text else text
    if _HALF.search(spelled):
        return Raw(number, None, "holds half of a surrogate pair, which is no text that could be written", text)
    if isinstance(value, dict):
        return Raw(number, cast("dict[str, Any]", value), "", text)
    return Raw(number, None, f"a row is an object with named columns, saw {seen(value)}", text)


def _from_objects(values: Iterator[Any]) -> Iterator[Raw]:
    for number, value in enumerate(values, 1):
        yield _raw(number, value, json.dumps(value, ensure_ascii=False, default=str))


def _json(data: bytes, name: str) -> Iterator[Any]:
    try:
        value = _load(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise SpecError([f"{name}: not valid JSON: {error}; for one object a line, call it .jsonl"]) from None
    if not isinstance(value, list):
        raise SpecError([f"{name}: a JSON data file is a list of objects, saw {seen(value)}; for one object a line, call it .jsonl"])
    return iter(cast("list[Any]", value))


def _csv(data: bytes, name: str) -> Iterator[Raw]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SpecError([f"{name}:{line}: not UTF-8 text: {error.reason}"]) from None
    csv.field_size_limit(max(bounded.ROW_BYTES, csv.field_size_limit()))  # Python's own limit is a tenth of a long document
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, list[str]())
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                yield Raw(reader.line_num, None, f"{len(cells)} cells, but the header has {len(header)}", ",".join(cells))
            else:
                yield Raw(reader.line_num, {key: _cell(cell) for key, cell in zip(header, cells, strict=True)}, "", ",".join(cells))
    except csv.Error as error:
        raise SpecError([f"{name}:{reader.line_num}: not valid CSV: {error}"]) from None


def _cell(cell: str) -> Any:
    """A cell is text, unless it is a JSON list or object (messages, choices); an empty cell is absent."""
    if cell[:1] in ("[", "{"):
        try:
            return _load(cell)
        except (ValueError, RecursionError):
            return cell
    return cell or None


def _paragraphs(data: bytes, name: str) -> Iterator[Raw]:
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise SpecError([f"{name}: not UTF-8 text: {error.reason} at byte {error.start}"]) from None
    begun, run = 0, list[str]()
    for number, line in enumerate([*lines, ""], 1):
        if line.strip():
            begun = begun if run else number
            run.append(line)
        elif run:
            text = "\n".join(run)
            yield Raw(begun, {"text": text}, "", text)
            run = []


def _parquet(path: Path) -> Iterator[Any]:
    # pyarrow comes with `datasets`; read directly, since `datasets` would first copy the file into its cache
    from pyarrow import parquet  # pyright: ignore[reportMissingTypeStubs]

    try:
        file: Any = cast("Any", parquet).ParquetFile(path)
        for batch in file.iter_batches(batch_size=BATCH):
            yield from batch.to_pylist()
    except FileNotFoundError:
        raise SpecError([f"{path}: there is no such file"]) from None
    except (OSError, ValueError) as error:
        raise SpecError([f"{path}: not a Parquet file: {' '.join(str(error).split())}"]) from None


def _hub(name: str) -> Iterator[Any]:
    """Rows of a Hub data set. Asks the Hub whether it exists first, with a short time limit, so that a wrong name cannot hang."""
    owner_name, _, split = name.removeprefix(HUB).partition(":")
    for limit in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
        os.environ.setdefault(limit, HUB_SECONDS)  # read when huggingface_hub is imported
    if owner_name.count("/") != 1:
        raise SpecError([f"{name}: write {HUB}owner/name or {HUB}owner/name:split"])
    import datasets  # pyright: ignore[reportMissingTypeStubs]
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        if not constants.HF_HUB_OFFLINE:
            HfApi().dataset_info(owner_name, timeout=float(HUB_SECONDS))
        loaded: Any = cast("Any", datasets).load_dataset(owner_name, split=split or "train")
    except RepositoryNotFoundError:
        raise SpecError([f"{name}: the Hub has no data set {owner_name!r}, or it is private and HF_TOKEN is not set"]) from None
    except Exception as error:
        # the Hub's client and `datasets` raise trees of errors of their own, which change between versions
        raise SpecError([f"{name}: cannot be loaded: {_first_line(error)}; without a network, download it and name the file"]) from error
    return iter(loaded)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
