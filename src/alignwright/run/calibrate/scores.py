"""What is kept of each model of a calibration: was its fault planted, and what did each detector say?

A file for each model, under `scores/`. What stands there is believed as long as its key is the one that would
be computed now: the model's spec, rows and code, and of each stage its knobs, files and code. So a calibration
that was killed goes on where it was, and a detector that was changed looks again, at its own cost alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from alignwright.core.records import Record
from alignwright.job.ledger import write_text
from alignwright.run.calibrate.organisms import CalibrationModel


class StageScores(Record):
    """What the detectors of one stage said. A value of None: it has none, and `reason` may say why."""

    key: str
    values: dict[str, float | None]
    seconds: float
    items: int
    reason: str = ""


class Planted(Record):
    """Whether a model shows the fault, by the promise of its spec, which no detector asks about: `kept` it does,
    `broken` it does not; None where its spec checks nothing."""

    answer: Literal["kept", "broken", "untested"] | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0


class ScoresByStage(Record):
    """What each stage said of a model, such as that from which all training began."""

    stages: dict[str, StageScores] = Field(default_factory=dict)

    def values(self) -> Mapping[str, float | None]:
        """Every detector's number."""
        return {name: value for stage in self.stages.values() for name, value in stage.values.items()}


class ModelScores(ScoresByStage):
    """All of one model."""

    kind: Literal["fault", "twin", "decoy", "drift"]
    fault: str
    half: Literal["a", "b"]
    dose: float
    seed: int
    key: str
    planted: Planted = Planted()


def read_start(file: Path) -> ScoresByStage:
    """What is known of the start model; nothing where there is no such file, or it cannot be read."""
    try:
        return ScoresByStage.model_validate_json(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError, UnicodeDecodeError):
        return ScoresByStage()


def read_scores(folder: Path, model: CalibrationModel, key: str) -> ModelScores:
    """What is known of a model under this key; nothing yet where it was another's, or cannot be read."""
    empty = ModelScores(kind=model.kind, fault=model.fault, half=model.half, dose=model.dose, seed=model.seed, key=key)
    try:
        scores = ModelScores.model_validate_json((folder / f"{model.name}.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError, UnicodeDecodeError):
        return empty
    return scores if scores.key == key else empty


def write_scores(folder: Path, model: CalibrationModel, scores: ModelScores) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"{model.name}.json", scores.model_dump_json(indent=1) + "\n")
