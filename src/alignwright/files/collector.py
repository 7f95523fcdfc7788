"""Why is the garbage collector (of cycles) paused while rows are read and modules imported, and what
does it not look at while models come and go?

Python's collector walks over everything that lives each time enough was made. Rows are records
without cycles, which it can never free, and a file of 100,000 rows makes a million objects: half of
the time of reading went into looking for what is not there. What is no longer needed is freed at
once all the same, by its count of references.

Let loose again, the collector would begin with all that was made meanwhile, half a second for a
million objects. They are put with the old ones instead, which are looked at when these have grown
by a quarter.

The modules of torch and transformers are four hundred thousand objects that stay to the end: the
collector went through them six times while they were imported, and 0.2 seconds more each time a
model was to leave memory. They are set aside (`set_aside`) before the first model is loaded, so that
a collection sees only what was made since. And at the end of the program, when everything goes, Python
looks through all of it once more, and again, for more than a second: `nothing_at_exit`.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Generator
from contextlib import contextmanager

_aside: list[bool] = []
"""Whether what lives is set aside: to count what is frozen, Python walks over all of it."""


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
        if not _aside and not gc.get_freeze_count():  # what the caller has frozen stays so
            gc.freeze()
            gc.unfreeze()
        gc.enable()


@contextmanager
def set_aside() -> Generator[None]:
    """What lives now is not looked through until the end; what is garbage by then goes first."""
    if _aside or gc.get_freeze_count():
        yield
        return
    gc.collect()
    gc.freeze()
    _aside.append(True)
    try:
        yield
    finally:
        _aside.pop()
        gc.unfreeze()


def nothing_at_exit() -> None:
    """No search for cycles as the process ends: what it held goes with it. Files are closed and
    temporary folders removed by those who opened them, and what is registered with `atexit` runs."""
    atexit.register(gc.freeze)
