"""How many threads? As many as there are cores this process may use, settled before torch is first
imported.

The number is part of the evidence: it can change the last bits of sums, so it is set once, printed
and kept in the provenance. How threads wait for each other changes speed only; that is settled in
`alignwright.model`.
"""

from __future__ import annotations

import os


def settle_threads() -> int:
    """Set OMP_NUM_THREADS where the user has not, and return it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(os.environ.setdefault("OMP_NUM_THREADS", str(cores)))
