"""Which tasks of lm-eval does a stage name, and what do they make of the live model?

Only tasks that come with the installed package are found by name, and task files only where the spec
names them: either is code that runs (`!function`), and neither comes from a model, a data set or the
Hub. A task that runs what the model writes (`unsafe_code`) is refused.

Everything is offline: a task whose data are not on this machine is an error that says how to fetch
them, and no metric is fetched. Examples before a question are drawn with lm-eval's own seed, so that the
questions are those of its own command.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from alignwright.job.data import subsample_evenly
from alignwright.measure.harness.adapter import live_model
from alignwright.model.local_model import LocalModel

_TIMES = ("timestamp", "date", "time", "duration")
SHOTS_SEED = 1234
"""The seed of lm-eval's command for the examples before a question."""


@dataclass(frozen=True)
class TaskSamples:
    """What a task made of the model: its samples as lm-eval logs them, which way its metrics are
    good, its own means, and how many documents it has."""

    name: str
    samples: Sequence[Mapping[str, Any]]
    higher_is_better: Mapping[str, bool]
    aggregates: Mapping[tuple[str, str], float]
    """By metric and filter."""
    documents: int
    dates: tuple[str, ...] = ()
    """Columns of which `datasets` made dates, whatever their file said."""


def run_tasks(
    policy: LocalModel,
    tasks: Sequence[str],
    files: Sequence[Path],
    *,
    num_fewshot: int | None,
    limit: int | None,
    seed: int,
) -> list[TaskSamples]:
    """Each task put to the model. ValueError, with what to do, where one is not known, needs a
    download, or runs code that the model writes."""
    from lm_eval.evaluator import evaluate

    with _offline(), _quiet():
        loaded = _loaded(tasks, files)
        places: dict[str, list[int]] = {}
        sizes: dict[str, int] = {}
        for name, task in loaded["tasks"].items():
            if getattr(task, "UNSAFE_CODE", False):
                raise ValueError(f"lm-eval's task {name} runs code that the model writes, which is not done here")
            if num_fewshot is not None:
                task.set_config(key="num_fewshot", value=num_fewshot)
            task.set_fewshot_seed(seed=SHOTS_SEED)
            sizes[name] = len(task.eval_docs)
            places[name] = list(subsample_evenly(range(sizes[name]), limit))
            if not places[name]:
                raise ValueError(f"lm-eval's task {name} has no documents")
        results: Any = evaluate(
            lm=live_model(policy, seed=seed), task_dict=loaded, samples=places, bootstrap_iters=0, log_samples=True
        )
    return [
        TaskSamples(
            name, results["samples"][name], results["higher_is_better"].get(name, {}),
            _aggregates(results["results"].get(name, {})), sizes[name], _dates(task),
        )
        for name, task in loaded["tasks"].items()
    ]  # fmt: skip


def _loaded(tasks: Sequence[str], files: Sequence[Path]) -> Any:
    """lm-eval's tasks by name and by file; ValueError where one is not to be had."""
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_defaults=bool(tasks))
    if unknown := [name for name in tasks if name not in set(manager.all_tasks)]:
        from alignwright.files.errors import did_you_mean

        raise ValueError(f"lm-eval has no task {unknown[0]!r}; {did_you_mean(unknown[0], manager.all_tasks)}")
    try:
        return manager.load([*tasks, *(str(file.resolve()) for file in files)])
    except Exception as error:
        # loading is lm-eval's own code, its tasks' and that of `datasets`, which raise errors of their own
        names = ", ".join([*tasks, *(file.name for file in files)])
        raise ValueError(
            f"lm-eval could not load {names}: {_first_line(error)}; nothing is downloaded in a run: where the data are"
            " missing, fetch them once with datasets.load_dataset(...) or lm_eval itself, then run again"
        ) from error


def _aggregates(results: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    numbers: dict[tuple[str, str], float] = {}
    for key, value in results.items():
        metric, comma, filter_name = key.partition(",")
        if comma and not metric.endswith("_stderr") and isinstance(value, int | float):
            numbers[metric, filter_name] = float(value)
    return numbers


def _dates(task: Any) -> tuple[str, ...]:
    """Columns of a task's documents that are dates or times."""
    features: Any = getattr(task.eval_docs, "features", None) or {}
    return tuple(str(name) for name, of in features.items() if str(getattr(of, "dtype", "")).startswith(_TIMES))


@contextmanager
def _offline() -> Iterator[None]:
    """Nothing is asked of the Hub while this lasts: neither `datasets` nor `huggingface_hub` reads the
    environment once it is imported."""
    import datasets.config
    import huggingface_hub.constants

    with ExitStack() as stack:
        stack.enter_context(_with(huggingface_hub.constants, "HF_HUB_OFFLINE", True))
        stack.enter_context(_with(datasets.config, "HF_HUB_OFFLINE", True))
        stack.enter_context(_with(datasets.config, "HF_DATASETS_OFFLINE", True))
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the log lines and bars of lm-eval and `datasets`: a run has lines of its own."""
    import datasets
    from lm_eval.api import task

    loggers = [logging.getLogger(name) for name in ("lm_eval", "datasets")]
    levels, bars = [logger.level for logger in loggers], datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with _with(task, "tqdm", lambda items, **_: items):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if not bars:
            datasets.enable_progress_bars()


@contextmanager
def _with(module: ModuleType, name: str, value: object) -> Iterator[None]:
    """A module with another value under a name while this lasts."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
