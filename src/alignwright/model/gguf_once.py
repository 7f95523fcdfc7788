"""How is a GGUF file opened by transformers without being parsed again and again?

transformers parses the whole header, with every token and merge of the tokenizer, once for the
configuration, once for the weights' names and once for the weights, and makes the table of names
anew for each module of the model: most of the time that opening a small file takes. While
`parsed_once` lasts the `gguf` package gives what it made before, and transformers the values that it
read of the header before; the numbers are the same. The package reads each of some 150,000 words through
two arrays of numpy: here a list of words is read as bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any, cast

import gguf
import numpy as np
from transformers import modeling_gguf_pytorch_utils as header_reader

_LENGTH = struct.Struct("=Q")


@contextmanager
def parsed_once(path: Path) -> Generator[gguf.GGUFReader]:
    """One reader for this file, and one table of names for each architecture, for all that ask the
    package meanwhile."""
    package, parser, of_file = cast("Any", gguf), cast("Any", header_reader), path.resolve()
    reader_class, name_map, value_of = (
        gguf.GGUFReader,
        gguf.get_tensor_name_map,
        parser._gguf_parse_value,
    )
    reader, values = _ArrayReader(path), dict[int, Any]()

    def reader_of(other: Any, mode: Any = "r") -> gguf.GGUFReader:
        same = mode == "r" and isinstance(other, str | Path) and Path(other).resolve() == of_file
        return reader if same else reader_class(other, mode)

    def read_value(part: Any, types: Any) -> Any:
        if isinstance(part, _Word):
            return part.decode()
        if id(part) not in values:  # the reader keeps its parts, so no other object comes to have the id
            values[id(part)] = value_of(part, types)
        return values[id(part)]

    parser._gguf_parse_value = read_value
    package.GGUFReader, package.get_tensor_name_map = reader_of, cache(name_map)
    try:
        yield reader
    finally:
        package.GGUFReader, package.get_tensor_name_map = reader_class, name_map
        parser._gguf_parse_value = value_of


class _Word(bytes):
    """Bytes that the package's own reading of a field takes for an array of them."""

    def tobytes(self) -> bytes:
        return bytes(self)


class _ArrayReader(gguf.GGUFReader):
    def _get(self, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> Any:
        end = offset + np.dtype(dtype).itemsize * int(count)
        part = self._array[offset:end].view(dtype)[: int(count)]
        return part.view(part.dtype.newbyteorder(self.byte_order if override_order is None else override_order))

    def _get_field_parts(self, orig_offs: int, raw_type: int) -> tuple[int, list[Any], list[int], list[Any]]:
        """Of a list of words each is its bytes; all else as the package has it."""
        array, word, head = gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.STRING, orig_offs + 12
        if raw_type != array or self.byte_order != "I" or self._get(orig_offs, np.uint32)[0] != word:
            return super()._get_field_parts(orig_offs, raw_type)
        count, at, end = self._get(orig_offs + 4, np.uint64), head, len(self._bytes)
        words = list[_Word]()
        for _ in range(int(count[0])):
            if at + 8 > end or (after := at + 8 + _LENGTH.unpack_from(self._bytes, at)[0]) > end:
                raise ValueError(f"the file ends within word {len(words) + 1} of {int(count[0])} of a list")
            words.append(_Word(self._bytes[at + 8 : after]))
            at = after
        parts = [self._get(orig_offs, np.uint32), count, *words]
        return at - orig_offs, parts, list(range(2, len(parts))), [array, word] if words else [array]

    @cached_property
    def _bytes(self) -> memoryview:
        return memoryview(self._array)

    @cached_property
    def _array(self) -> Any:
        return np.asarray(self.data)
