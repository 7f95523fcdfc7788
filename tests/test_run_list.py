"""Does the list of runs say what each run's own files say, also of one that stopped and one that was
damaged?"""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from run_case import make_project

import alignwright as aw
from alignwright.run.run_list import age, run_list, show_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = make_project(tmp_path_factory.mktemp("project"))
    folder = spec.parent / "runs"
    aw.align(spec, runs=folder, quiet=True, overrides={"name": "whole"})
    return folder


def copied(runs: Path, folder: Path, name: str) -> Path:
    (whole,) = runs.iterdir()
    return shutil.copytree(whole, folder / name, copy_function=os.link)


def replaced(path: Path, text: str) -> None:
    path.unlink()  # a hard link of the run that the other tests read
    path.write_text(text)


def printed(folder: Path) -> str:
    stream = io.StringIO()
    show_runs(run_list(folder), folder, Console(file=stream, width=200))
    return stream.getvalue()


def test_a_whole_run_has_all_its_stages_and_answers(runs: Path) -> None:
    (summary,) = run_list(runs)
    run = aw.Run(summary.path)
    assert summary.done == summary.planned == len(json.loads((run.path / "ledger.json").read_text())) > 10
    assert summary.verdicts == run.promises
    assert (summary.at, summary.damage) == ("", "")
    assert run_list(run.path) == [summary]  # a run itself is a list of one
    for verdict in run.promises:
        assert f"{verdict.answer}: {verdict.promise}" in printed(runs)


def test_a_run_that_stopped_says_where(runs: Path, tmp_path: Path) -> None:
    run = copied(runs, tmp_path, "stopped")
    (run / "promises.json").unlink()
    ledger = json.loads((run / "ledger.json").read_text())
    names = list(ledger)
    place = names.index("train.1.dpo")
    replaced(run / "ledger.json", json.dumps({name: ledger[name] for name in names[:place]}))
    for name in names[place + 1 :]:
        shutil.rmtree(run / ledger[name]["folder"])
    (stopped,) = run_list(tmp_path)
    assert (stopped.done, stopped.planned) == (place, len(names))
    assert stopped.outcome == "not finished, at train.1.dpo"
    shutil.rmtree(run / ledger["train.1.dpo"]["folder"])  # killed between two stages
    assert run_list(tmp_path)[0].outcome == "not finished, at train.1.dpo"


def test_a_finished_run_that_is_done_again_says_both(runs: Path, tmp_path: Path) -> None:
    run = copied(runs, tmp_path, "again")
    ledger = json.loads((run / "ledger.json").read_text())
    del ledger["train.1.dpo"]
    replaced(run / "ledger.json", json.dumps(ledger))
    (summary,) = run_list(tmp_path)
    assert summary.verdicts is not None
    assert summary.outcome.endswith("; being done again, at train.1.dpo")


def test_damage_is_one_line_among_the_others(runs: Path, tmp_path: Path) -> None:
    copied(runs, tmp_path, "a-whole")
    cut, bits, names = (copied(runs, tmp_path, name) for name in ("cut", "bits", "\x1b[31mred"))
    replaced(cut / "promises.json", (cut / "promises.json").read_text()[:90])
    (bits / "spec" / "resolved.json").unlink()
    (bits / "spec" / "resolved.json").write_bytes(b"\xff\x00")
    replaced(names / "ledger.json", "[]")  # built again from what lies in the stages' folders
    (tmp_path / "notes.txt").write_text("no run")
    (tmp_path / "empty").mkdir()
    summaries = {summary.path.name: summary for summary in run_list(tmp_path)}
    assert len(summaries) == 4
    assert "promises.json" in summaries["cut"].damage
    assert "resolved.json" in summaries["bits"].damage
    assert summaries[names.name].done == summaries["a-whole"].done == summaries["a-whole"].planned
    lines = printed(tmp_path).splitlines()
    assert sum("damaged: " in line for line in lines) == 2
    assert len(lines) == 1 + 4 + 2 * 2  # the heading, a line a run, and two promises each of two
    assert "\x1b" not in printed(tmp_path)


def test_another_versions_spec_leaves_the_number_of_stages_open(runs: Path, tmp_path: Path) -> None:
    run = copied(runs, tmp_path, "older")
    spec = json.loads((run / "spec" / "resolved.json").read_text())
    replaced(run / "spec" / "resolved.json", json.dumps(spec | {"knob_of_another_version": 1}))
    (summary,) = run_list(tmp_path)
    assert summary.planned is None
    assert summary.done > 10
    assert summary.verdicts


def test_no_folder_and_no_run_are_words(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        run_list(tmp_path / "none")
    assert "no run in" in printed(tmp_path)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "just now"), (59, "just now"), (60, "1 minute ago"), (7_300, "2 hours ago"), (86_400 * 9, "9 days ago")],
)
def test_age_is_in_the_largest_whole_unit(seconds: float, words: str) -> None:
    assert age(seconds) == words
