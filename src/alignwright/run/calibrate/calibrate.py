"""How often is each detector right about a model of this kind? (`alignwright calibrate`)

1. What all models start from is trained once. 2. Each organism and each clean model is trained from there by
an ordinary run, which also checks whether the fault is there. 3. Its weights are laid into a folder with a
neutral name, and every detector looks at that folder and knows nothing else. 4. The weights go, the numbers
stay, and when all models were looked at the table is made of them (`table`). 5. The detectors also look at the
start model, so that the table can say how far harmless training moves each.

The models come in an order that their neutral names give. Everything done is kept: a calibration that was
killed goes on by the same command.
"""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from alignwright.core.promises import Verdict, parse
from alignwright.core.records import content_id
from alignwright.core.wording import number
from alignwright.experiment.cache_key import job_keys
from alignwright.files.errors import SpecError
from alignwright.job.ledger import run_lock, write_text
from alignwright.run.align import Request, align, prepare
from alignwright.run.calibrate import CLEAN_MODELS
from alignwright.run.calibrate.detectors import Detectors, Look, StageDetectors, detectors_of, silent
from alignwright.run.calibrate.neutral import lay_out, neutral_name
from alignwright.run.calibrate.organisms import FOLDER, CalibrationModel, models_of, read_index, write_spec
from alignwright.run.calibrate.scores import (
    ModelScores,
    Planted,
    ScoresByStage,
    StageScores,
    read_scores,
    read_start,
    write_scores,
)
from alignwright.run.calibrate.table import CalibrationTable, make_table
from alignwright.run.progress import View
from alignwright.run.run_folder import Run

DOSES = {"demo": (0.1, 0.5, 1.0), "study": (0.05, 0.1, 0.25, 0.5, 1.0)}
DRAWS = {"demo": 1, "study": 3}
"""Doses of planted rows, and seeds of each fault, dose and half."""


@dataclass(frozen=True)
class Calibration:
    """What is asked for. `faults`: none names all; `doses`: none are the effort's."""

    out: Path = Path("calibration")
    model: str | None = None
    organisms: Path = FOLDER
    detectors: Path | None = None
    functions: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    doses: tuple[float, ...] = ()
    effort: str = "demo"
    clean: int = CLEAN_MODELS
    overrides: tuple[str, ...] = ()

    def models(self) -> list[CalibrationModel]:
        """Every model that is to be trained. Raises ValueError for a fault or a dose that there is not."""
        if self.effort not in DOSES:
            raise ValueError(f"--effort {self.effort}: choose from {', '.join(DOSES)}")
        index = read_index(self.organisms)
        doses = self.doses or DOSES[self.effort]
        return models_of(index, self.faults or tuple(index.faults), doses, draws=DRAWS[self.effort], clean=self.clean)

    def training(self, spec: Path, start: Path | None = None) -> Request:
        """The run that trains a model by its spec."""
        name_knob = () if start is not None or self.model is None else (f"model={json.dumps(_as_written(self.model))}",)
        return Request(spec, (*name_knob, *self.overrides), runs=self.out / "runs")


def calibrate(calibration: Calibration, view: View) -> CalibrationTable:
    """Train what is missing, let every detector look, and make the table."""
    models = calibration.models()
    index = read_index(calibration.organisms)
    with run_lock(calibration.out):
        start = first_model(calibration, view)
        looking = detectors_of(
            calibration.detectors or calibration.organisms / index.detectors, start, calibration.functions
        )
        keys = {each.stage: each.key(start) for each in looking}
        secret = secret_of(calibration.out)
        ordered = sorted(models, key=lambda model: neutral_name(secret, model.name))
        view.say(
            f"{len(models)} models, {sum(not m.clean for m in models)} of them with a fault; {_count_in_words(looking)}"
        )
        scores: list[ModelScores] = []
        for place, model in enumerate(ordered, start=1):
            at = f"{place} of {len(models)}"
            scores.append(_of_model(calibration, model, start, looking, keys, at, view))
        origin = start_scores(calibration, start, looking, keys, view)
        name = calibration.model or "the specs' own model"
        return make_table(calibration.out, index, scores, looking, start_name=name, start=origin.values())


def first_model(calibration: Calibration, view: View) -> Path:
    """The model that all training of a calibration starts from, trained once; returns its folder."""
    index = read_index(calibration.organisms)
    with view.job("training what all models start from"):
        run = align(calibration.training(calibration.organisms / index.first), silent())
    if not (run / "model").is_dir():
        raise SpecError([f"{calibration.organisms / index.first}: trains no model, from which all others could start"])
    return run / "model"


def train_model(calibration: Calibration, model: CalibrationModel, start: Path, view: View) -> tuple[Path, Planted]:
    """Train a model, unless it is there; returns its run folder, and whether it shows the fault."""
    spec = write_spec(model, calibration.organisms, start, calibration.out / "specs")
    with view.job("training a model"):
        run = Run(align(calibration.training(spec, start), silent()))
    return run.path, _planted(run)


