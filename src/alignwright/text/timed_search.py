"""Regular-expression search within a time limit: does a pattern that somebody gave occur in a text
that a model wrote?

Matching can take time exponential in the text, and no look at the pattern tells which do (a repeat
inside a repeat is neither necessary nor enough). So the time is bounded, not the pattern: a timer
of the process's own computing time interrupts the search, which Python's engine allows between its
steps. In a thread other than the main one, where no signal arrives, and where there is no such
timer, a child process is asked and ended when its time is over.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from types import FrameType

SECONDS = 1.0
"""The most computing time of one search; an honest pattern takes thousandths of it."""
START_UP = 10.0
"""Seconds that a child process may take besides, to start on a busy machine."""


class _TimeIsUp(Exception):
    pass


def occurs(pattern: str, text: str, seconds: float = SECONDS) -> bool | None:
    """Whether the pattern is found in the text; None where that could not be told within
    `seconds`. Raises re.error for no pattern."""
    compiled = re.compile(pattern)
    if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
        return _interrupted(compiled, text, seconds)
    return _in_a_child(pattern, text, seconds)


def _interrupted(compiled: re.Pattern[str], text: str, seconds: float) -> bool | None:
    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
        raise _TimeIsUp

    before = signal.signal(signal.SIGVTALRM, end)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        try:
            return compiled.search(text) is not None
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
    except _TimeIsUp:
        return None
    finally:
        signal.signal(signal.SIGVTALRM, before)


def _in_a_child(pattern: str, text: str, seconds: float) -> bool | None:
    program = "import json, re, sys; p, t = json.load(sys.stdin); sys.exit(0 if re.search(p, t) else 3)"
    try:
        process = subprocess.run(  # noqa: S603 - our own interpreter and program; pattern and text go in as data
            [sys.executable, "-I", "-c", program],
            input=json.dumps([pattern, text]),
            text=True,
            timeout=seconds + START_UP,
            check=False,
            capture_output=True,
        )
    except subprocess.TimeoutExpired:
        return None
    return {0: True, 3: False}.get(process.returncode)
