"""What is there to compute with, and to write to: cores, memory, disk?

Memory is the least of what the machine has and what its control group allows, since a container that
asks for more is killed without a word. Whether a folder can be written is tried, not read from its rights.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from alignwright.core.amount import amount
from alignwright.run.disk_space import free
from alignwright.run.machine.machine_part import MachinePart
from alignwright.run.provenance import processor
from alignwright.run.threads import cores

MEMORY = 5e9
"""Bytes that the quickstart is sure to fit in."""
ROOM = 1e9
"""Bytes that a run of the bundled model writes at most: its merged weights, adapters and records."""
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def computer() -> MachinePart:
    """Processor and cores, as this process may use them."""
    number = os.environ.get("OMP_NUM_THREADS")
    threads = f", OMP_NUM_THREADS={number}" if number else ""
    hands = f"{amount(cores(), 'core')} for this process{threads}"
    return MachinePart(part="processor", state="ok", seen=f"{processor() or 'unknown'}, {hands}")


def memory() -> MachinePart:
    """How much memory a run may take."""
    total = _memory()
    if total is None:
        return MachinePart(part="memory", state="note", seen="not known on this system")
    if total < MEMORY:
        return MachinePart(
            part="memory",
            state="fault",
            seen=f"{total / 1e9:.1f} GB, less than the {MEMORY / 1e9:.0f} GB of the quickstart",
            cure="give the machine or container more, or take a smaller model; --dry-run says what a run needs",
        )
    return MachinePart(part="memory", state="ok", seen=f"{total / 1e9:.1f} GB")


def folder(part: str, place: Path, variable: str) -> MachinePart:
    """Whether a folder can be written to, or made, and has room. `variable` names what moves it."""
    there = next((one for one in (place, *place.absolute().parents) if one.exists()), Path("/"))
    move = f"name another place by {variable}"
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"written")
    except OSError as error:
        seen = f"{place}: cannot be written to ({error.strerror})"
        return MachinePart(part=part, state="fault", seen=seen, cure=f"take back {there}, or {move}")
    room = free(place)
    seen = f"{place}, {room / 1e9:.1f} GB free"
    if room < ROOM:
        return MachinePart(part=part, state="fault", seen=seen, cure=f"make room for {ROOM / 1e9:.0f} GB, or {move}")
    return MachinePart(part=part, state="ok", seen=seen)


def _memory() -> int | None:
    names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if "SC_PHYS_PAGES" in names else None
    limits = [int(text) for path in CGROUP_LIMITS if path.is_file() and (text := path.read_text().strip()).isdigit()]
    return min([machine, *limits]) if machine else min(limits, default=None)
