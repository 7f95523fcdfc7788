"""Which rows does a Parquet file hold?

Parquet is read by pyarrow, which is not installed with the package: the extra `parquet`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from alignwright.files import safe_read
from alignwright.files.errors import SpecError

INSTALL = "pip install 'alignwright[parquet]'"
BATCH = 4096  # rows that are made at once; the default of 65,536 is seconds before the first is looked at


def parquet_rows(path: Path) -> Iterator[Any]:
    """The rows of a file, in batches. Raises SpecError where it is no such file, or more than is
    read of one."""
    # read directly, since `datasets` would first copy the file into its cache
    try:
        from pyarrow import parquet  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise SpecError([f"{path}: Parquet is read by pyarrow, not installed here: {INSTALL}"]) from None

    try:
        file: Any = cast("Any", parquet).ParquetFile(path)
        names: list[str] = file.schema_arrow.names
        if twice := [column for column, times in Counter(names).items() if times > 1]:
            raise SpecError([f"{path}: the column {twice[0]!r} is there twice; name each column once"])
        groups = [file.metadata.row_group(place) for place in range(file.metadata.num_row_groups)]
        values = sum(group.column(place).num_values for group in groups for place in range(group.num_columns))
        safe_read.count(file.metadata.num_rows, values, path, str(path))
        for batch in file.iter_batches(batch_size=BATCH):
            yield from batch.to_pylist()
    except FileNotFoundError:
        raise SpecError([f"{path}: there is no such file"]) from None
    except (OSError, ValueError) as error:
        raise SpecError([f"{path}: not a Parquet file: {' '.join(str(error).split())}"]) from None
