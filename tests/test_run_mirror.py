"""Does a mirror show what the run logged, each step once, and leave the run as it would be without?"""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from run_case import make_project

import alignwright as aw
from alignwright.experiment.load import SpecError, load
from alignwright.run.mirror import beside
from alignwright.run.mirror.beside import MirrorProcess
from alignwright.run.mirror.curves import stage_folders, steps_of
from alignwright.run.mirror.process import Sender
from alignwright.run.progress import View

SHORT: dict[str, Any] = {
    "collect": None,
    "intent.prompts": [],
    "feedback": [{"by": "written"}],
    "measure": [{"by": "tax", "text": ["text.jsonl"]}],
    "attack": [],
    "promises": ["tax.bits_per_byte < 9"],
}


def log(stage: Path, first: int, to: int, key: str = "k1", **more: object) -> None:
    """What a training stage leaves: its key, and steps `first` to `to` after those that are there."""
    stage.mkdir(parents=True, exist_ok=True)
    (stage / "key").write_text(key)
    with (stage / "metrics.jsonl").open("a") as file:
        for step in range(first, to):
            values = {"loss": 3.0 - 0.1 * step, "lr": 1e-5 * step, "metrics": {"reward": step / 7}}
            file.write(json.dumps({"step": step, "steps": 20, **values, **more}) + "\n")


def cut(stage: Path, steps: int) -> None:
    """As a resumed stage does: its log ends where its checkpoint was taken."""
    lines = (stage / "metrics.jsonl").read_text().splitlines(keepends=True)
    (stage / "metrics.jsonl").write_text("".join(lines[:steps]))


def send(run: Path, mirror: str, *, close: bool = True) -> None:
    folder = run / "mirrors" / mirror
    folder.mkdir(parents=True, exist_ok=True)
    sender = Sender(run, mirror, "small", folder)
    sender.send_new()
    if close:
        sender.close()


