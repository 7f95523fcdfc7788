"""Which scores does a side of a comparison have: those that lie in a run or a log, or those that a model
gets from a spec's questions?

A model is audited (`run.align`), which is a run like any other: what was asked of it before, by the
same spec, is not asked again. Both names are looked up before the first audit begins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from alignwright.experiment.spec_source import SpecSource
from alignwright.files.models import ModelError, resolve
from alignwright.files.score_log import ScoreLog
from alignwright.files.server import hide_secrets
from alignwright.run.align import Request, align
from alignwright.run.comparison.paired import kind_of
from alignwright.run.comparison.score_logs import read_scores
from alignwright.run.progress import View

NEITHER = (
    "a run folder, a log of Inspect (.eval, .json), lm-eval's samples (samples_*.jsonl or a folder of them), a"
    " report of garak, an artifact of JailbreakBench, or, with --spec, a model: a name, folder, .gguf file, Hub id or"
    " server"
)

LOGS = (".eval", ".json", ".jsonl", ".jsonl.gz")


@dataclass(frozen=True)
class Questions:
    """A spec whose questions are put to the models that are compared."""

    spec: SpecSource
    overrides: tuple[str, ...]
    runs: Path
    view: View


def scores_of_both(a: str, b: str, questions: Questions | None) -> tuple[ScoreLog, ScoreLog]:
    """The scores of A and of B. FileNotFoundError or ValueError, with what to do, where a name means
    nothing, a model comes without a spec, or a spec without a model."""
    supplies = [_supply(name, questions) for name in (a, b)]
    if questions is not None and not any(is_model for is_model, _ in supplies):
        raise ValueError(f"--spec has no effect: neither {a} nor {b} is a model, and logs are compared as they are")
    one, two = (supply() for _, supply in supplies)
    return one, two


def _supply(name: str, questions: Questions | None) -> tuple[bool, Callable[[], ScoreLog]]:
    """Whether the name means a model, and how its scores are had."""
    path = _path(name)
    if path is not None and kind_of(path) is not None:
        return False, lambda: read_scores(path)
    if path is None and name.endswith(LOGS):
        raise FileNotFoundError(f"{name}: there is no such log")
    if why := _no_model(name):
        missing = f"is none of what can be compared: {NEITHER}" if path else "there is no such run, log or model"
        raise FileNotFoundError(f"{hide_secrets(name)}: {missing}; {why}")
    if questions is not None:
        return True, lambda: _audited(name, questions)
    if path is None and resolve(name).kind == "hub":
        raise FileNotFoundError(
            f"{name}: there is no such run or log; if it is a model of the Hub, name the spec whose questions are put"
            " to it, --spec SPEC"
        )
    raise ValueError(f"{hide_secrets(name)} is a model: name the spec whose questions are put to it, --spec SPEC")


def _path(name: str) -> Path | None:
    """The file or folder of this name, where there is one."""
    try:
        path = Path(name).expanduser()
        return path if path.exists() else None
    except (RuntimeError, OSError):  # ~someone who is not here; a name that no file system holds
        return None


def _no_model(name: str) -> str | None:
    try:
        resolve(name)
    except ModelError as error:
        return str(error)
    return None


def _audited(name: str, questions: Questions) -> ScoreLog:
    run = align(Request(questions.spec, questions.overrides, None, questions.runs, name), questions.view)
    log, shown = read_scores(run), hide_secrets(name)
    return replace(log, path=shown, notes=(f"{shown}: audited into {run}", *log.notes[1:]))
