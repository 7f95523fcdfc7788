"""How many threads, and how patient?

OpenMP reads its settings once, when torch is first imported, so this runs before. Threads that spin at barriers make a shared machine
several times slower when another process takes a core; threads that sleep cost some speed on an idle one. The choice changes
speed only: the thread count, which can change the last bits of sums, is always the number of cores this process may use.
"""

from __future__ import annotations

import os


def settle_threads() -> tuple[int, str]:
    """Set OpenMP's environment where the user has not, and return (threads, a line that says what was chosen)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = int(os.environ.setdefault("OMP_NUM_THREADS", str(cores)))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if "OMP_WAIT_POLICY" not in os.environ and load > 0.5:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    busy = f"; the machine is busy (load {load:.1f}), so waiting threads sleep" if os.environ.get("OMP_WAIT_POLICY") == "PASSIVE" else ""
    return threads, f"{threads} thread{'s' if threads != 1 else ''}{busy}"