def scalars(run: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """By stage and name, as TensorBoard itself reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for folder in sorted(path for path in (run / "mirrors" / "tensorboard").iterdir() if path.is_dir()):
        events = EventAccumulator(str(folder))
        events.Reload()
        tags = events.Tags()["scalars"]
        curves[folder.name] = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}
    return curves


def test_tensorboard_reads_what_the_run_logged_and_the_run_is_the_same_without(tmp_path: Path) -> None:
    spec = make_project(tmp_path / "project")
    run = aw.align(spec, runs=tmp_path / "a", overrides={"mirrors": ["tensorboard"], **SHORT}, quiet=True)
    curves = scalars(run.path)
    stages = {stage.curve_id: stage for stage in stage_folders(run.path)}
    assert [name[:11] for name in stages] == ["train.0.sft", "train.1.dpo"]
    assert curves.keys() == stages.keys()
    for name, stage in stages.items():
        logged = [json.loads(line) for line in (stage.path / "metrics.jsonl").read_text().splitlines()]
        assert len(logged) > 2
        assert curves[name].keys() == {*logged[0], *logged[0]["metrics"]} - {"step", "steps", "metrics"}
        for tag, points in curves[name].items():
            values = [(row["step"], row[tag] if tag in row else row["metrics"][tag]) for row in logged]
            assert [step for step, _ in points] == [step for step, _ in values]
            assert [value for _, value in points] == pytest.approx([value for _, value in values], rel=1e-6)
    plain = aw.align(spec, runs=tmp_path / "b", overrides=SHORT, quiet=True)
    assert plain.path.name == run.path.name
    assert not (plain.path / "mirrors").exists()
    keys = [
        {name: entry["key"] for name, entry in json.loads((r.path / "ledger.json").read_text()).items()}
        for r in (run, plain)
    ]
    assert keys[0] == keys[1]
    assert (run.path / "findings.jsonl").read_bytes() == (plain.path / "findings.jsonl").read_bytes()


def test_a_stage_that_is_resumed_goes_on_in_its_curve_without_double_steps(tmp_path: Path) -> None:
    stage = tmp_path / "stages" / "03-train.0.sft"
    log(stage, 0, 7)
    send(tmp_path, "tensorboard")
    cut(stage, 4)  # the run was killed; its checkpoint is of step 4
    send(tmp_path, "tensorboard")
    log(stage, 4, 10)
    with (stage / "metrics.jsonl").open("a") as file:
        file.write('{"step": 10, "lo')  # a line that is being written
    send(tmp_path, "tensorboard")
    (curve,) = scalars(tmp_path).values()
    assert [step for step, _ in curve["loss"]] == list(range(10))
    assert [value for _, value in curve["reward"]] == pytest.approx([step / 7 for step in range(10)])
    # the mirror itself was killed before it noted what it had sent: TensorBoard drops what comes twice
    (tmp_path / "mirrors" / "tensorboard" / "sent.json").unlink()
    send(tmp_path, "tensorboard")
    (curve,) = scalars(tmp_path).values()
    assert [step for step, _ in curve["loss"]] == list(range(10))


def test_a_stage_that_is_trained_anew_gets_a_curve_of_its_own(tmp_path: Path) -> None:
    stage = tmp_path / "stages" / "03-train.0.sft"
    log(stage, 0, 5)
    send(tmp_path, "tensorboard")
    shutil.rmtree(stage)
    log(stage, 0, 3, key="k2")
    send(tmp_path, "tensorboard")
    lengths = {name: len(curve["loss"]) for name, curve in scalars(tmp_path).items()}
    assert lengths == {"train.0.sft-k1": 5, "train.0.sft-k2": 3}


def test_members_of_a_reward_model_are_seen_as_the_stage_will_join_them(tmp_path: Path) -> None:
    stage = tmp_path / "stages" / "04-train.0.reward"
    (stage).mkdir(parents=True)
    (stage / "key").write_text("k1")
    log(stage / "member-0", 0, 20)
    log(stage / "member-1", 0, 2)
    (one,) = stage_folders(tmp_path)
    live = list(steps_of(one))
    assert [step for step, _ in live] == list(range(22))
    assert [values["member"] for _, values in live] == [0.0] * 20 + [1.0] * 2
    log(stage, 0, 20, member=0)
    for step in (0, 1):  # joined: the second member's steps come after those of the first
        log(stage, step, step + 1, member=1)
    text = (stage / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in text]
    rows[20:] = [row | {"step": row["step"] + 20} for row in rows[20:]]
    (stage / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert list(steps_of(one)) == live


def test_trackio_has_each_step_once_under_the_names_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    stage = tmp_path / "run" / "stages" / "03-train.0.sft"
    log(stage, 0, 6)
    in_a_process(tmp_path / "run", "trackio")
    cut(stage, 4)
    log(stage, 4, 9)
    in_a_process(tmp_path / "run", "trackio")
    with sqlite3.connect(tmp_path / "trackio" / "small.db") as store:
        rows = store.execute("select run_name, step, metrics from metrics order by step").fetchall()
    assert [(name, step) for name, step, _ in rows] == [("run/train.0.sft-k1", step) for step in range(9)]
    first = json.loads(rows[3][2])
    assert {name: first[name] for name in ("loss", "reward", "lr")} == {
        "loss": 3.0 - 0.1 * 3,
        "reward": 3 / 7,
        "lr": 1e-5 * 3,
    }


def test_wandb_offline_has_each_step_once_and_nothing_but_the_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    stage = tmp_path / "run" / "stages" / "03-train.0.sft"
    log(stage, 0, 6)
    in_a_process(tmp_path / "run", "wandb")
    cut(stage, 4)
    log(stage, 4, 9)
    in_a_process(tmp_path / "run", "wandb")
    steps: list[tuple[int, dict[str, Any]]] = []
    ids: set[tuple[str, str, str]] = set()
    for file in sorted(
        (tmp_path / "run" / "mirrors" / "wandb").glob("wandb/offline-run-*/*.wandb"), key=os.path.getmtime
    ):
        for record in wandb_records(file):
            if record.WhichOneof("record_type") == "run":
                ids.add((record.run.project, record.run.run_id, record.run.run_group))
                assert not record.run.git.commit
            if record.WhichOneof("record_type") == "history":
                values = {
                    item.nested_key[0] if item.nested_key else item.key: json.loads(item.value_json)
                    for item in record.history.item
                }
                steps.append((record.history.step.num, values))
    assert ids == {("small", "run-train.0.sft-k1", "run")}
    assert [step for step, _ in steps] == list(range(9))
    assert steps[3][1]["loss"] == 3.0 - 0.1 * 3
    assert steps[3][1]["reward"] == 3 / 7


def wandb_records(file: Path) -> Iterator[Any]:
    """The records of a wandb file: a leveldb log (blocks of 32 KiB, each record in one part or
    several) behind a header of seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, parts = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(parts)
            parts = b""


def in_a_process(run: Path, mirror: str) -> list[str]:
    """As a run does it; what was said."""
    screen = io.StringIO()
    process = MirrorProcess(mirror, "small", run, View(Console(file=screen, width=500)))
    process.finish()
    assert screen.getvalue() == ""
    return screen.getvalue().splitlines()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import sys; sys.stdin.read(); sys.exit(3)", "its process ended with code 3"),
        ('import sys; print(\'{"failure": "ConnectionError: no\\\\nroute"}\'); sys.exit(1)', "ConnectionError: no"),
        ("import time; time.sleep(60)", "not done 0 s after the run; the same command sends the rest"),
        ("print('{} or whatever')", "its process ended with code 0"),
    ],
)
def test_a_mirror_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    monkeypatch.setattr(beside, "COMMAND", (sys.executable, "-c", script))
    monkeypatch.setattr(beside, "PATIENCE", 0.3 if "sleep" in script else 20.0)
    screen = io.StringIO()
    MirrorProcess("wandb", "small", tmp_path, View(Console(file=screen, width=500))).finish()
    (line,) = screen.getvalue().splitlines()
    assert line.startswith(f"mirror wandb: {words}")


