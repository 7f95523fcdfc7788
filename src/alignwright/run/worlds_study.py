"""What do learners make of the small worlds whose reward can be gamed? The command that writes their
page."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path


def study(out: Path, seeds: int, only: Sequence[str]) -> None:
    """Study the worlds that are named, each name or several with commas, or all; write the page.

    Raises ImportError where what the worlds are made of is not installed.
    """
    if missing := [name for name in ("gymnasium", "chess") if importlib.util.find_spec(name) is None]:
        raise ImportError(
            f"the worlds need {' and '.join(missing)}, not installed here: pip install 'alignwright[worlds]'"
        )
    from alignwright.run.console import screen
    from alignwright.worlds import page

    names = [name.strip() for option in only for name in option.split(",") if name.strip()]
    console = screen()
    results = page.study_worlds(
        tuple(dict.fromkeys(names)) or page.NAMES,
        seeds,
        progress=lambda name: console.print(f"{name} ...", style="dim"),
    )
    out.write_text(page.page(results, page.controls()), encoding="utf-8")
    console.print(page.table(results))
    for table in page.share_tables(results):
        console.print(table)
    console.print(f"pictures, detectors and transcripts: {out}", markup=False)
