"""How much is read of an untrusted file? Limits on size, rows, YAML aliases and decompression bombs.

What is written by hand (a spec, a constitution, rules, questions) is small, so a large one is a
mistake or an attack, and is refused before it is in memory. Data are read row by row and may be
long, but no row may be longer than any document that a model could learn from. A few lines of YAML
whose aliases hold aliases can stand for gigabytes ("billion laughs"), so what they would come to is
counted beforehand. A packed file can stand for gigabytes too: a record takes a hundred times the
bytes of a tiny row, and a hundred thousand bytes pack millions of equal rows. Rows that say
something take a byte or more each when packed, so a packed file with many more rows than bytes is
refused. Every refusal names the file, the line and the limit.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, cast

import yaml

from alignwright.files.errors import SpecError

TEXT_BYTES = 1_000_000
"""The longest file that is written by hand; the longest published constitution has about 300,000
bytes."""
YAML_VALUES = 100_000
"""The most values that a YAML file may hold when its aliases are written out."""
ROW_BYTES = 4 * 2**20
"""The longest row of a data file; the whole of War and Peace has 3.3 million bytes."""
DATA_BYTES = 2**30
"""The longest data file of a kind that is not read line by line, unpacked."""
ROWS = 5_000_000
"""The most rows of one data file: as records they take several gigabytes."""
ROW_VALUES = 100_000
"""The most values (texts, numbers, lists, mappings) in one row."""
PACKED_ROWS, PACKED_VALUES = 100_000, 1_000_000
"""So many rows and values any packed file may hold, and beyond them a row for each of its bytes,
and four values."""
PACKED_BYTES, PACKED_RATIO = 32 * 2**20, 100
"""So many bytes any packed file that is read whole may hold, and beyond them a hundred for each
of its own; text packs to a third or a tenth."""


def is_file(path: Path) -> bool:
    """Whether there is such a file. A name that no file system holds (too long) names none."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether there is such a folder."""
    try:
        return path.is_dir()
    except OSError:
        return False


def text(path: Path) -> str:
    """A file that is written by hand. OSError and UnicodeDecodeError are left to the caller."""
    with path.open("rb") as file:
        data = file.read(TEXT_BYTES + 1)
    if len(data) > TEXT_BYTES:
        line = data[:TEXT_BYTES].count(b"\n") + 1
        raise SpecError(
            [
                f"{path}:{line}: the file goes on beyond {TEXT_BYTES:,} bytes, the most that is read of a file of this"
                " kind; shorten it"
            ]
        )
    return io.StringIO(data.decode("utf-8"), newline=None).read()


def yaml_values(root: Any, file: str) -> None:
    """Raise SpecError where a composed YAML document would come to too many values. Aliases
    share their nodes, so each is counted once."""
    sizes: dict[int, int] = {}

    def size(node: Any) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        sizes[id(node)] = 1  # an alias that contains itself is told of elsewhere
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        total = 1 + (0 if isinstance(node, yaml.ScalarNode) else sum(map(size, parts)))
        if total > YAML_VALUES:
            line = node.start_mark.line + 1
            raise SpecError(
                [
                    f"{file}:{line}: with its aliases written out this holds more than {YAML_VALUES:,} values, the most"
                    " that is read"
                ]
            )
        sizes[id(node)] = total
        return total

    if root is not None:
        size(root)


def yaml_file(path: Path) -> Any:
    """Plain YAML data of a file that is written by hand. Whatever is wrong is a SpecError with
    file and line."""
    try:
        return yaml_data(text(path), str(path))
    except FileNotFoundError:
        raise SpecError([f"{path}: there is no such file"]) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SpecError([f"{path}:{line}: not UTF-8 text: {error.reason}; save it as UTF-8"]) from None
    except OSError as error:
        raise SpecError([f"{path}: cannot be read: {error}"]) from None


def yaml_data(source: str, file: str) -> Any:
    """Plain YAML data, in which no mapping names anything twice. Whatever is wrong is a
    SpecError with file and line."""
    try:
        loader: Any = yaml.SafeLoader(source)  # a character that no YAML holds is told of here
        try:
            node: Any = loader.get_single_node()
            yaml_values(node, file)
            _named_once(node, file)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise SpecError([f"{file}:{line}: not valid YAML: {error.problem or error.context}"]) from None
    except yaml.reader.ReaderError as error:
        line = source.count("\n", 0, error.position) + 1
        raise SpecError([f"{file}:{line}: not valid YAML: {error.reason}"]) from None
    except RecursionError:
        raise SpecError([f"{file}:1: values lie within values too deep to be read"]) from None
    except (yaml.YAMLError, ValueError) as error:  # a date that cannot be is a ValueError
        raise SpecError([f"{file}: not valid YAML: {' '.join(str(error).split())}"]) from None


