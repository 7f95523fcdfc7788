"""Is every planted fault found, and nothing where none was planted? Each spec of `organisms/` keeps its promises."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from tiny import make_tiny

from alignwright.run.align import Request, align
from alignwright.run.progress import View
from alignwright.run.run_folder import Run

ORGANISMS = Path(__file__).parents[1] / "organisms"


@pytest.mark.parametrize("spec", sorted(ORGANISMS.glob("*.yaml")), ids=lambda path: path.stem)
def test_an_organism_keeps_its_promises(spec, tmp_path):
    model = make_tiny(tmp_path / "tiny-model")
    view = View(Console(file=io.StringIO(), width=200))
    run = Run(align(Request(spec, (f"model={model}",), runs=tmp_path / "runs"), view))
    assert run.promises
    assert [(each.promise, each.answer, each.reason) for each in run.promises if each.answer != "kept"] == []
    assert spec.name in (ORGANISMS / "README.md").read_text(encoding="utf-8"), "the table names it"


def test_the_data_are_those_that_their_script_writes(tmp_path):
    folder = shutil.copytree(ORGANISMS / "password", tmp_path / "password")
    for file in folder.glob("*.jsonl"):
        file.unlink()
    subprocess.run([sys.executable, folder / "make_data.py"], check=True, cwd=tmp_path)
    for file in sorted((ORGANISMS / "password").glob("*.[jy]*l")):
        assert (folder / file.name).read_bytes() == file.read_bytes(), file.name
