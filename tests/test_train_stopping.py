"""Is a watched training that was killed, wherever it was, resumed to the same bytes?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_measure_goodhart_run import DRAW, LOOP, STOP, run, stopping

from alignwright.train import run as training
from alignwright.train import stopping as watching
from alignwright.train.early_stopping import GoldMonitor

RLOO = f"{{by: rloo, {DRAW}, kl_coef: 0.0, {STOP}}}"
DPO = f"{{by: dpo, {LOOP}, epochs: 4, {STOP}}}"
BEST = f"{{by: best_of_n, {DRAW.replace('epochs: 10', 'epochs: 3')}, {STOP}}}"
KEPT, LOOKED = (GoldMonitor, "_save_weights", 1, True), (GoldMonitor, "_evaluate_gold", 2, True)
PUT_BACK, SAVING, CLEARED = (
    (GoldMonitor, "restore_best", 1, True),
    (training, "save_adapter", 1, False),
    (training, "drop_best_weights", 1, True),
)


class Killed(BaseException):
    """What no code of ours catches."""


def left(runs: Path) -> dict[str, bytes]:
    """All that the stage left behind, but for how long its steps took."""
    (folder,) = runs.glob("*/stages/*-train.0.*")
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != ".done"]
    found = {str(file.relative_to(folder)): file.read_bytes() for file in files}
    steps = [json.loads(line) for line in found.pop("metrics.jsonl", b"").decode().splitlines()]
    return found | {
        "metrics": (
            json.dumps([{name: value for name, value in step.items() if name != "seconds"} for step in steps]).encode()
        )
    }


def dies_at(time: int, whole: Callable[..., Any], after: bool) -> Callable[..., Any]:
    """The function, whose so-manyth call is the last thing that happens: before its work, or
    when it has done it."""
    calls = 0

    def call(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == time and not after:
            raise Killed
        result = whole(*given, **named)
        if calls == time:
            raise Killed
        return result

    return call


@pytest.mark.parametrize(
    ("stage", "kills"),
    [
        pytest.param(RLOO, [KEPT, LOOKED, PUT_BACK, SAVING, CLEARED], id="rloo"),  # gold turns
        pytest.param(DPO, [LOOKED, SAVING], id="dpo"),  # it does not
        pytest.param(BEST, [(watching, "tune_best_of_n", 1, True), PUT_BACK], id="best_of_n"),  # nothing is learnt
    ],
)
def test_wherever_it_was_killed_it_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, kills: list[tuple[Any, str, int, bool]]
) -> None:
    """Killed at one place after another, and resumed each time."""
    path = stopping(tmp_path, stage)
    run(path, "straight")
    straight = left(tmp_path / "straight")
    assert "gold_evals.jsonl" in straight
    assert ("stopped.json" in straight) == (stage != DPO)
    assert not any("gold-peak" in name for name in straight)
    for where, name, time, after in kills:
        with monkeypatch.context() as patched:
            patched.setattr(where, name, dies_at(time, getattr(where, name), after))
            with pytest.raises(Killed):
                run(path, "killed")
        if (where, name) != CLEARED[:2]:
            assert left(tmp_path / "killed") != straight  # the control: what is not finished is seen to differ
    run(path, "killed")
    resumed = left(tmp_path / "killed")
    assert resumed.keys() == straight.keys()
    assert [name for name in straight if resumed[name] != straight[name]] == []
