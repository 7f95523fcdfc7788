"""What can change a job's result? Its cache key.

A job's key is a hash of everything that can change its result: the stage's knobs, the contents of
the files it reads, in their order, the seed, the start model, the judge, the code of its section and
of all that it imports, and the keys of the jobs it builds on. Equal key, equal result: that is all
the ledger needs to know. Each part is also kept by itself as a hash under its name (`JobKey`), so
that a person can be told which of them changed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from alignwright.core.records import content_id
from alignwright.core.stage import BUILT_IN, Stage
from alignwright.experiment.experiment import Experiment
from alignwright.files import safe_read
from alignwright.files.choices import label_file
from alignwright.files.code_hash import code_hash
from alignwright.files.contents import contents
from alignwright.files.fingerprint import file_hash, folder_hash, in_bits, model_fingerprint
from alignwright.files.functions import dependencies
from alignwright.files.matrix import statement_file
from alignwright.files.models import resolve
from alignwright.files.reward_folder import NoReward, names_folder, reward_folder
from alignwright.files.server import is_server
from alignwright.files.task_file import task_dependencies
from alignwright.job.job import Job

JUDGES = "run.judges"
"""The module that finds what scores replies by name; part of the code of every stage that asks it."""


@dataclass(frozen=True)
class JobKey:
    """A job's key, and the hash of each thing that it is made of, by what that is: "seed", "code",
    "knob beta", "file pairs.jsonl", "stage train.0.sft". Two keys differ where a part does."""

    key: str
    parts: Mapping[str, str]


def cache_keys(experiment: Experiment, jobs: tuple[Job, ...]) -> dict[str, str]:
    """The cache key of every job, by its name."""
    return {name: job.key for name, job in job_keys(experiment, jobs).items()}


def job_keys(experiment: Experiment, jobs: tuple[Job, ...]) -> dict[str, JobKey]:
    """The cache key of every job with its parts, by its name."""
    given = experiment.chat_format
    longest = experiment.server.tokens if experiment.server and is_server(experiment.model) else None
    start = start_fingerprint(experiment)
    common = (
        experiment.date,
        start,
        *((given.template,) if given else ()),
        *((longest,) if longest else ()),
    )
    common_parts: dict[str, object] = {"date": experiment.date, "start model": start}
    common_parts |= {"chat template": given.template} if given else {}
    common_parts |= {"longest reply": longest} if longest else {}
    codes = {parts: code_hash(*parts) for parts in dict.fromkeys(map(code_parts, jobs))}
    keys: dict[str, JobKey] = {}
    for job in jobs:
        own = own_parts(job, experiment, codes[code_parts(job)])
        before = {name: keys[name].key for name in job.builds_on}
        seed = seed_of(job.stage, experiment)
        parts = {"seed": seed} if _is_seeded(job.stage, experiment) else {}
        parts |= common_parts | _parts_by_name(own) | {f"stage {name}": key for name, key in before.items()}
        hashes = {part: content_id(value) for part, value in parts.items()}
        keys[job.name] = JobKey(content_id(content_id(seed, *common), content_id(*own), [*before.values()]), hashes)
    return keys


def seed_of(stage: Stage, experiment: Experiment) -> int:
    """The seed that a stage's job is given: the run's, or 0 where its result cannot depend on it."""
    return experiment.seed if _is_seeded(stage, experiment) else 0


def _is_seeded(stage: Stage, experiment: Experiment) -> bool:
    """A server is told the seed with every question, and may do with it what it likes."""
    return stage.seeded or is_server(experiment.model)


def start_fingerprint(experiment: Experiment) -> str:
    """What names the start model: its weights, and in how few bits they are kept."""
    weights = model_fingerprint(resolve(experiment.model, experiment.folder))
    return in_bits(weights, experiment.quantization)


OwnParts = tuple[str, str, dict[str, Any], list[tuple[str, str | None]], str | None]
"""Code, kind of stage, knobs, files with their contents, judge."""


def own_parts(job: Job, experiment: Experiment, code: str) -> OwnParts:
    """What the job itself adds to its key: its code, its knobs, the files that it reads, its judge."""
    stage = job.stage
    files = [(name, _content(experiment.path(name))) for name in files_of(stage, experiment)]
    knobs = stage.model_dump(mode="json") | {f"package {name}": _version(name) for name in stage.packages}
    return code, type(stage).__name__, knobs, files, _judge_fingerprint(stage, experiment)


def _parts_by_name(own: OwnParts) -> dict[str, object]:
    """The parts of a job's own by what they are; the order of its files is one of them."""
    code, kind, knobs, files, judge = own
    parts: dict[str, object] = {"code": code, "kind": kind, "judge": judge, "order of files": [n for n, _ in files]}
    parts |= {f"knob {knob}": value for knob, value in knobs.items()}
    return parts | {f"file {name}": content for name, content in files}


def code_parts(job: Job) -> tuple[str, ...]:
    """The parts of the package whose code, with all that it imports, computes a job's result."""
    asks = job.stage.judged or any(True for _ in job.stage.models())
    return (job.folder, *((JUDGES,) if asks else ()))


def files_of(stage: Stage, experiment: Experiment) -> tuple[str, ...]:
    """The files, as the spec names them and in its order, whose contents this stage reads. `hf://`
    names are among them, and what lies beside a file and belongs to it."""
    intent = experiment.intent
    files = [name for knob, name, _ in intent.files() if knob[0] in stage.intent]
    beside_votes = [statement_file(name) for name in (intent.people if "people" in stage.intent else ())]
    choices = [name for _, name, reads in stage.files() if reads.kind == "choices"]
    besides = [file for file in (*beside_votes, *map(label_file, choices)) if file]
    files += [name for _, name, _ in stage.files()]
    for _, name, reads in stage.files():
        files += _as_named(task_dependencies(experiment.path(name)), experiment) if reads.use == "tasks" else ()
    files += [file for file in besides if safe_read.is_file(experiment.path(file))]
    for _, name, mark in stage.models():
        files += _rule_files(name, experiment) if mark.rules and name.endswith(".py") else ()
    for _, name in stage.judges():
        files += _files_of_judge(name, experiment) if name not in BUILT_IN else ()
    return tuple(files)


def _content(path: Path) -> str | None:
    """The hash of a file, of a reward model's folder, or of all that another folder holds; None for
    what is on the Hub, which only its name stands for."""
    if path.is_dir():
        try:
            return folder_hash(reward_folder(path))
        except NoReward:
            return content_id(contents(path))
    return file_hash(path) if path.is_file() else None


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
    return (file, *_as_named(more, experiment))


def _as_named(files: Iterable[Path], experiment: Experiment) -> tuple[str, ...]:
    """Files as the spec would name them."""
    folder = experiment.folder
    return tuple(str(file.relative_to(folder)) if file.is_relative_to(folder) else str(file) for file in files)


def _version(package: str) -> str | None:
    """The installed version of a package; None where there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


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