def test_a_run_whose_mirror_has_no_login_is_the_run_that_it_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / "netrc"))
    spec = make_project(tmp_path / "project")
    run = aw.align(spec, runs=tmp_path / "a", overrides={"mirrors": ["wandb"], **SHORT})
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("mirror")]
    assert len(said) == 1
    assert "No API key configured" in said[0]
    plain = aw.align(spec, runs=tmp_path / "b", overrides=SHORT, quiet=True)
    assert (run.path / "findings.jsonl").read_bytes() == (plain.path / "findings.jsonl").read_bytes()
    assert (run.exit_code, run.verdict) == (plain.exit_code, plain.verdict)


@pytest.mark.parametrize(
    ("mirrors", "words"),
    [
        ("[tensorbord]", "did you mean 'tensorboard'?"),
        ("[tensorboard, tensorboard]", "mirrors.1: tensorboard is named twice"),
        ("[trackio]", "mirrors.0: trackio is not installed: pip install 'alignwright[trackio]', or leave it out"),
    ],
)
def test_a_mirror_that_cannot_be_is_told_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirrors: str, words: str
) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "trackio" else real(name, *more)
    )
    spec = make_project(tmp_path)
    spec.write_text(spec.read_text() + f"mirrors: {mirrors}\n")
    line = len(spec.read_text().splitlines())
    with pytest.raises(SpecError) as error:
        load(spec)
    assert f"spec.yaml:{line}: mirrors" in str(error.value)
    assert words in str(error.value)


def test_a_mirror_of_nothing_is_an_error(tmp_path: Path) -> None:
    spec = make_project(tmp_path)
    with pytest.raises(SpecError, match="mirrors: has no effect: it shows the curves of training"):
        load(spec, ("mirrors=[tensorboard]", "train=[]", "collect=null", "feedback=[]", "promises=[]"))
