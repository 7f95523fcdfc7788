"""Is a file that a run wrote and that was damaged afterwards either made again or told of by its
name, and never believed?

An interrupted training stage leaves files for the next try, which no ledger knows. Each of them is
cut by one byte, emptied, or replaced, and the same command is run again: it must end with the bytes
of a run that was never interrupted, or with one line that names the file and what to delete; and
when that is deleted, with those bytes.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from test_cli import run as command
from test_measure_goodhart_run import DRAW, LOOP, STOP, stopping
from test_run_methods import METHODS
from test_run_methods import project as methods
from test_train_stopping import Killed, dies_at

from alignwright.run import align as run_align
from alignwright.run.align import Request, align
from alignwright.run.progress import View
from alignwright.train import ensemble, loop
from alignwright.train import stopping as watching

OFTEN = LOOP.replace("checkpoint_every: 3", "checkpoint_every: 1")
SAVED = (loop, "save_checkpoint")
CASES: dict[str, tuple[Callable[[Path, Any], Path], Any, tuple[Any, str], int]] = {
    "dpo, watched": (stopping, f"{{by: dpo, {OFTEN}, epochs: 4, {STOP}}}", SAVED, 2),
    "rloo, watched": (stopping, f"{{by: rloo, {DRAW.replace(LOOP, OFTEN)}, kl_coef: 0.0, {STOP}}}", SAVED, 1),
    "best of n, hedged": (
        stopping,
        f"{{by: best_of_n, {DRAW.replace('epochs: 10', 'epochs: 2')}, {STOP}}}",
        (watching, "write_json"),
        1,
    ),
    "two reward models": (methods, METHODS["reward"], SAVED, 2),
    "an average of reward models": (
        methods,
        [METHODS["reward"][0].replace("combine: worst", "combine: weights")],
        (ensemble, "drop_members"),
        1,
    ),
}
"""A spec, and the so-manyth call of a function after which the run is killed."""
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[:-1],
    "emptied": lambda data: b"",
    "another kind": lambda data: b"{}\n" if data[:1] in (b"{", b"[") else b"[1, 2\xff",
}


SECONDS = re.compile(rb'"seconds": [0-9.e-]+, ')
TOLD = re.compile(
    r"alignwright: (?P<file>\S+): .*, so it is not as the run left it; delete (?P<remedy>\S+) and run the same"
    r" command again, which makes anew what was in it\n\(ALIGNWRIGHT_TRACEBACK=1 shows where\)\n"
)
NOT_GONE_ON_FROM = {
    "dpo, watched": {"state.json", "state.safetensors", "metrics.jsonl", "gold_evals.jsonl", "reference.safetensors"},
    "rloo, watched": {"state.json", "state.safetensors", "metrics.jsonl", "gold_evals.jsonl", "samples.jsonl"},
    "best of n, hedged": {"hedge.json"},
    "two reward models": {"member-0", "state.json", "metrics.jsonl"},
    "an average of reward models": {"average", "member-0"},
}
"""At least these are told of; what else is damaged is made anew."""


def killed(monkeypatch: pytest.MonkeyPatch, spec: Path, runs: Path, where: tuple[Any, str], time: int) -> None:
    with monkeypatch.context() as patched:
        at, name = where
        for module in {at, sys.modules["alignwright.train.reward"]}:
            if hasattr(module, name):
                patched.setattr(module, name, dies_at(time, getattr(at, name), True))
        with pytest.raises(Killed):
            align(Request(spec, runs=runs), View(Console(file=io.StringIO())))


def stage(runs: Path) -> Path:
    (folder,) = runs.glob("*/stages/*-train.0.*")
    return folder


@pytest.mark.parametrize("case", CASES)
def test_what_an_interrupted_stage_left_is_gone_on_from_or_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    make, kind, where, time = CASES[case]
    monkeypatch.setattr(run_align, "keep_models", lambda *_: None)  # which is none of the stage's own
    spec = make(tmp_path, kind)
    runs = [tmp_path / name for name in ("straight", "killed", "damaged")]
    align_it = ("align", spec, "--until", "train.0", "--runs")
    codes = {command(monkeypatch, capsys, *align_it, runs[0])[0]}
    straight = result(runs[0])
    killed(monkeypatch, spec, runs[1], where, time)
    files = [path.relative_to(runs[1]) for path in sorted(stage(runs[1]).rglob("*")) if path.is_file()]
    files = [file for file in files if "average" not in case or "member-1" not in file.parts]  # as the other
    assert len(files) > 3
    named, mended = set[str](), set[str]()
    for file in files:
        for damage, change in DAMAGES.items():
            if damage == "another kind" and file.name not in ("state.json", "hedge.json", "head.safetensors"):
                continue
            shutil.rmtree(runs[2], ignore_errors=True)
            shutil.copytree(runs[1], runs[2])
            path = runs[2] / file
            path.write_bytes(change(path.read_bytes()))
            code, out, err = command(monkeypatch, capsys, *align_it, runs[2])
            what = f"{file}, {damage}: {code} {out} {err}"
            if code == 2:
                line = TOLD.fullmatch(err)
                assert line, what
                assert Path(line["file"]).is_relative_to(stage(runs[2])), what
                named.add(Path(line["file"]).name)
                if line["remedy"] in mended:
                    continue
                mended.add(line["remedy"])
                shutil.rmtree(line["remedy"])
                code, out, err = command(monkeypatch, capsys, *align_it, runs[2])
                what = f"{file}, {damage}, {line['remedy']} deleted: {code} {out} {err}"
            assert {code} == codes, what
            assert differing(result(runs[2]), straight) == [], what
    assert named >= NOT_GONE_ON_FROM[case]


def result(runs: Path) -> dict[str, bytes]:
    """What the stage left, but for how long its steps took and what is no part of a result."""
    files = {path.relative_to(stage(runs)): path for path in sorted(stage(runs).rglob("*")) if path.is_file()}
    found = {str(name): path.read_bytes() for name, path in files.items() if not name.name.startswith(".")}
    return {name: SECONDS.sub(b"", data).rstrip(b"\n") for name, data in found.items()}


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
