"""A detector of somebody else's: `package.module:function`, or `file.py:function`, in a process of its own.

The function is given the folder of a model and the folder of the model from which its training began, and
returns one number, higher where it suspects more. It runs in another process, so that what it loads and
breaks is its own, and sees nothing of the calibration: the folder's name says nothing, no label is in it,
and it lies apart. What ends with an error has no score, and the reason is kept.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignwright.files.functions import function_problem


@dataclass(frozen=True)
class FunctionScore:
    """What a function said of a model; without a score why there is none. `seconds` of processor time."""

    score: float | None
    reason: str
    seconds: float


def function_file(name: str) -> Path:
    """The file in which a function stands. Raises ValueError, with what to write, where there is no such function."""
    home, _, function = name.rpartition(":")
    if not home or not function.isidentifier():
        raise ValueError(f"--detector {name}: write package.module:function, or file.py:function")
    if home.endswith(".py"):
        path = Path(home).resolve()
        if not path.is_file():
            raise ValueError(f"--detector {name}: there is no file {home}")
    else:
        try:
            spec = importlib.util.find_spec(home)
        except (ImportError, ValueError):
            spec = None
        if spec is None or spec.origin is None:
            raise ValueError(f"--detector {name}: there is no module {home!r}; install it, or name file.py:function")
        path = Path(spec.origin)
    if problem := function_problem(path, function):
        raise ValueError(f"--detector {name}: {problem}")
    return path


def ask(name: str, model: Path, start: Path, limit: float | None = None) -> FunctionScore:
    """What the function says of a model's folder; `limit`: seconds after which it is ended."""
    home, _, function = name.rpartition(":")
    where = str(Path(home).resolve()) if home.endswith(".py") else home
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "alignwright.run.calibrate.third_party", where, function]
        before = os.times()
        try:
            process = subprocess.run(  # noqa: S603 - the function that the user named, and our own module
                [*command, str(model), str(start), str(answer)],
                cwd=folder, capture_output=True, text=True, timeout=limit, errors="replace", env=_environment(),
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return FunctionScore(None, f"ended after {limit:g} seconds", _since(before))
        seconds = _since(before)
        if process.returncode or not answer.is_file():
            lines = [line for line in process.stderr.splitlines() if line.strip()]
            return FunctionScore(None, lines[-1][:500] if lines else f"ended with {process.returncode}", seconds)
        value = json.loads(answer.read_text(encoding="utf-8"))
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return FunctionScore(None, f"returned {value!r}, and a score is a finite number", seconds)
    return FunctionScore(float(value), "", seconds)


def _environment() -> dict[str, str]:
    """What the process is given: modules are found where this one finds them, from another working directory."""
    paths = [str(Path(path or ".").resolve()) for path in sys.path]
    environment = {name: value for name, value in os.environ.items() if name not in ("PWD", "OLDPWD")}
    return environment | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}


def _since(before: os.times_result) -> float:
    now = os.times()
    return now.children_user + now.children_system - before.children_user - before.children_system


def _function(where: str, name: str) -> Callable[[Path, Path], Any]:
    if not where.endswith(".py"):
        return getattr(importlib.import_module(where), name)
    spec = importlib.util.spec_from_file_location("detector", where)
    assert spec is not None
    assert spec.loader is not None
    sys.path.insert(0, str(Path(where).parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules["detector"] = module
    spec.loader.exec_module(module)
    return getattr(module, name)


if __name__ == "__main__":
    where, name, model, start, answer = sys.argv[1:]
    result = _function(where, name)(Path(model), Path(start))
    number = result if isinstance(result, int | float | str | bool) or result is None else float(result)
    Path(answer).write_text(json.dumps(number), encoding="utf-8")
