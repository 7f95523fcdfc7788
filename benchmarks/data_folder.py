"""Where are the real data that benchmarks read? In the folder that ALIGNWRIGHT_DATA names, and
nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "ALIGNWRIGHT_DATA"


class Missing(Exception):
    """Data that a benchmark reads is not there."""


def data(*parts: str) -> Path:
    """A file or folder of the real data. Raises Missing where it is absent, or where nobody said
    where data are."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        raise Missing(f"{VARIABLE} is not set; set it to the folder that holds {parts[0]}")
    path = Path(folder).joinpath(*parts)
    if not path.exists():
        raise Missing(f"{path} is not there; set {VARIABLE} to the folder that holds {parts[0]}")
    return path
