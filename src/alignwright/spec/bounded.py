"""How much is read of a file that somebody else may have written?

What is written by hand (a spec, a constitution, rules, questions) is small, so a large one is a mistake or an attack, and is refused before
it is in memory. Data are read row by row and may be long, but no row may be longer than any document that a model could learn from. A few
lines of YAML whose aliases hold aliases can stand for gigabytes ("billion laughs"), so what they would come to is counted beforehand.
Every refusal names the file, the line and the limit.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from alignwright.spec.errors import SpecError

TEXT_BYTES = 1_000_000
"""The longest file that is written by hand; the longest published constitution has about 300,000 bytes."""
YAML_VALUES = 100_000
"""The most values that a YAML file may hold when its aliases are written out."""
ROW_BYTES = 4 * 2**20
"""The longest row of a data file; the whole of War and Peace has 3.3 million bytes."""
DATA_BYTES = 2**30
"""The longest data file of a kind that is not read line by line, unpacked."""


def text(path: Path) -> str:
    """A file that is written by hand. OSError and UnicodeDecodeError are left to the caller."""
    with path.open("rb") as file:
        data = file.read(TEXT_BYTES + 1)
    if len(data) > TEXT_BYTES:
        line = data[:TEXT_BYTES].count(b"\n") + 1
        raise SpecError([f"{path}:{line}: the file goes on beyond {TEXT_BYTES:,} bytes, the most that is read of a file of this kind; shorten it"])
    return io.StringIO(data.decode("utf-8"), newline=None).read()


def yaml_values(root: Any, file: str) -> None:
    """Raise SpecError where a composed YAML document would come to too many values. Aliases share their nodes, so each is counted once."""
    sizes: dict[int, int] = {}

    def size(node: Any) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        sizes[id(node)] = 1  # an alias that contains itself is told of elsewhere
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        total = 1 + (0 if isinstance(node, yaml.ScalarNode) else sum(map(size, parts)))
        if total > YAML_VALUES:
            line = node.start_mark.line + 1
            raise SpecError([f"{file}:{line}: with its aliases written out this holds more than {YAML_VALUES:,} values, the most that is read"])
        sizes[id(node)] = total
        return total

    if root is not None:
        size(root)


def yaml_data(source: str, file: str) -> Any:
    """Plain YAML data. SpecError for too many values; errors of YAML itself (yaml.YAMLError, ValueError, RecursionError) are left to the caller."""
    loader: Any = yaml.SafeLoader(source)
    try:
        node: Any = loader.get_single_node()
        yaml_values(node, file)
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def data(path: Path) -> bytes:
    """A whole data file, unpacked where it is gzipped."""
    try:
        with _opened(path) as file:
            found = file.read(DATA_BYTES + 1)
    except FileNotFoundError:
        raise SpecError([f"{path}: there is no such file"]) from None
    except (OSError, EOFError, zlib.error) as error:
        raise SpecError([f"{path}: cannot be read: {error}"]) from None
    if len(found) > DATA_BYTES:
        line = found.count(b"\n", 0, DATA_BYTES) + 1
        what = f"the file goes on beyond {DATA_BYTES:,} bytes, the most that is read at once"
        raise SpecError([f"{path}:{line}: {what}; write it as .jsonl or .parquet, which are read row by row"])
    return found


def lines(path: Path) -> Iterator[tuple[bytes, int]]:
    """The lines of a data file with the length of each in bytes; of one that is too long only the beginning is kept."""
    try:
        with _opened(path) as file:
            while line := file.readline(ROW_BYTES + 1):
                length, end = len(line), line
                while not end.endswith(b"\n") and (end := file.readline(ROW_BYTES)):
                    length += len(end)
                yield line, length - end.endswith(b"\n")
    except FileNotFoundError:
        raise SpecError([f"{path}: there is no such file"]) from None
    except (OSError, EOFError, zlib.error) as error:
        raise SpecError([f"{path}: cannot be read: {error}"]) from None


def too_long(length: int) -> str:
    """Why a row of this many bytes is not read; empty for one that is."""
    return f"the row goes on beyond {ROW_BYTES:,} bytes, the most that is read of one; cut it into several" if length > ROW_BYTES else ""


def _opened(path: Path) -> Any:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
