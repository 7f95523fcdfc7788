"""How wide is the console that results are printed to?

A terminal has its own width. A pipe or a file has none, and rich would take it for eighty columns
and fold every table into them, so that no other program could read it line by line: there nothing
is folded, unless COLUMNS asks for a width. FORCE_COLOR gives a pipe colours and makes no terminal of it.
"""

from __future__ import annotations

import os

from rich.console import Console

UNFOLDED = 10_000
"""Columns of what has no width; no line of ours is as long."""


def screen() -> Console:
    """The console to print results to."""
    console = Console()
    return (
        console
        if console.file.isatty() or console.is_jupyter or os.environ.get("COLUMNS", "").isdigit()
        else Console(width=UNFOLDED)
    )
