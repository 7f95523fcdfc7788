"""Which rows does a data set of the Hugging Face Hub hold, and at which commit?

Data sets of the Hub are read by the library `datasets`, which is not installed with the package: the
extra `hf`. The Hub is asked once, with a short time limit, which commit the revision stands for; the
rows are those of that commit, so that a change on the Hub in between is not seen, and the commit is
told (`hub_commit`). Without a network (HF_HUB_OFFLINE=1) what was fetched before is read.

`datasets` guesses the types of columns, and makes a moment in time of a text that looks like a date.
Such a column is told, with the moments written as ISO 8601: what the text was is no longer known. A column
that begins after the first ten megabytes or so is an error of `datasets` (`Dataset.from_list`, with which sets
are made, drops one that begins after its first row: what lies on the Hub then lacks it).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, datetime
from functools import cache
from itertools import islice
from typing import Any, cast

from alignwright.files.errors import SpecError
from alignwright.files.hub_address import HubAddress, hub_address

INSTALL = "pip install 'alignwright[hf]'"
HUB_SECONDS = "10"
_dated: dict[str, dict[str, None]] = {}
"""By the name of a data set, the columns that `datasets` made moments in time, as they are met."""


def hub_rows(name: str) -> Iterator[Any]:
    """Rows of a Hub data set. Raises SpecError where it cannot be read, a wrong name or no network
    within seconds."""
    address = hub_address(name)
    commit = hub_commit(name)
    datasets = _library(name)
    try:
        loaded: Any = datasets.load_dataset(
            address.owner_name,
            name=address.config,
            split=address.split,
            revision=commit or address.revision,
            streaming=address.streaming,
        )
        rows = iter(loaded)
    except Exception as error:
        # `datasets` raises a tree of errors of its own, which changes between versions
        raise SpecError([f"{name}: cannot be loaded: {_words(error, address)}"]) from error
    return _plain(name, islice(rows, address.limit), address)


def _plain(name: str, rows: Iterator[Any], address: HubAddress) -> Iterator[Any]:
    """Moments in time as texts, and what breaks off on the way told with its row."""
    number = 0
    while True:
        try:
            row: Any = next(rows)
        except StopIteration:
            return
        except Exception as error:
            raise SpecError([f"{name}: broke off after row {number}: {_words(error, address)}"]) from error
        number += 1
        for column, value in cast("dict[str, Any]", row).items() if isinstance(row, dict) else ():
            if isinstance(value, datetime | date):
                row[column] = value.isoformat()
                _dated.setdefault(name, {})[column] = None
        yield row


@cache
def hub_commit(name: str) -> str | None:
    """The commit that a name's revision stands for; None where the Hub is not to be asked. Asked once
    in a process."""
    address = hub_address(name)
    _library(name)
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    if constants.HF_HUB_OFFLINE:
        return None
    try:
        return HfApi().dataset_info(address.owner_name, revision=address.revision, timeout=float(HUB_SECONDS)).sha
    except RevisionNotFoundError:
        raise SpecError([f"{name}: {address.owner_name} has no revision {address.revision!r}"]) from None
    except RepositoryNotFoundError:
        raise SpecError(
            [f"{name}: the Hub has no data set {address.owner_name!r}, or it is private and HF_TOKEN is not set"]
        ) from None
    except Exception as error:
        # the Hub's client raises errors of its own and of the library that it asks with
        cure = "with HF_HUB_OFFLINE=1 what was fetched before is read; or download it and name the file"
        raise SpecError(
            [f"{name}: cannot be loaded: the Hub does not answer ({_first_line(error)}); {cure}"]
        ) from error


def hub_notes(name: str) -> tuple[str, ...]:
    """What there is to say of a data set that was read: its commit, and columns that are no longer the
    texts they were."""
    address, commit = hub_address(name), hub_commit(name)
    pinned = "" if address.revision else "; 'revision: COMMIT' reads the same rows on another day"
    notes = [f"commit {commit[:12]}{pinned}" if commit else "as it was fetched before, at a commit that is not known"]
    if columns := _dated.get(name):
        notes.append(
            f"datasets made moments in time of {', '.join(columns)}: where they were other texts, download the file and"
            " name it"
        )
    return tuple(notes)


def _library(name: str) -> Any:
    for limit in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
        os.environ.setdefault(limit, HUB_SECONDS)  # read when huggingface_hub is imported
    try:
        import datasets  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise SpecError([f"{name}: data sets of the Hub are read by datasets, not installed here: {INSTALL}"]) from None
    return cast("Any", datasets)


def _words(error: Exception, address: HubAddress) -> str:
    words = _first_line(error)
    if "column names don't match" in f"{error} {error.__cause__}":
        return (
            "its rows do not all have the columns of the first ones, which datasets takes for the columns of all;"
            " download the file and name it: then each row is read with the columns that it has"
        )
    if "onfig name is missing" in words or ("BuilderConfig" in words and "not found" in words):
        return f"{words} Say which with 'config: NAME'"
    if "nknown split" in words or "Bad split" in words:
        return f"{words} Say which with 'split: NAME'"
    return words if address.revision else f"{words}; without a network, download it and name the file"


def _first_line(error: BaseException) -> str:
    if type(error).__name__ == "DatasetGenerationError" and error.__cause__ is not None:
        error = error.__cause__  # its own words say only that there was an error
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:400] or type(error).__name__
