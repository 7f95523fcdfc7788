"""Does a model whose layers carry a state learn by every kind of loop, from a spec, and go on after a kill?"""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from test_run_methods import DRAW, LOOP, findings, project
from test_train_stopping import Killed

from alignwright.model.load import load
from alignwright.model.logprob import trunk
from alignwright.model.model_rows import plain_rows
from alignwright.run.align import Request, align
from alignwright.run.progress import View
from alignwright.train import loop

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from model_families import make

INHERITS, DRAWS = (knobs.replace("rank: 2, ", "") for knobs in (LOOP, DRAW))


def stages(rank: int) -> list[str]:
    stages = [
        f"{{by: sft, {INHERITS}, rank: {rank}}}",
        f"{{by: dpo, {INHERITS}}}",
        f"{{by: rloo, reward: rule.py:score, {DRAWS}}}",
    ]
    heads = [f"{{by: reward, no_signal: use, {LOOP}}}", f"{{by: ppo, reward: reward, {DRAWS}}}"]
    return [*stages, *heads[: 2 if rank else 1]]


def dies_in(stage: str, save: Callable[..., Any]) -> Callable[..., Any]:
    """The function, after whose second call in this stage nothing more happens."""
    calls = 0

    def call(*given: Any, **named: Any) -> Any:
        nonlocal calls
        result = save(*given, **named)
        calls += stage in str((given, named))
        if calls == 2:
            raise Killed
        return result

    return call


@pytest.mark.parametrize(("family", "rank"), [("qwen3_5", 2), ("lfm2", 0)])
def test_a_hybrid_model_learns_by_every_loop_and_goes_on_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, rank: int
) -> None:
    spec = project(tmp_path, stages(rank))
    shutil.rmtree(tmp_path / "model")
    make(family, tmp_path / "model")
    screen = io.StringIO()
    straight = align(Request(spec, runs=tmp_path / "straight"), View(Console(file=screen, width=300)))
    assert screen.getvalue().count("rows of their own") == 1
    assert (straight / "reward").is_dir() == ("no sequence classifier of the kind" not in screen.getvalue())
    assert (straight / "reward").is_dir() == (family == "qwen3_5")
    with monkeypatch.context() as patched:
        patched.setattr(loop, "save_checkpoint", dies_in("rloo", loop.save_checkpoint))
        with pytest.raises(Killed):
            align(Request(spec, runs=tmp_path / "killed"), View(Console(file=io.StringIO())))
    again = align(Request(spec, runs=tmp_path / "killed"), View(Console(file=io.StringIO())))
    assert findings(again) == findings(straight)
    learnt, before = load(straight / "model"), load(tmp_path / "model")
    assert plain_rows(trunk(learnt.model))
    moved = {
        name for name, weight in before.model.state_dict().items() if not weight.equal(learnt.model.state_dict()[name])
    }
    assert len(moved) > 10
