"""Has each run a folder of its own, and the same one whenever its spec is run again?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from run_case import make_project

import alignwright as aw
from alignwright.experiment.experiment import resolve_effort
from alignwright.experiment.load import load
from alignwright.run.run_path import run_path
from alignwright.run.sweep.members import members_of

SPEC = """
name: small
model: ./model
intent: {pairs: [pairs.jsonl]}
feedback: [{by: written}]
train: [{by: sft, data: chosen, epochs: 1, rank: 2, batch_tokens: 200}]
measure: [{by: value, pairs: [held.jsonl]}]
promises: [value.pairs.gain > -1]
"""


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two projects of one spec and other data."""
    folder, paths = tmp_path_factory.mktemp("projects"), list[Path]()
    for name in ("one", "two"):
        path = make_project(folder / name)
        path.write_text(SPEC)
        paths.append(path)
    held = paths[1].parent / "held.jsonl"
    held.write_text("".join(held.read_text().splitlines(keepends=True)[:-1]))
    return paths


def test_two_specs_of_the_same_words_in_two_folders_are_two_runs(specs: list[Path]) -> None:
    runs = specs[0].parent.parent / "runs"
    one, two = (aw.align(spec, runs=runs, quiet=True) for spec in specs)
    assert one.path != two.path
    counts = [run.findings.of("value.pairs", "baseline")[0].n for run in (one, two)]
    assert counts[0] > counts[1]  # each has the findings of its own data
    before = [(path / "findings.jsonl").read_bytes() for path in (one.path, two.path)]
    again = [aw.align(spec, runs=runs, quiet=True).path for spec in specs]
    assert again == [one.path, two.path]
    assert [(path / "findings.jsonl").read_bytes() for path in again] == before
    # the second keeps its folder when the first run is gone
    (one.path / "spec" / "provenance.json").rename(one.path / "provenance.json")
    assert run_path(runs, resolve_effort(load(specs[1]))) == two.path
    (one.path / "provenance.json").rename(one.path / "spec" / "provenance.json")


def test_a_project_that_moved_keeps_its_run_and_so_does_one_of_before_the_note(
    specs: list[Path], tmp_path: Path
) -> None:
    experiment = resolve_effort(load(specs[0]))
    first = run_path(tmp_path, experiment)
    assert first == tmp_path / f"small-{experiment.id[:6]}"
    (first / "spec").mkdir(parents=True)
    (first / "spec" / "spec.yaml").write_text(SPEC)
    (tmp_path / "elsewhere").mkdir()  # a folder that is there, without the spec: the run was copied
    for noted in ({}, *({"spec_folder": to} for to in ("../../where/it/was", "../elsewhere", str(specs[0].parent)))):
        (first / "spec" / "provenance.json").write_text(json.dumps(noted))
        assert run_path(tmp_path, experiment) == first
    (first / "spec" / "provenance.json").write_text(json.dumps({"spec_folder": str(specs[1].parent)}))
    assert run_path(tmp_path, experiment) != first  # the control
    assert run_path(tmp_path, experiment).name.startswith("small-")


def test_what_seeds_come_to_lies_apart_too(specs: list[Path]) -> None:
    runs = specs[0].parent.parent / "seeds"
    one, two = (aw.align(spec, overrides={"seeds": 2}, runs=runs, quiet=True) for spec in specs)
    assert one.path != two.path
    members = [[member.folder for member in members_of(run.path).runs] for run in (one, two)]
    assert not set(members[0]) & set(members[1])
    assert aw.align(specs[0], overrides={"seeds": 2}, runs=runs, quiet=True).path == one.path
