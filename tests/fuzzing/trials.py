"""Does a door hold? Its cases are tried in a process of their own, which the kernel ends at a case
that takes too long.

The process writes the number of each case before it is tried and how it ended after it, so whoever
reads knows which case a sudden end belongs to; the rest is tried in a new process. Time is the
processor's (a shared machine cannot fail a case), memory the growth of the process's peak.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import unicodedata
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from alignwright.files.errors import SpecError
from alignwright.run.crash import BARE, INPUT, MENDABLE, ending

DOORS = ("spec", "constitution", "rows", "model", "template", "endpoint", "ledger")
SECONDS, MEGABYTES, WAIT = 5, 500, 120
"""Of one case: seconds of the processor, growth of memory, seconds without a word from it."""
FAULTS = ("traceback", "hang", "growth", "lost", "unclear")
SHOWN = 5
ACTING = ("Cc", "Cs", "Zl", "Zp")
"""Kinds of characters that act on a terminal, or that no terminal can be sent."""


class Fault(Exception):
    """A case that ended as none may: what kind of fault, and in words."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(kind, words)
        self.kind, self.words = kind, words


class Door(Protocol):
    """`attempt` makes a case from the generator and tries it; it returns how it ended: accepted,
    or refused in words. Raises Fault."""

    def attempt(self, rng: random.Random) -> str: ...


@dataclass
class Tally:
    """How the cases of one door ended."""

    door: str
    seed: int
    cases: int = 0
    ended: Counter[str] = field(default_factory=Counter[str])
    faults: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    cpu_seconds: float = 0.0
    grown: int = 0
    """The most megabytes by which a process grew."""
    slowest: float = 0.0

    def line(self) -> dict[str, Any]:
        counts = {kind: sum(fault["kind"] == kind for fault in self.faults) for kind in FAULTS}
        told = {
            "cases": self.cases,
            **self.ended,
            **counts,
            "slowest_seconds": round(self.slowest, 2),
            "grown_megabytes": self.grown,
        }
        return (
            told
            | {"cpu_seconds": round(self.cpu_seconds, 1)}
            | ({"faults": self.faults[:SHOWN]} if self.faults else {})
        )


def refusal(error: Exception, *places: str, kind: type[Exception] | tuple[type[Exception], ...] = SpecError) -> str:
    """ "refused", where an error is of the documented kind, with the place, as a line that a
    terminal can be shown. Raises Fault."""
    if not isinstance(error, kind) or not isinstance(error, (*MENDABLE, SpecError)) or isinstance(error, BARE):
        raise error
    words, code = ending(error)
    if code != INPUT:
        raise Fault("traceback", words)
    lines = error.problems if isinstance(error, SpecError) else (str(error),)
    if not lines or not all(line.strip() for line in lines):
        raise Fault("unclear", f"nothing is said: {lines!r}")
    if lost := [line for line in lines if places and not any(place in line for place in places)]:
        raise Fault("unclear", f"no place in: {lost[0][:300]!r}")
    acting(words)
    return "refused"


def acting(words: str) -> None:
    """Raises Fault where a text that is printed would act on a terminal, or cannot be written to
    one."""
    if odd := [
        letter
        for letter in words
        if (letter not in "\n\t" and unicodedata.category(letter) in ACTING) or letter in "\u202e\u2066"
    ]:
        raise Fault("unclear", f"{odd[0]!r} reaches the terminal: {words[:300]!r}")


def run(door: str, cases: int, seed: int = 0) -> Tally:
    """Try so many cases."""
    tally, number = Tally(door, seed), 0
    while number < cases:
        number = _one_process(tally, number, cases)
    return tally


def _one_process(tally: Tally, first: int, cases: int) -> int:
    """Try cases from the first in a new process until it ends; returns the number of the next case."""
    world = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "fuzzing", tally.door, str(tally.seed), str(first), str(cases)]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, bufsize=0, stdout=subprocess.PIPE, stderr=errors, env=world)
        assert process.stdout is not None
        begun, waiting = first - 1, select.poll()
        waiting.register(process.stdout, select.POLLIN | select.POLLHUP)
        while (heard := bool(waiting.poll(WAIT * 1000))) and (line := process.stdout.readline()):
            said = json.loads(line)
            if "begun" in said:
                begun = said["begun"]
                continue
            if "cpu" in said:
                tally.cpu_seconds += said["cpu"]
                continue
            tally.cases += 1
            tally.slowest, tally.grown = max(tally.slowest, said["seconds"]), max(tally.grown, said["grown"])
            if "kind" in said:
                tally.faults.append({"case": begun, "kind": said["kind"], "words": said["words"]})
            else:
                tally.ended[said["ended"]] += 1
            first = begun + 1
        if not heard:
            process.kill()
        process.stdout.close()
        status = process.wait()
        errors.seek(0)
        told = errors.read().decode("utf-8", "replace")[-800:]
    if begun >= first:  # a case was begun and never ended
        over = -status in (signal.SIGPROF, signal.SIGKILL)
        words = (
            f"not done after {SECONDS} seconds of the processor, or {WAIT} of waiting"
            if over
            else f"the process ended with {status}: {told}"
        )
        tally.cases += 1
        tally.faults.append({"case": begun, "kind": "hang" if over else "traceback", "words": words})
        return begun + 1
    if first < cases and status != 0:
        raise RuntimeError(f"the door {tally.door!r} cannot be tried: {told}")
    return first


def tried(door: Door, rng: random.Random) -> dict[str, Any]:
    """How one case ended."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {"ended": door.attempt(rng)}
    except Fault as fault:
        return {"kind": fault.kind, "words": fault.words[:1500]}
    except BaseException as error:  # the panic of a library in Rust is no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        where = traceback.extract_tb(error.__traceback__)[-3:]
        trail = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(where))
        return {"kind": "traceback", "words": f"{type(error).__name__}: {str(error)[:300]!r} at {trail}"}


def seeded(door: str, seed: int, number: int) -> random.Random:
    return random.Random(f"{door} {seed} {number}")


def opened(door: str, folder: Path) -> Door:
    made: Door = importlib.import_module(f"fuzzing.{door}_door").Opened(folder)
    return made


def _peak() -> int:
    """The most megabytes that this program held. `ru_maxrss` would be the peak of whoever
    started it, where that is more."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(name: str, seed: int, first: int, cases: int) -> None:
    """The process: one line of JSON before each case and one after it."""
    sink = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is not ours
    with tempfile.TemporaryDirectory() as place:
        door = opened(name, Path(place))
        tried(door, random.Random(0))  # what is imported on the way is no growth
        begun_with, before = _peak(), 0.0
        for number in range(first, cases):
            print(json.dumps({"begun": number}), file=sink)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)  # the kernel ends the process, also within a library's C
            before = time.process_time()
            told = tried(door, seeded(name, seed, number))
            spent = time.process_time() - before
            signal.setitimer(signal.ITIMER_PROF, 0)
            grown = _peak() - begun_with
            if grown > MEGABYTES and "kind" not in told:
                told = {"kind": "growth", "words": f"{grown} megabytes"}
            print(json.dumps({**told, "seconds": spent, "grown": grown}), file=sink)
            if grown > MEGABYTES:
                break  # a peak never goes down: the next case is measured in a new process
        spent = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        print(json.dumps({"cpu": sum(use.ru_utime + use.ru_stime for use in spent)}), file=sink)
