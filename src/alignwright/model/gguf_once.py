"""How is a GGUF file opened by transformers without being parsed again and again?

transformers parses the whole header, with every token and merge of the tokenizer, once for the
configuration, once for the weights' names and once for the weights, and makes the table of names
anew for each module of the model: most of the time that opening a small file takes. While
`parsed_once` lasts the `gguf` package gives what it made before; the numbers are the same.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast

import gguf


@contextmanager
def parsed_once(path: Path) -> Generator[gguf.GGUFReader]:
    """One reader for this file, and one table of names for each architecture, for all that ask the
    package meanwhile."""
    package, of_file = cast("Any", gguf), path.resolve()
    reader_class, name_map = gguf.GGUFReader, gguf.get_tensor_name_map
    reader = reader_class(path)

    def reader_of(other: Any, mode: Any = "r") -> gguf.GGUFReader:
        same = mode == "r" and isinstance(other, str | Path) and Path(other).resolve() == of_file
        return reader if same else reader_class(other, mode)

    package.GGUFReader, package.get_tensor_name_map = reader_of, cache(name_map)
    try:
        yield reader
    finally:
        package.GGUFReader, package.get_tensor_name_map = reader_class, name_map
