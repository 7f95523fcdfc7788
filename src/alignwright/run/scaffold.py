"""How does somebody start? With a small project that runs as it is and says in comments what to change."""

from __future__ import annotations

import shutil
from pathlib import Path

TEMPLATE = Path(__file__).parent / "template"


def scaffold(folder: Path) -> str:
    """Copy the template project into a new folder; returns what to do next. Raises FileExistsError when something is there."""
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; name a new folder")
    shutil.copytree(TEMPLATE, folder, dirs_exist_ok=True)
    return f"made {folder}\n  1. edit {folder}/constitution.md, {folder}/pairs.jsonl and {folder}/heldout/\n  2. alignwright check {folder}/spec.yaml\n  3. alignwright align {folder}/spec.yaml"
