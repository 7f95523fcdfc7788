"""How is a member of a zip file read that is packed with Zstandard?

That is method 93 of the zip format. Python reads it since 3.14; before, its packed bytes are taken
from the file and unpacked by the package `zstandard` (the extra `inspect`). What is unpacked is
bounded, as of every packed file.
"""

from __future__ import annotations

import importlib
import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

from alignwright.files.errors import SpecError
from alignwright.files.safe_read import DATA_BYTES

ZSTD = 93
_LOCAL = struct.Struct("<4s5H3I2H")  # a member's own header: its name and extra field follow, then the packed bytes


def member(file: zipfile.ZipFile, name: str, path: Path) -> bytes:
    """A member's content. SpecError where it is longer than is read, damaged, or cannot be unpacked here."""
    info = file.getinfo(name)
    if info.file_size > DATA_BYTES:
        raise SpecError([f"{path}: {name} goes on beyond {DATA_BYTES:,} bytes, the most that is read at once"])
    try:
        if info.compress_type != ZSTD or hasattr(zipfile, "ZIP_ZSTANDARD"):
            with file.open(info) as stream:
                content = stream.read(DATA_BYTES + 1)
        else:
            content = _unpacked(_packed(path, info), info.file_size)
    except (zipfile.BadZipFile, EOFError, struct.error, NotImplementedError) as error:
        raise SpecError([f"{path}: {name} cannot be read: {error}"]) from None
    if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
        raise SpecError([f"{path}: {name} is damaged: its length or checksum is not the one that was noted"])
    return content


def _packed(path: Path, info: zipfile.ZipInfo) -> bytes:
    with path.open("rb") as raw:
        raw.seek(info.header_offset)
        header = _LOCAL.unpack(raw.read(_LOCAL.size))
        raw.seek(header[-2] + header[-1], io.SEEK_CUR)
        return raw.read(info.compress_size)


def _unpacked(packed: bytes, size: int) -> bytes:
    try:
        zstandard: Any = importlib.import_module("zstandard")
    except ImportError:
        raise SpecError(
            ["logs of Inspect are packed with Zstandard; install it with: pip install 'alignwright[inspect]'"]
        ) from None
    try:
        reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed), read_across_frames=True)
        return reader.read(size + 1)
    except zstandard.ZstdError as error:
        raise zipfile.BadZipFile(str(error)) from None
