"""Which rows does a data set of the Hugging Face Hub hold?

Data sets of the Hub are read by the library `datasets`, which is not installed with the package: the
extra `hf`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, cast

from alignwright.files.data_file import HUB
from alignwright.files.errors import SpecError

INSTALL = "pip install 'alignwright[hf]'"
HUB_SECONDS = "10"


def hub_rows(name: str) -> Iterator[Any]:
    """Rows of a Hub data set. Asks the Hub whether it exists first, with a short time limit, so
    that a wrong name cannot hang."""
    owner_name, _, split = name.removeprefix(HUB).partition(":")
    for limit in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
        os.environ.setdefault(limit, HUB_SECONDS)  # read when huggingface_hub is imported
    if owner_name.count("/") != 1:
        raise SpecError([f"{name}: write {HUB}owner/name or {HUB}owner/name:split"])
    try:
        import datasets  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise SpecError([f"{name}: data sets of the Hub are read by datasets, not installed here: {INSTALL}"]) from None
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        if not constants.HF_HUB_OFFLINE:
            HfApi().dataset_info(owner_name, timeout=float(HUB_SECONDS))
        loaded: Any = cast("Any", datasets).load_dataset(owner_name, split=split or "train")
    except RepositoryNotFoundError:
        raise SpecError(
            [f"{name}: the Hub has no data set {owner_name!r}, or it is private and HF_TOKEN is not set"]
        ) from None
    except Exception as error:
        # the Hub's client and `datasets` raise trees of errors of their own, which change between versions
        raise SpecError(
            [f"{name}: cannot be loaded: {_first_line(error)}; without a network, download it and name the file"]
        ) from error
    return iter(loaded)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
