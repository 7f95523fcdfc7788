"""How are transformers' progress bars kept out of a run's own lines?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from transformers.utils import logging


@contextlib.contextmanager
def without_progress_bars() -> Iterator[None]:
    """Without them while this lasts; as they were afterwards."""
    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()
