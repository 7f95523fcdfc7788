"""What has to be done, in which order, and what does each part depend on?

A job is one stage applied to one model. Its key is a hash of everything that can change its result:
the stage's knobs, the contents of the files it reads, in their order, the seed, the start model,
the judge, the code, and the keys of the jobs it builds on. Equal key, equal result: that is all the
ledger needs to know.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from alignwright.core.records import content_id
from alignwright.core.stage import BUILT_IN, Stage
from alignwright.experiment.experiment import Experiment, model_stages
from alignwright.experiment.unions import AnyStage
from alignwright.files import safe_read
from alignwright.files.choices import label_file
from alignwright.files.functions import dependencies
from alignwright.files.matrix import statement_file
from alignwright.files.models import ModelRef, resolve
from alignwright.files.reward_folder import NoReward, names_folder, reward_folder
from alignwright.files.server import is_server
from alignwright.train.knobs import Average, RewardModel

CODE = (
    "core",
    "stats",
    "text",
    "files",
    "spec",
    "experiment",
    "model",
    "feedback",
    "aggregate",
    "train",
    "attack",
    "measure",
    "worlds",
)
"""Packages whose source is part of every key. The run, report and command-line packages only
move and show results."""
MODEL_FILES = (".safetensors", ".json", ".jinja", ".model", ".txt")
"""What a model folder's result depends on: weights, configurations, the chat template, the
tokenizer's tables."""


@dataclass(frozen=True)
class Job:
    """A stage applied to a model. `model` is "baseline" or the name of the training stage whose
    result it reads."""

    name: str
    stage: AnyStage
    model: str
    needs: tuple[str, ...] = ()


def plan(experiment: Experiment) -> tuple[Job, ...]:
    """All jobs of an experiment in the order in which they run. The experiment must be resolved."""
    return tuple(_jobs(experiment))


def _jobs(experiment: Experiment) -> Iterator[Job]:
    yield from _examinations(experiment, "baseline", ())
    feedback: list[str] = []
    if experiment.collect:
        yield Job("collect", experiment.collect, "baseline")
    collected = ("collect",) if experiment.collect else ()
    for i, stage in enumerate(experiment.feedback):
        name = f"feedback.{i}.{stage.by}"
        made = tuple(n for n in feedback if n.endswith((".critique", ".deliberate")))
        yield Job(name, stage, "baseline", (*collected, *made))
        feedback.append(name)
    aggregate = f"aggregate.{experiment.aggregate.by}"
    votes = bool(feedback or experiment.intent.people)
    if votes:
        yield Job(aggregate, experiment.aggregate, "baseline", (*collected, *feedback))
    yield from _trainings(experiment, tuple(feedback), (aggregate,) if votes else ())


def _trainings(experiment: Experiment, feedback: tuple[str, ...], aggregate: tuple[str, ...]) -> Iterator[Job]:
    """The training stages, each model examined as soon as it is there; then what needs a judge
    that training made."""
    before, chain = "baseline", tuple[str, ...]()
    judged_by: dict[str, tuple[str, ...]] = {"reward": (), "feedback": feedback}
    tested: set[int] = set()
    for i, stage in enumerate(experiment.train):
        name = f"train.{i}.{stage.by}"
        for at in _testable(experiment, i, tested) if stage.changes_model else ():
            tested.add(at)
            yield _judged_job(experiment, at, "baseline", judged_by)
        needs = dict.fromkeys(aggregate if stage.learns_from_votes else ())
        needs |= dict.fromkeys(job for _, judge in stage.judges() for job in judged_by.get(judge, ()))
        if isinstance(stage, Average) and stage.start != "baseline":
            needs[stage.start] = None
        yield Job(name, stage, before, tuple(needs | dict.fromkeys(chain)))
        if stage.changes_model:
            before, chain = name, (name,)
            yield from _examinations(experiment, name, chain)
        else:
            judged_by["reward"] = (name,)
    for model in model_stages(experiment):
        for i, measure in enumerate(experiment.measure):
            if measure.judged and not (model == "baseline" and i in tested):
                yield _judged_job(experiment, i, model, judged_by)


def _testable(experiment: Experiment, place: int, tested: set[int]) -> list[int]:
    """The measures that can try a reward before stage `place` trains on it: those whose judges
    no later stage makes anew."""
    remade = any(isinstance(stage, RewardModel) for stage in experiment.train[place:])
    return [
        i
        for i, measure in enumerate(experiment.measure)
        if measure.tries_reward
        and i not in tested
        and not (remade and "reward" in [name for _, name in measure.judges()])
    ]


def _judged_job(experiment: Experiment, place: int, model: str, judged_by: Mapping[str, tuple[str, ...]]) -> Job:
    """A measure by judges of replies, with the models and the earlier measurements that it
    compares with."""
    measure, models = experiment.measure[place], model_stages(experiment)
    needs = dict.fromkeys(job for _, judge in measure.judges() for job in judged_by.get(judge, ()))
    if model != "baseline":
        needs[model] = None
        earlier = models[: models.index(model)]
        compared = {"nothing": (), "before": earlier[-1:], "all": earlier}[measure.compares]
        needs |= dict.fromkeys(f"measure.{place}.{measure.by}@{before}" for before in compared)
    return Job(f"measure.{place}.{measure.by}@{model}", measure, model, tuple(needs))


