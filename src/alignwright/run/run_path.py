"""In which folder under `runs` does a run lie?

In one that its spec names by its content, so that the same spec goes on where it was broken off. Specs of one name
and the same words may read other data: each lies in another folder, which the run's provenance notes. Where
the folder belongs to another spec that is still there, the run has one of its own.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

from alignwright.core.records import content_id
from alignwright.experiment.experiment import Experiment
from alignwright.job.ledger import json_of


def run_path(runs: Path, experiment: Experiment) -> Path:
    """The folder of a resolved experiment's run, whether it is there or not."""
    first = runs / f"{experiment.name}-{experiment.id[:6]}"
    place = str(experiment.folder.resolve())
    own = runs / f"{experiment.name}-{content_id('run', [experiment.id, place])[:6]}"
    return own if own.is_dir() or _is_of_another(first, place) else first


def spec_place(experiment: Experiment, run: Path) -> dict[str, str]:
    """What a run's provenance notes of where its spec lies, from its own folder."""
    return {"spec_folder": os.path.relpath(experiment.folder.resolve(), run.resolve())}


def _is_of_another(run: Path, place: str) -> bool:
    """Whether the spec that a run was made of lies in another folder than this one, still in the same
    words. What the note says from the run's own folder leads elsewhere once the run was copied."""
    facts = json_of(run / "spec" / "provenance.json")
    noted = cast("dict[str, Any]", facts).get("spec_folder") if isinstance(facts, dict) else None
    folder = (run / str(noted)).resolve()
    if noted is None or str(folder) == place or not folder.is_dir():
        return False
    words = _lines(run / "spec" / "spec.yaml")
    return any(_lines(path) == words for path in sorted(folder.glob("*.y*ml")))


def _lines(path: Path) -> list[str] | None:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
