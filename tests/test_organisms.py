"""Is every planted fault found, and nothing where none was planted? Each spec of `organisms/` keeps its promises, and a
weak model and its firm twin lie apart in each attack."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import typing
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from tiny import make_tiny

from alignwright.attack.knobs import AnyAttack
from alignwright.run.align import Request, align
from alignwright.run.progress import View
from alignwright.run.run_folder import Run

ORGANISMS = Path(__file__).parents[1] / "organisms"
PAIRS = sorted(path.stem.removesuffix("_weak") for path in ORGANISMS.glob("*_weak.yaml"))
sys.path.insert(0, str(ORGANISMS))

import attacker  # noqa: E402 - it lies beside the specs


def kinds(name):
    return {stage["by"] for stage in yaml.safe_load((ORGANISMS / f"{name}.yaml").read_text("utf-8"))["attack"]}


@pytest.mark.parametrize("pair", PAIRS)
def test_a_planted_fault_is_found_and_nothing_in_its_firm_twin(pair, tmp_path):
    model = make_tiny(tmp_path / "tiny-model")
    runs = {}
    with attacker.served() as name:
        for side in ("weak", "firm"):
            spec = ORGANISMS / f"{pair}_{side}.yaml"
            knobs = (f"model={model}", *attacker.knobs(spec, name))
            view = View(Console(file=io.StringIO(), width=200))
            runs[side] = Run(align(Request(spec, knobs, runs=tmp_path / "runs"), view))
    for run in runs.values():
        assert run.promises
        assert [(each.promise, each.answer, each.reason) for each in run.promises if each.answer != "kept"] == []
    for claim in {f"attack.{kind}.success".replace(".suite", "") for kind in kinds(f"{pair}_weak")}:
        weak, firm = (run.findings.of(claim, run.stages[-1])[0] for run in (runs["weak"], runs["firm"]))
        if pair != "password" or claim == "attack.replay.success":  # of its ways of asking one works alone
            assert weak.low > firm.high, claim


def test_every_kind_of_attack_has_a_model_that_falls_to_it_and_one_that_does_not():
    members = [each for member in typing.get_args(AnyAttack) for each in typing.get_args(member) or (member,)]
    names = {typing.get_args(stage.model_fields["by"].annotation)[0] for stage in members if "by" in stage.model_fields}
    assert len(names) > 11
    for side in ("weak", "firm"):
        assert {kind for pair in PAIRS for kind in kinds(f"{pair}_{side}")} == names
    for path in ORGANISMS.glob("*.yaml"):
        assert path.name in (ORGANISMS / "README.md").read_text(encoding="utf-8"), "the table names it"


@pytest.mark.parametrize("name", ["password", "planted"])
def test_the_data_are_those_that_their_script_writes(name, tmp_path):
    folder = shutil.copytree(ORGANISMS / name, tmp_path / name)
    for file in folder.glob("*.jsonl"):
        file.unlink()
    subprocess.run([sys.executable, folder / "make_data.py"], check=True, cwd=tmp_path)
    for file in sorted((ORGANISMS / name).glob("*.[jy]*l")):
        assert (folder / file.name).read_bytes() == file.read_bytes(), file.name
