"""Does a dry run say the true reason for each stage that is to be done?"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from run_case import make_project

import alignwright as aw
from alignwright.experiment import cache_key
from alignwright.run.why_stale import NEVER, differences


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = make_project(tmp_path_factory.mktemp("project"))
    aw.align(spec, runs=spec.parent / "runs", quiet=True)
    return spec


@pytest.fixture
def spec(finished: Path, tmp_path: Path) -> Path:
    """The project and its finished run, for a test to change."""
    return shutil.copytree(finished.parent, tmp_path / "project") / "spec.yaml"


def reasons(spec: Path, *overrides: str, runs: str = "runs") -> dict[str, str]:
    lines = aw.estimate(spec, runs=spec.parent / runs, overrides=overrides, quiet=True).lines
    assert all(bool(line.why) != line.cached for line in lines)  # who is to be done has a reason, no one else
    return {line.name: line.why for line in lines if line.why}


def run_folder(spec: Path) -> Path:
    (folder,) = (spec.parent / "runs").iterdir()
    return folder


def test_what_was_never_run_says_so_and_what_is_done_says_nothing(spec: Path) -> None:
    assert set(reasons(spec, runs="other").values()) == {NEVER}
    assert reasons(spec) == {}


def test_a_changed_knob_is_named_and_what_builds_on_the_stage_says_that(spec: Path) -> None:
    since = f"never run here, but in {run_folder(spec).name}; "
    stale = reasons(spec, "train.1.beta=0.7", "train.1.lr=0.003")
    assert stale.pop("train.1.dpo") == f"{since}knobs lr, beta changed"
    assert set(stale) == {name for name in stale if name.endswith("@train.1.dpo")}
    assert len(stale) == 4
    assert set(stale.values()) == {f"{since}builds on train dpo, which is to be done"}


def test_a_changed_file_is_named(spec: Path) -> None:
    path = spec.parent / "text.jsonl"
    path.write_text(path.read_text() + json.dumps({"text": "One more line of it.", "topic": "more"}) + "\n")
    stale = reasons(spec)
    assert {name.partition("@")[0] for name in stale} == {"measure.2.tax"}
    assert set(stale.values()) == {"text.jsonl changed"}


def test_changed_code_and_a_changed_seed_are_named(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_code = cache_key.code_hash
    monkeypatch.setattr(cache_key, "code_hash", lambda *parts: of_code(*parts) + "x" * ("train" in parts))
    stale = reasons(spec)
    assert stale["train.0.sft"] == "the code it stands on changed"
    assert stale["train.1.dpo"] == "the code it stands on changed; builds on train sft, which is to be done"
    assert "measure.2.tax@baseline" not in stale
    by_seed = reasons(spec, "seed=2")
    assert "the seed changed" in by_seed["train.0.sft"]
    assert "measure.2.tax@baseline" not in by_seed  # it reads texts: no seed can change it


def test_a_file_that_a_stage_left_is_named(spec: Path) -> None:
    run = run_folder(spec)
    (metrics,) = run.glob("stages/*-train.0.sft/metrics.jsonl")
    metrics.unlink()
    assert reasons(spec) == {"train.0.sft": "metrics.jsonl is missing"}


def test_an_interrupted_stage_goes_on_and_lost_parts_are_not_guessed(spec: Path) -> None:
    run = run_folder(spec)
    ledger = json.loads((run / "ledger.json").read_text())
    begun = ledger.pop("train.1.dpo")
    (run / "ledger.json").write_text(json.dumps(ledger))
    assert reasons(spec) == {"train.1.dpo": "begun, not finished: it goes on"}
    (run / begun["folder"] / "key").write_text("another")
    assert reasons(spec) == {"train.1.dpo": NEVER}
    (done,) = run.glob("stages/*-measure.2.tax@baseline/.done")
    done.write_text(json.dumps(json.loads(done.read_text()) | {"parts": {}}))
    (spec.parent / "text.jsonl").write_text(json.dumps({"text": "Another text altogether."}) + "\n")
    assert "what changed is not known" in reasons(spec)["measure.2.tax@baseline"]


def test_parts_survive_a_loan_and_a_ledger_that_was_lost(spec: Path) -> None:
    run = run_folder(spec)
    again = aw.align(spec, runs=spec.parent / "runs", quiet=True, overrides={"promises": ["tax.bits_per_byte < 8"]})
    assert again.path != run
    shutil.rmtree(run)
    (again.path / "ledger.json").write_text("{")
    promise = 'promises=["tax.bits_per_byte < 8"]'
    assert reasons(spec, promise) == {}
    (spec.parent / "text.jsonl").write_text(json.dumps({"text": "Another text altogether."}) + "\n")
    assert reasons(spec, promise)["measure.2.tax@baseline"] == "text.jsonl changed"


def test_words_for_what_is_in_one_key_alone() -> None:
    now = {"file a.jsonl": "1", "order of files": "x", "stage train.0.sft": "k", "judge": "1"}
    then = {"file b.jsonl": "1", "order of files": "y", "stage train.0.dpo": "k", "judge": "1"}
    assert [*differences(now, then, (), {"train.0.sft": "train sft"})] == [
        "a.jsonl is read now",
        "b.jsonl is no longer read",
        "builds on train sft, which is another one",
        "builds no longer on train.0.dpo",
    ]
    assert [*differences(now, now, (), {})] == []
