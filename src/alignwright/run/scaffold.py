"""How does somebody start? With a small project that runs as it is and says in comments what to
change."""

from __future__ import annotations

import shutil
from pathlib import Path

TEMPLATE = Path(__file__).parent / "template"


def scaffold(folder: Path) -> str:
    """Copy the template project into a new folder; returns what to do next. Raises
    FileExistsError when something is there."""
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; name a new folder")
    shutil.copytree(TEMPLATE, folder, dirs_exist_ok=True)
    spec = folder / "spec.yaml"
    steps = (
        f"edit {folder}/constitution.md, pairs.jsonl and heldout/",
        f"alignwright check {spec}",
        f"alignwright align {spec}",
    )
    return "\n".join((f"made {folder}", *(f"  {number}. {step}" for number, step in enumerate(steps, start=1))))
