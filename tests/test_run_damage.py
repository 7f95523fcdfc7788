"""Is a finished run believed only as long as its files are what its stages left?"""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from run_case import make_project

from alignwright.run.align import Request, align, estimate
from alignwright.run.progress import View

LAST = "measure.2.tax@train.1.dpo"


def run(project: Path, runs: Path) -> tuple[Path, list[str]]:
    """The run's folder, and the lines of the terminal."""
    out = io.StringIO()
    folder = align(Request(project, runs=runs), View(Console(file=out, width=400)))
    return folder, out.getvalue().splitlines()


def stage(folder: Path, name: str) -> Path:
    (found,) = (path for path in (folder / "stages").iterdir() if path.name.partition("-")[2] == name)
    return found


def redone(lines: list[str]) -> list[str]:
    return [line.removeprefix("✓ ").partition("  ")[0] for line in lines if line.startswith("✓")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A project and a run of it that came to its end."""
    project = make_project(tmp_path_factory.mktemp("project"))
    return project, run(project, project.parent / "runs")[0]


@pytest.fixture
def finished(whole: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    project, folder = whole
    shutil.copytree(folder, tmp_path / "runs" / folder.name)
    return project, tmp_path / "runs" / folder.name


def remove_outcomes(folder: Path) -> str:
    (folder / "outcomes.jsonl").unlink()
    return "outcomes.jsonl is missing"


def remove_three_lines(folder: Path) -> str:
    path = folder / "outcomes.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-3]))
    return "outcomes.jsonl has "


def change_a_digit(folder: Path) -> str:
    """Same size, same time stamp, another number."""
    path = folder / "outcomes.jsonl"
    kept = path.stat()
    text = path.read_text()
    at = text.index('"value":') + len('"value":')
    path.write_text(text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :])
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert path.stat().st_size == kept.st_size
    return "outcomes.jsonl is not what the stage left"


def add_findings(folder: Path) -> str:
    (folder / "findings.jsonl").write_text("")
    return "findings.jsonl was not left by the stage"


@pytest.mark.parametrize("damage", [remove_outcomes, remove_three_lines, change_a_digit, add_findings])
def test_a_measurement_that_is_not_as_it_was_left_is_done_again_and_said(finished, damage):
    project, folder = finished
    before = {name: (folder / name).read_bytes() for name in ("findings.jsonl", "promises.json")}
    said = damage(stage(folder, LAST))
    assert any(said in line for line in estimate(Request(project, runs=folder.parent)).notes)
    _, lines = run(project, folder.parent)
    assert redone(lines) == ["measure tax, after dpo"]
    assert any(said in line and "done again" in line and LAST in line for line in lines)
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert not redone(run(project, folder.parent)[1])  # and all is well afterwards


def test_a_bit_that_flipped_in_an_adapter_is_seen_and_the_adapter_trained_again(finished):
    project, folder = finished
    (path,) = (stage(folder, "train.1.dpo") / "adapter").glob("*.safetensors")
    kept, right = path.stat(), path.read_bytes()
    path.write_bytes(right[:-40] + bytes([right[-40] ^ 4]) + right[-39:])
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    _, lines = run(project, folder.parent)
    assert redone(lines) == ["train dpo"]
    assert path.read_bytes() == right


def test_damage_behind_a_hard_link_is_neither_kept_nor_lent(finished):
    project, folder = finished
    other = folder.with_name("other")
    shutil.copytree(folder, other, copy_function=lambda a, b: os.link(a, b))
    change_a_digit(stage(folder, LAST))  # one file, two names
    _, lines = run(project, folder.parent)
    assert redone(lines) == ["measure tax, after dpo"]
    assert any(str(other) in line and "is not taken over" in line for line in lines)
    right = (stage(folder, LAST) / "outcomes.jsonl").read_bytes()
    shutil.rmtree(folder)
    _, lines = run(project, folder.parent)  # all of the other run but the damaged stage
    assert redone(lines) == ["measure tax, after dpo", "save the model"]
    assert (stage(folder, LAST) / "outcomes.jsonl").read_bytes() == right


def test_a_ledger_that_was_cut_short_loses_nothing(finished):
    project, folder = finished
    path = folder / "ledger.json"
    whole, short = json.loads(path.read_text()), path.read_text()[: path.stat().st_size // 2]
    path.write_text(short)
    _, lines = run(project, folder.parent)
    assert not redone(lines)
    assert any("cut short" in line and f"{len(whole)} finished stages are known" in line for line in lines)
    (stage(folder, LAST) / "outcomes.jsonl").unlink()
    run(project, folder.parent)  # the first write sets the old file aside
    assert (folder / "ledger.json.damaged").read_text() == short
    assert json.loads(path.read_text()).keys() == whole.keys()


def test_the_model_that_is_handed_on_is_written_again_when_it_is_no_longer_the_measured_one(finished):
    project, folder = finished
    path = folder / "model" / "model.safetensors"
    right = path.read_bytes()
    path.write_bytes(right[:-40] + bytes([right[-40] ^ 4]) + right[-39:])
    _, lines = run(project, folder.parent)
    assert redone(lines) == ["save the model"]
    assert any("model.safetensors is not what the stage left" in line for line in lines)
    assert path.read_bytes() == right
