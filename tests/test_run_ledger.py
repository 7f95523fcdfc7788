"""Does the ledger trust the right things, and nothing else?"""

from __future__ import annotations

from pathlib import Path

import pytest

from alignwright.run.ledger import Ledger, only_one


def finished(run: Path, name: str, key: str, text: str) -> Ledger:
    ledger = Ledger(run)
    folder = ledger.folder(0, name, key)
    (folder / "out.txt").write_text(text)
    ledger.finish(name, key, folder, 1.0, 10)
    return ledger


def test_a_finished_job_is_found_by_its_key_alone(tmp_path: Path) -> None:
    finished(tmp_path / "run", "measure.0.tax@baseline", "k1", "result")
    again = Ledger(tmp_path / "run")
    found = again.done("measure.0.tax@baseline", "k1")
    assert found is not None
    assert (found / "out.txt").read_text() == "result"
    assert again.done("measure.0.tax@baseline", "k2") is None
    assert again.done("measure.1.tax@baseline", "k1") is None


def test_unfinished_work_is_kept_under_the_same_key_and_cleared_under_another(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "run")
    (ledger.folder(3, "train.0.sft", "k1") / "checkpoint").write_text("half way")
    assert (ledger.folder(3, "train.0.sft", "k1") / "checkpoint").exists()
    moved = ledger.folder(4, "train.0.sft", "k2")
    assert not (moved / "checkpoint").exists()
    assert not (tmp_path / "run" / "stages" / "03-train.0.sft").exists()


def test_a_sibling_run_lends_its_result(tmp_path: Path) -> None:
    finished(tmp_path / "one", "collect", "k1", "replies")
    found = Ledger(tmp_path / "two").done("collect", "k1")
    assert found is not None
    assert found.is_relative_to(tmp_path / "two")
    assert (found / "out.txt").read_text() == "replies"
    assert Ledger(tmp_path / "two").entries["collect"].key == "k1"


def test_a_deleted_result_is_done_again(tmp_path: Path) -> None:
    ledger = finished(tmp_path / "run", "collect", "k1", "replies")
    folder = ledger.done("collect", "k1")
    assert folder is not None
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert ledger.done("collect", "k1") is None


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with only_one(tmp_path / "run"), pytest.raises(RuntimeError, match="another alignwright"), only_one(tmp_path / "run"):
        pass
