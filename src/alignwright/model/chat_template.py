"""How is a conversation written by a model's own chat template, which somebody else wrote?

In a process of its own (`chat_template_process`), one for all templates, that lives as long as this
one: a template is a program, and no reading of it tells whether it ends, how much it writes, or how
long one of its expressions takes. The kernel bounds the child's memory and its seconds of the
processor, this side bounds what it may answer and how long it is waited for, and a child that is
over a bound is signals and made anew.

Today is a fixed date: many templates write the date, and a prompt must be the same before and after
training, and tomorrow.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS, WAIT = 5, 120.0
"""Seconds of the processor for one rendering, and of waiting for it."""
MOST = 1_000_000
"""Characters that a template may write, beside four for each of the conversation's own."""
_CHILD = Path(__file__).with_name("chat_template_process.py")


class TemplateRefusal(ValueError):
    """The template raised an error: its author's own refusal, or a fault in it."""


class TemplateOverBound(ValueError):
    """The template is over a bound of time, memory or length."""


@dataclass(frozen=True)
class Template:
    """A chat template, the names of special tokens that it is given, and the day that it takes
    for today."""

    source: str
    special: Mapping[str, str]
    date: str
    seconds: int = SECONDS
    most: int = MOST

    def render(self, messages: Sequence[Mapping[str, str]], **options: Any) -> str:
        """Raises Refused or Beyond."""
        values = {**self.special, "messages": messages, "tools": None, "documents": None, **options}
        most = self.most + 4 * sum(len(message["content"]) for message in messages)
        answer = _child.ask(
            {"source": self.source, "date": self.date, "values": values, "seconds": self.seconds, "most": most},
            8 * most + 10_000,
        )
        if "beyond" in answer:
            raise TemplateOverBound(answer["beyond"])
        if "refused" in answer:
            raise TemplateRefusal(answer["refused"])
        return answer["text"]


@dataclass
class _Child:
    """The process that renders. A fork of this process makes its own."""

    process: subprocess.Popen[bytes] | None = None
    owner: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, request: Mapping[str, Any], most: int) -> dict[str, str]:
        message = json.dumps(request).encode()
        with self.lock:
            process = self._alive()
            assert process.stdin is not None
            try:
                process.stdin.write(len(message).to_bytes(8, "big") + message)
                process.stdin.flush()
                until = time.monotonic() + WAIT
                size = int.from_bytes(self._read(process, 8, until), "big")
                if size > most:
                    raise TemplateOverBound(f"it writes more than {most:,} bytes")
                answer = json.loads(self._read(process, size, until))
            except BaseException as error:
                self.end()
                if not isinstance(error, BrokenPipeError | EOFError):
                    raise
                raise TemplateOverBound(_why(process.returncode, request["seconds"])) from None
        return answer

    def _alive(self) -> subprocess.Popen[bytes]:
        if self.process is not None and self.owner != os.getpid():
            self.process = None  # the parent's: its pipes are not ours
        if self.process is not None and self.process.poll() is not None:
            self.end()
        if self.process is None:
            # -P: the program's own folder, whose modules are named like others, is not searched; a
            # fixed seed: sets are walked in one order
            command, world = [sys.executable, "-P", str(_CHILD)], os.environ | {"PYTHONHASHSEED": "0"}
            pipe, quiet = subprocess.PIPE, subprocess.DEVNULL
            self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=quiet, env=world)  # noqa: S603 - this Python, our program
            self.owner = os.getpid()
        return self.process

    def _read(self, process: subprocess.Popen[bytes], size: int, until: float) -> bytes:
        assert process.stdout is not None
        handle, parts = process.stdout.fileno(), bytearray()
        with _readable(process, handle, until) as wait:
            while len(parts) < size:
                piece = os.read(handle, min(size - len(parts), 2**20)) if wait() else b""
                if not piece and time.monotonic() < until:
                    raise EOFError
                if not piece:
                    raise TemplateOverBound(f"it is not done after {WAIT:.0f} seconds")
                parts += piece
        return bytes(parts)

    def end(self) -> None:
        """End the process, whatever it is doing."""
        process, self.process = self.process, None
        if process is None or self.owner != os.getpid():
            return
        process.kill() if process.poll() is None and not _dying(process) else None
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        process.wait()


@contextlib.contextmanager
def _readable(process: subprocess.Popen[bytes], handle: int, until: float) -> Iterator[Callable[[], bool]]:
    """Waits until there is something to read, and says whether there was before the time was up.
    Windows cannot wait for a pipe: there the process is signals at that time, and its pipe with it."""
    if hasattr(select, "poll"):
        waiting = select.poll()
        waiting.register(handle, select.POLLIN | select.POLLHUP)
        yield lambda: bool(waiting.poll(max(0.0, until - time.monotonic()) * 1000))
        return
    timer = threading.Timer(max(0.0, until - time.monotonic()), process.kill)
    timer.start()
    try:
        yield lambda: True
    finally:
        timer.cancel()


def _dying(process: subprocess.Popen[bytes]) -> bool:
    """Whether it ends by itself within a moment: then its own exit status says why."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.2)
    return process.returncode is not None


def _why(status: int | None, seconds: int) -> str:
    signals = [getattr(signal, name, None) for name in ("SIGXCPU", "SIGKILL")]  # Windows has neither
    if status is not None and -status in signals:
        return f"it is not done after {seconds} seconds of the processor"
    return f"it ends the process that writes it (status {status}), most likely for want of memory"


_child = _Child()
atexit.register(_child.end)
