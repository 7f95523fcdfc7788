"""With which exit code does the program end, and what does it say?

What goes wrong is one line for its user; `ALIGNWRIGHT_TRACEBACK=1` prints the traceback as well.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import NoReturn

import typer

from alignwright.files.collector import nothing_at_exit
from alignwright.run.ascii_signs import survive_unwritable_signs

INTERRUPTED = 130  # what typer makes of a KeyboardInterrupt
PIPE = 141  # what a shell makes of a program whose reader has gone


def run_to_its_end(app: Callable[[], object]) -> None:
    """Run the command line; whatever goes wrong is one message with its exit code, not a traceback."""
    sys.unraisablehook = _raise_again
    survive_unwritable_signs()
    nothing_at_exit()
    try:
        app()
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            print("\nstopped; run the same command again to go on", file=sys.stderr)
        if stop.code == 1 and isinstance(stop.__context__, OSError):
            raise SystemExit(PIPE) from None  # typer's 1 for a reader that went away: no promise is broken by that
        if stop.code == 1 and isinstance(stop.__context__, typer.Abort):
            _end(stop.__context__.__cause__ or stop.__context__)
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the panic of a library in Rust is no Exception
        _end(error)


def _end(error: BaseException) -> NoReturn:
    from alignwright.run.crash import ending

    words, code = ending(error)
    if os.environ.get("ALIGNWRIGHT_TRACEBACK"):
        traceback.print_exception(error)
    print(words, file=sys.stderr)
    raise SystemExit(code) from None


def _raise_again(unraisable: sys.UnraisableHookArgs) -> None:
    """Python throws away an interrupt that falls into a destructor (a collection between two
    models runs thousands): send it again, later."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        threading.Timer(
            0.02, _thread.interrupt_main
        ).start()  # at once, it would fall into this function and be lost again
    else:
        sys.__unraisablehook__(unraisable)
