"""Which models does a run save for others to open, and which does it leave out?

The last trained model is written to `model/`, the last reward model to `reward/`, or to `model/`
where no model was trained beside it: a sequence classifier with the verdict on it in
`verdict.json`. What a refused reward model would have judged is left out where its stage says so.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from alignwright.core.records import Finding
from alignwright.core.train_stage import TrainStage
from alignwright.experiment.experiment import Experiment, model_stages
from alignwright.files.contents import are_marks, changed, contents
from alignwright.files.lines import read_lines
from alignwright.files.model_terms import pass_on_licence
from alignwright.files.models import resolve
from alignwright.files.reward_folder import VERDICT, NoClassifier
from alignwright.job.job import Job
from alignwright.job.ledger import Ledger, json_of, write_json
from alignwright.run.progress import View
from alignwright.train.reward_verdict import refusal

if TYPE_CHECKING:
    from alignwright.job.model_store import ModelStore


def keep_models(
    experiment: Experiment,
    jobs: Sequence[Job],
    keys: Mapping[str, str],
    ledger: Ledger,
    view: View,
    models: ModelStore | None = None,
) -> None:
    """Write the last trained model, exactly as it was measured, and the last reward model:
    folders that transformers opens. `models`: those of the run, where one has computed something."""
    trained = [job.name for job in jobs if job.name in model_stages(experiment)]
    rewards = [(job, job.stage) for job in jobs if isinstance(job.stage, TrainStage) and job.stage.makes_reward]
    if trained:
        _keep(
            "the model",
            ledger.run / "model",
            keys[trained[-1]],
            lambda folder: _save(experiment, _models(experiment, ledger, models), trained[-1], folder),
            view,
        )
    if not rewards:
        return
    (job, stage), target = rewards[-1], ledger.run / ("reward" if trained else "model")
    if not stage.single_model:
        shutil.rmtree(target, ignore_errors=True)
        view.say(
            f"{job.name}: its members are no single model, so there is no {target}; 'combine: weights'"
            " makes one of them"
        )
        return
    try:
        _keep(
            "the reward model",
            target,
            keys[job.name],
            lambda folder: _export(_models(experiment, ledger, models), job.name, folder, experiment.name),
            view,
        )
    except NoClassifier as reason:
        view.say(f"{job.name}: {reason}, so there is no {target}; its scores are in the run")


def reason_to_skip(job: Job, jobs: Sequence[Job], ledger: Ledger, dropped: Collection[str]) -> str | None:
    """Why a job is not done: a reward model that would judge in it was refused and is skipped,
    or what it builds on was left out."""
    if absent := next((need for need in (*job.builds_on, job.model) if need in dropped), None):
        return f"as {absent} was"
    for need in (other for other in jobs if other.name in job.builds_on):
        if isinstance(need.stage, TrainStage) and need.stage.skips_refused and (why := _refused(ledger, need.name)):
            return f"as {need.name} was refused: {why}"
    return None


def _refused(ledger: Ledger, name: str) -> str | None:
    """What the findings of a reward stage say against it."""
    path = ledger.run / ledger.entries[name].folder / "findings.jsonl"
    return refusal([Finding.model_validate_json(line) for line in read_lines(path)])


def _keep(what: str, target: Path, key: str, write: Callable[[Path], None], view: View) -> None:
    if (why := stale(target, key)) is None:
        return
    if why:
        view.say(f"{target}: {why}; it is written again")
    partial = target.with_name(f"{target.name}.partial")
    for folder in (partial, target):
        shutil.rmtree(folder, ignore_errors=True)
    started = time.perf_counter()
    write(partial)
    write_json(partial / ".key", {"key": key, "files": contents(partial)})
    partial.rename(target)
    view.done(f"save {what}", time.perf_counter() - started, str(target))


def _models(experiment: Experiment, ledger: Ledger, models: ModelStore | None) -> ModelStore:
    from alignwright.run.context import model_store

    return models or model_store(experiment, ledger)


def _save(experiment: Experiment, models: ModelStore, name: str, folder: Path) -> None:
    models.for_eval(name).save(folder)
    pass_on_licence(resolve(experiment.model, experiment.folder), folder)


def _export(models: ModelStore, name: str, folder: Path, run: str) -> None:
    from alignwright.model.reward_model import RewardScorer

    RewardScorer.load(models.take_start, models.result(name)).export(folder)
    why = _refused(models.ledger, name)
    write_json(folder / VERDICT, {"signal": why is None, "reason": why or "", "run": run})


def stale(target: Path, key: str) -> str | None:
    """Why a saved model has to be written (again): "" where it is of another key or not there;
    None where it is as it should be."""
    mark = json_of(target / ".key")
    files = (
        cast("dict[str, Any]", mark).get("files")
        if isinstance(mark, dict) and cast("dict[str, Any]", mark).get("key") == key
        else None
    )
    return changed(files, target, more=True) if are_marks(files) else ""
