"""Why is the garbage collector (of cycles) paused while rows are read?

Python's collector walks over everything that lives each time enough was made. Rows are records
without cycles, which it can never free, and a file of 100,000 rows makes a million objects: half of
the time of reading went into looking for what is not there. What is no longer needed is freed at
once all the same, by its count of references.

Let loose again, the collector would begin with all that was made meanwhile, half a second for a
million objects. They are put with the old ones instead, which are looked at when these have grown
by a quarter.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def paused() -> Generator[None]:
    """No collection until the end; one that was off already stays off."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # what the caller has frozen stays so
            gc.freeze()
            gc.unfreeze()
        gc.enable()
