"""Where are the real data that tests read? In the folder that ALIGNWRIGHT_DATA names, and
nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "ALIGNWRIGHT_DATA"


def real(name: str) -> Path:
    """A file or folder of the real data; the test is skipped where it is absent. Tests that call
    this are marked `data`."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"no real data: {VARIABLE} is not set")
    path = Path(folder) / name
    if not path.exists():
        pytest.skip(f"no real data: {path}")
    return path
