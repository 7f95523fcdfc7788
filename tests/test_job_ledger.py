"""Does the ledger trust the right things, and nothing else?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from alignwright.job.ledger import Ledger, run_lock


def finished(run: Path, name: str, key: str, text: str) -> Ledger:
    ledger = Ledger(run)
    folder = ledger.folder(0, name, key)
    (folder / "out.txt").write_text(text)
    ledger.finish(name, key, folder, 1.0, 10)
    return ledger


def test_a_finished_job_is_found_by_its_key_alone(tmp_path: Path) -> None:
    finished(tmp_path / "run", "measure.0.tax@baseline", "k1", "result")
    again = Ledger(tmp_path / "run")
    found = again.finished_folder("measure.0.tax@baseline", "k1")
    assert found is not None
    assert (found / "out.txt").read_text() == "result"
    assert again.finished_folder("measure.0.tax@baseline", "k2") is None
    assert again.finished_folder("measure.1.tax@baseline", "k1") is None


def test_unfinished_work_is_kept_under_the_same_key_and_cleared_under_another(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "run")
    (ledger.folder(3, "train.0.sft", "k1") / "checkpoint").write_text("half way")
    assert (ledger.folder(3, "train.0.sft", "k1") / "checkpoint").exists()
    moved = ledger.folder(4, "train.0.sft", "k2")
    assert not (moved / "checkpoint").exists()
    assert not (tmp_path / "run" / "stages" / "03-train.0.sft").exists()


def test_a_sibling_run_lends_its_result(tmp_path: Path) -> None:
    finished(tmp_path / "one", "collect", "k1", "replies")
    found = Ledger(tmp_path / "two").finished_folder("collect", "k1")
    assert found is not None
    assert found.is_relative_to(tmp_path / "two")
    assert (found / "out.txt").read_text() == "replies"
    assert Ledger(tmp_path / "two").entries["collect"].key == "k1"


def test_a_deleted_result_is_done_again(tmp_path: Path) -> None:
    ledger = finished(tmp_path / "run", "collect", "k1", "replies")
    folder = ledger.finished_folder("collect", "k1")
    assert folder is not None
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert ledger.finished_folder("collect", "k1") is None


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with (
        run_lock(tmp_path / "run"),
        pytest.raises(RuntimeError, match="another alignwright"),
        run_lock(tmp_path / "run"),
    ):
        pass


def entry(run: Path, name: str) -> dict[str, Any]:
    return json.loads((run / "ledger.json").read_text())[name]


NO_LEDGERS = ["[]", "7", "null", '"text"', "", "{"]
NO_LEDGERS += ['{"collect": 1}', '{"collect": [1, 2]}', '{"collect": {"key": "k1"}}', "[" * 50_000, "\x00", "\ufeff{}"]


@pytest.mark.parametrize("text", NO_LEDGERS)
def test_what_is_no_ledger_beside_the_run_is_skipped(tmp_path: Path, text: str) -> None:
    finished(tmp_path / "good", "collect", "k1", "replies")
    (tmp_path / "alien").mkdir()
    (tmp_path / "alien" / "ledger.json").write_text(text)
    (tmp_path / "bytes").mkdir()
    (tmp_path / "bytes" / "ledger.json").write_bytes(b"\xff\xfe{}")
    mine = Ledger(tmp_path / "mine")
    assert mine.knows("collect", "k1")
    assert mine.finished_folder("measure.0.tax@baseline", "k1") is None
    assert mine.finished_folder("collect", "k1") is not None


OTHERS: list[dict[str, Any]] = [
    {"seconds": "1"},
    {"tokens": 1.5},
    {"files": {}},
    {"files": {"out.txt": 3}},
    {"files": []},
    {"key": None},
    {"more": 1},
]


@pytest.mark.parametrize("change", OTHERS)
def test_an_entry_of_another_version_is_none_of_ours(tmp_path: Path, change: dict[str, Any]) -> None:
    finished(tmp_path / "one", "collect", "k1", "replies")
    (tmp_path / "one" / "ledger.json").write_text(json.dumps({"collect": entry(tmp_path / "one", "collect") | change}))
    assert Ledger(tmp_path / "two").finished_folder("collect", "k1") is None


PLACES = ["..", ".", "", "/"]
PLACES += [
    "stages",
    "stages/",
    "stages/..",
    "stages/.",
    "stages/../..",
    "stages/../../mine",
    "stages/00-collect/..",
    "stages\\00-collect",
]


@pytest.mark.parametrize("place", [*PLACES, "stages/00-measure", "../one/stages/00-collect", "stages/\u0000-collect"])
def test_a_folder_is_one_name_under_stages(tmp_path: Path, place: str) -> None:
    """An entry that points elsewhere is not followed, and nothing is removed for it."""
    finished(tmp_path / "one", "collect", "k1", "replies")
    (tmp_path / "one" / "ledger.json").write_text(
        json.dumps({"collect": entry(tmp_path / "one", "collect") | {"folder": place}})
    )
    (tmp_path / "one" / "key").write_text("k1")
    kept = finished(tmp_path / "mine", "measure.0.tax@baseline", "k0", "mine")
    before = sorted(path for path in tmp_path.rglob("*"))
    assert not kept.knows("collect", "k1")
    assert kept.finished_folder("collect", "k1") is None
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_a_finished_folder_that_is_damaged_is_begun_anew_and_no_half_of_it_is_continued(tmp_path: Path) -> None:
    ledger = finished(tmp_path / "run", "train.0.sft", "k1", "weights")
    (ledger.run / "stages" / "00-train.0.sft" / "out.txt").write_text("weightz")
    assert ledger.finished_folder("train.0.sft", "k1") is None
    told = "out.txt is not what the stage left (same size, other content); the stage is done again"
    assert [line.rpartition(": ")[2] for line in ledger.warnings] == [told]
    folder = ledger.folder(0, "train.0.sft", "k1")
    assert [path.name for path in folder.iterdir()] == ["key"]
    (folder / "checkpoint").write_text("half way")  # killed here
    assert (Ledger(tmp_path / "run").folder(0, "train.0.sft", "k1") / "checkpoint").exists()


def test_a_sibling_is_passed_over_for_one_that_is_whole(tmp_path: Path) -> None:
    bad = finished(tmp_path / "a", "collect", "k1", "replies")
    finished(tmp_path / "b", "collect", "k1", "replies")
    (bad.run / "stages" / "00-collect" / "out.txt").unlink()
    mine = Ledger(tmp_path / "mine")
    found = mine.finished_folder("collect", "k1")
    assert found is not None
    assert (found / "out.txt").read_text() == "replies"
    assert ["out.txt is missing; it is not taken over" in line for line in mine.warnings] == [True]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"collect": {"key": "k1", "folder": "stages/00-collect", "seconds": 1}}']
)
def test_an_own_ledger_that_cannot_be_read_is_built_again_from_the_stages(tmp_path: Path, text: str) -> None:
    finished(tmp_path / "run", "collect", "k1", "replies")
    finished(tmp_path / "run", "measure.0.tax@baseline", "k2", "numbers")
    whole = (tmp_path / "run" / "ledger.json").read_text()
    (tmp_path / "run" / "ledger.json").write_text(text)
    again = Ledger(tmp_path / "run")
    assert "2 finished stages are known" in again.warnings[0]
    assert (tmp_path / "run" / "ledger.json").read_text() == text  # looking changes nothing
    assert again.finished_folder("collect", "k1") is not None
    finished(tmp_path / "run", "aggregate.pooled", "k3", "votes")
    assert (tmp_path / "run" / "ledger.json.damaged").read_text() == text
    assert json.loads((tmp_path / "run" / "ledger.json").read_text()).keys() == {*json.loads(whole), "aggregate.pooled"}
