"""Which message and which exit code does a command end with when it cannot go on, and where is the
traceback?

An error that a user can mend is raised with words meant for them: one message and exit code 2.
Everything else is a fault of the program or a limit of the machine (memory, disk): one line, exit
code 4, and the traceback in a file, in the run's folder where there is one. Codes 0, 1 and 3 are a
run's verdict and never anything else. What others wrote is in these messages too (columns, files,
servers, templates): whatever would act on a terminal is written out.
"""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alignwright.files.errors import SpecError
from alignwright.files.server import without_secrets
from alignwright.report.text import visible

INPUT, CRASH = 2, 4
MENDABLE = (ValueError, RuntimeError, OSError, LookupError, ImportError)
"""What is raised with words for the user."""
BARE = (KeyError, IndexError, RecursionError, NotImplementedError)
"""Kinds of these that Python raises by itself, whose words help nobody."""
MEMORY = ("can't allocate memory", "out of memory")
LONGEST = 2000  # characters of another's message on the one line

_work: list[Path] = []


@contextmanager
def within(folder: Path) -> Iterator[None]:
    """While this is at work, a traceback goes into the folder."""
    _work.append(folder)
    yield
    _work.pop()  # an error leaves it there, for whoever writes the traceback


def ending(error: BaseException) -> tuple[str, int]:
    """What to print of an error, and the exit code."""
    from alignwright.run.disk_space import DiskFull, is_full

    if isinstance(error, SpecError):  # each of its lines begins with a place
        return "\n".join(_line(problem) for problem in error.problems), INPUT
    if isinstance(error, DiskFull):
        return f"alignwright: {visible(str(error))}", CRASH
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in MEMORY):
        reason = f"not enough memory ({_words(error)}); --dry-run says how much a run needs"
    elif is_full(error):
        reason = f"no room is left on the disk ({_words(error)})"
    elif isinstance(error, MENDABLE) and not isinstance(error, BARE):
        return f"alignwright: {visible(without_secrets(str(error)))}\n(ALIGNWRIGHT_TRACEBACK=1 shows where)", INPUT
    else:
        reason = f"stopped by an error that it was not made for: {_words(error)}"
    return f"alignwright: {reason}; {_store_traceback(error)}", CRASH


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {_line(str(error))[:LONGEST]}"


def _line(text: str) -> str:
    return visible(without_secrets(text)).replace("\n", "⟨U+000A⟩")


def _store_traceback(error: BaseException) -> str:
    """Write the traceback to a file, and say where; where no file can be written, the traceback
    itself."""
    text = visible("".join(traceback.format_exception(error)))
    for folder in (*reversed(_work), Path(tempfile.gettempdir())):
        try:
            handle, name = tempfile.mkstemp(
                prefix="traceback-" if folder in _work else "alignwright-", suffix=".txt", dir=folder
            )
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError:
            continue
        return f"the traceback is in {visible(name)}"
    return f"the traceback could be written nowhere:\n{text}"