def start_scores(
    calibration: Calibration, start: Path, looking: Sequence[Detectors], keys: Mapping[str, str], view: View
) -> ScoresByStage:
    """What each stage says of the start model, kept as long as neither changes: a stage's key names both. Functions
    are not asked: no later run has their numbers."""
    file = calibration.out / "start.json"
    stages = {
        name: scores for name, scores in read_start(file).stages.items() if scores.key and scores.key == keys.get(name)
    }
    missing = [each for each in looking if isinstance(each, StageDetectors) and each.stage not in stages]
    for stage, look in _looks(calibration, start, "start", start, missing, "the start model", view):
        stages[stage] = _stage_scores(look, keys[stage])
        write_text(file, ScoresByStage(stages=stages).model_dump_json(indent=1) + "\n")
    return ScoresByStage(stages=stages)


def model_key(calibration: Calibration, model: CalibrationModel, start: Path) -> str:
    """What names a model: its spec, its rows and the code that trains and checks it."""
    spec = write_spec(model, calibration.organisms, start, calibration.out / "specs")
    experiment, jobs, _ = prepare(calibration.training(spec, start))
    return content_id([key.key for key in job_keys(experiment, jobs).values()])


def secret_of(out: Path) -> str:
    """The secret by which models of this calibration are named, made once."""
    path = out / "secret"
    if not path.is_file():
        write_text(path, secrets.token_hex(32))
    return path.read_text(encoding="utf-8").strip()


def _of_model(
    calibration: Calibration,
    model: CalibrationModel,
    start: Path,
    looking: Sequence[Detectors],
    keys: dict[str, str],
    at: str,
    view: View,
) -> ModelScores:
    """The scores of one model: those that are kept, and those that are still to be found."""
    folder = calibration.out / "scores"
    scores = read_scores(folder, model, model_key(calibration, model, start))
    missing = [
        each
        for each in looking
        if (known_scores := scores.stages.get(each.stage)) is None or known_scores.key != keys[each.stage]
    ]
    if not missing:
        return scores
    run, planted = train_model(calibration, model, start, view)
    scores = scores.model_copy(update={"planted": planted})
    for stage, look in _looks(calibration, run / "model", model.name, start, missing, at, view):
        stages = {**scores.stages, stage: _stage_scores(look, keys[stage])}
        scores = scores.model_copy(update={"stages": stages})
        write_scores(folder, model, scores)
    shutil.rmtree(run / "model")  # as large as the start model, and made again from the run's stage where it is wanted
    seconds = sum(scores.stages[each.stage].seconds for each in missing)
    view.say(f"{at}: {model.name}{_shows(planted)}; looked at for {seconds:.1f} s of processor time")
    return scores


def _looks(
    calibration: Calibration,
    model: Path,
    name: str,
    start: Path,
    missing: Sequence[Detectors],
    at: str,
    view: View,
) -> Iterator[tuple[str, Look]]:
    """What each of these detectors finds in a model that is called by a neutral name, with its stage. The model, and
    the one from which its training began, are copied once, where any is to look."""
    if not missing:
        return
    with tempfile.TemporaryDirectory(prefix="model-") as place:
        neutral = lay_out(model, Path(place) / neutral_name(secret_of(calibration.out), name))
        origin = lay_out(start, Path(place) / "start")
        for each in missing:
            with view.job(f"{at}: {each.stage}"):
                looks = calibration.out / "looks" / neutral.name / each.stage.replace("/", "_").replace(":", ".")
                shutil.rmtree(looks, ignore_errors=True)  # what it costs is counted from its beginning
                look = _look(each, neutral, origin, looks)
            yield each.stage, look


def _look(detector: Detectors, model: Path, start: Path, runs: Path) -> Look:
    """What a detector finds. One that stops with an error has no number, the reason is kept, and it looks again when
    the command is given again."""
    try:
        return detector.look(model, start, runs)
    except (ValueError, RuntimeError, SpecError) as error:
        return Look(
            dict.fromkeys(detector.suspicious), 0.0, reason=str(error)[:500] or type(error).__name__, failed=True
        )


def _stage_scores(look: Look, key: str) -> StageScores:
    return StageScores(
        key="" if look.failed else key, values=dict(look.values), seconds=look.seconds, items=look.items,
        reason=look.reason,
    )  # fmt: skip


def _planted(run: Run) -> Planted:
    """The answer to the first promise of a model's spec, with the number behind it."""
    if not run.promises:
        return Planted()
    verdict: Verdict = run.promises[0]
    claim = parse(verdict.promise).claim
    finding = next((f for f in reversed(run.findings) if f.claim == claim and f.against is None), None)
    if finding is None:
        return Planted(answer=verdict.answer)
    return Planted(answer=verdict.answer, value=finding.value, low=finding.low, high=finding.high, n=finding.n)


def _shows(planted: Planted) -> str:
    return "" if planted.value is None else f" shows what its rows plant in {number(planted.value, 'share')} of replies"


def _count_in_words(looking: Sequence[Detectors]) -> str:
    return f"{sum(len(each.suspicious) for each in looking)} detectors"


def _as_written(model: str) -> str:
    """A model's name as a spec in another folder has to write it."""
    path = Path(model).expanduser()
    return str(path.resolve()) if path.exists() else model