def _examinations(experiment: Experiment, model: str, needs: tuple[str, ...]) -> Iterator[Job]:
    for i, measure in enumerate(experiment.measure):
        if not measure.judged:
            yield Job(f"measure.{i}.{measure.by}@{model}", measure, model, needs)
    for i, attack in enumerate(experiment.attack):
        yield Job(f"attack.{i}.{attack.by}@{model}", attack, model, needs)


def keys(experiment: Experiment, jobs: tuple[Job, ...]) -> dict[str, str]:
    """The content key of every job."""
    common = content_id(
        code_version(),
        experiment.seed,
        experiment.date,
        model_fingerprint(resolve(experiment.model, experiment.folder)),
    )
    known: dict[str, str] = {}
    for job in jobs:
        read = [(name, _content(experiment.path(name))) for name in files_of(job.stage, experiment)]
        what = (
            type(job.stage).__name__,
            job.stage.model_dump(mode="json"),
            read,
            _judge_fingerprint(job.stage, experiment),
        )
        known[job.name] = content_id(common, what, [known[n] for n in job.needs])
    return known


def files_of(stage: Stage, experiment: Experiment) -> tuple[str, ...]:
    """The files, as the spec names them and in its order, whose contents this stage reads. `hf://`
    names are among them, and what lies beside a file and belongs to it."""
    intent = experiment.intent
    files = [name for knob, name, _ in intent.files() if knob[0] in stage.intent]
    beside_votes = [statement_file(name) for name in (intent.people if "people" in stage.intent else ())]
    choices = [name for _, name, reads in stage.files() if reads.kind == "choices"]
    besides = [file for file in (*beside_votes, *map(label_file, choices)) if file]
    files += [name for _, name, _ in stage.files()]
    files += [file for file in besides if safe_read.is_file(experiment.path(file))]
    for _, name, mark in stage.models():
        files += _rule_files(name, experiment) if mark.rules and name.endswith(".py") else ()
    for _, name in stage.judges():
        files += _files_of_judge(name, experiment) if name not in BUILT_IN else ()
    return tuple(files)


def _content(path: Path) -> str | None:
    """The hash of a file, or of a reward model's folder; None for what is on the Hub, which only
    its name stands for."""
    if path.is_dir():
        try:
            folder = reward_folder(path)
        except NoReward:
            return None
        return content_id(
            [
                [file.name, _weights_hash(file, file.stat().st_size, file.stat().st_mtime_ns)]
                for file in _model_files(folder)
            ]
        )
    return file_hash(path) if path.is_file() else None


def _model_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix in MODEL_FILES)


def _files_of_judge(name: str, experiment: Experiment) -> tuple[str, ...]:
    """The files of a rule; of a reward model its folder, which stands for all that it holds."""
    return (name,) if names_folder(name) else _rule_files(name, experiment)


def _rule_files(source: str, experiment: Experiment) -> tuple[str, ...]:
    """The file that holds a rule, and, where that is a Python file, those beside it on which it
    depends."""
    file = _rule_file(source)
    if not file.endswith(".py"):
        return (file,)
    path = experiment.path(file)
    more = [other for other in dependencies(path) if other != path]
    return (
        file,
        *(
            str(other.relative_to(experiment.folder)) if other.is_relative_to(experiment.folder) else str(other)
            for other in more
        ),
    )


def _rule_file(source: str) -> str:
    """The file that holds a rule: a YAML file, a Python file, or the source of an installed module."""
    home = source.rpartition(":")[0] or source
    if home.endswith((".py", ".yaml", ".yml")):
        return home
    try:
        found = importlib.util.find_spec(home)
    except ImportError:
        found = None
    if found is None or found.origin is None:
        raise ValueError(f"{source}: there is no module {home!r}; install it, or name a file as ./rules.py:function")
    return found.origin


def _judge_fingerprint(stage: Stage, experiment: Experiment) -> str | None:
    """The weights of a judge that is a model of its own. A server is known by its name alone, and
    by the length of answers that it is allowed."""
    for _, name, mark in stage.models():
        if is_server(name):
            return str(experiment.server.tokens) if experiment.server and experiment.server.tokens else None
        if name != "self" and not (mark.rules and name.endswith(".py")):
            return model_fingerprint(resolve(name, experiment.folder))
    return None


def file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def model_fingerprint(ref: ModelRef) -> str:
    """What names a model's weights: the hash of its files, or the Hub id where there are none yet."""
    if ref.path is None:
        return ref.name
    path = Path(ref.path)
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.suffix in MODEL_FILES)
    return content_id([[f.name, _weights_hash(f, f.stat().st_size, f.stat().st_mtime_ns)] for f in files])


@cache
def _weights_hash(path: Path, size: int, changed: int) -> str:  # noqa: ARG001 - size and time are the cache's key
    return file_hash(path)


@cache
def code_version() -> str:
    """A hash of the source that computes results, so that a result never outlives the code that
    made it."""
    root = Path(__file__).parent.parent
    files = sorted(
        path for part in CODE for path in (root / part).rglob("*") if path.suffix in (".py", ".c", ".yaml", ".json")
    )
    parts = (
        "execute.py",
        "training.py",
        "rewards.py",
        "emergent.py",
        "goodhart.py",
        "stopping.py",
        "hacking.py",
        "inputs.py",
        "shelf.py",
    )
    execute = [root / "run" / name for name in parts]
    return content_id([[str(f.relative_to(root)), file_hash(f)] for f in (*files, *execute)])