def _named_once(root: Any, file: str) -> None:
    visited, open_nodes = set[int](), [root]
    while open_nodes:
        node = open_nodes.pop()
        if node is None or isinstance(node, yaml.ScalarNode) or id(node) in visited:
            continue
        visited.add(id(node))
        if not isinstance(node, yaml.MappingNode):
            open_nodes.extend(node.value)
            continue
        first: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            open_nodes.append(value)
            if not isinstance(key, yaml.ScalarNode):
                continue
            name, line = (str(key.tag), str(key.value)), key.start_mark.line + 1
            if name in first:
                raise SpecError([f"{file}:{line}: {key.value!r} is given twice; the first is on line {first[name]}"])
            first[name] = line


def data(path: Path) -> bytes:
    """A whole data file, unpacked where it is gzipped."""
    try:
        size = path.stat().st_size
        most = min(DATA_BYTES, max(PACKED_BYTES, PACKED_RATIO * size)) if path.suffix == ".gz" else DATA_BYTES
        with _open(path) as file:
            content = file.read(most + 1)
    except FileNotFoundError:
        raise SpecError([f"{path}: there is no such file"]) from None
    except (OSError, EOFError, zlib.error) as error:
        raise SpecError([f"{path}: cannot be read: {error}"]) from None
    if len(content) > most:
        line = content.count(b"\n", 0, most) + 1
        if most < DATA_BYTES:
            what = (
                f"{size:,} packed bytes hold more than {most:,}, the most that is read of them: the same over and over"
            )
            raise SpecError([f"{path}:{line}: {what}; unpack the file if it is meant so"])
        what = f"the file goes on beyond {DATA_BYTES:,} bytes, the most that is read at once"
        raise SpecError([f"{path}:{line}: {what}; write it as .jsonl or .parquet, which are read row by row"])
    return content


def lines(path: Path) -> Iterator[tuple[bytes, int]]:
    """The lines of a data file with the length of each in bytes; of one that is too long only
    the beginning is kept."""
    try:
        with _open(path) as file:
            while line := file.readline(ROW_BYTES + 1):
                length, end = len(line), line
                while not end.endswith(b"\n") and (end := file.readline(ROW_BYTES)):
                    length += len(end)
                yield line, length - end.endswith(b"\n")
    except FileNotFoundError:
        raise SpecError([f"{path}: there is no such file"]) from None
    except (OSError, EOFError, zlib.error) as error:
        raise SpecError([f"{path}: cannot be read: {error}"]) from None


def count(rows: int, values: int, path: Path, place: str) -> None:
    """Raise SpecError where these are more rows, or more values in them, than are read of this file."""
    if rows > ROWS:
        raise SpecError(
            [f"{place}: the file goes on beyond {ROWS:,} rows, the most that is read of one; cut it into several"]
        )
    if rows <= PACKED_ROWS and values <= PACKED_VALUES:
        return
    size = path.stat().st_size
    if rows > PACKED_ROWS + size or values > PACKED_VALUES + 4 * size:
        what = (
            f"{size:,} packed bytes hold more than {PACKED_ROWS + size:,} rows or {PACKED_VALUES + 4 * size:,} values"
        )
        raise SpecError(
            [
                f"{place}: {what}, the most that is read of them: the same over and over; unpack the file if it is"
                " meant so"
            ]
        )


def too_many(values: Any) -> str:
    """Why a row with all these values is not read; empty for one that is."""
    number, open_values = 0, [values]
    while open_values:
        value = open_values.pop()
        number += 1
        if isinstance(value, dict | list):
            container = cast("dict[str, Any] | list[Any]", value)
            open_values.extend(container.values() if isinstance(container, dict) else container)
    return f"the row holds more than {ROW_VALUES:,} values, the most that is read of one" if number > ROW_VALUES else ""


def by_lines(path: Path) -> bool:
    """Whether a file is called .json and holds one object a line: its first line is a whole
    object, and another object follows."""
    if not is_file(path):
        return False
    first_lines = [line.strip() for line, _ in islice(lines(path), 2)]
    if len(first_lines) < 2 or not all(line.startswith(b"{") and line.endswith(b"}") for line in first_lines):
        return False
    try:
        return all(isinstance(json.loads(line), dict) for line in first_lines)
    except (ValueError, RecursionError):
        return False


def too_long(length: int) -> str:
    """Why a row of this many bytes is not read; empty for one that is."""
    return (
        f"the row goes on beyond {ROW_BYTES:,} bytes, the most that is read of one; cut it into several"
        if length > ROW_BYTES
        else ""
    )


def _open(path: Path) -> Any:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
