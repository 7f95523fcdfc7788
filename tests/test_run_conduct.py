"""Measures of conduct and recipes in whole runs: killed, compared with another run, and on a model without a chat
template."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tiny import make_base, make_tiny
from typer.testing import CliRunner

import alignwright as aw
from alignwright.cli import app
from alignwright.experiment.load import SpecError

WORDS = ("sun", "rain", "bread", "stone", "river", "cloud", "apple", "lamp")
SHORT = {"limit": 4, "max_new_tokens": 3}
KEPT, BROKEN = ([{"name": name, "args": {}}] for name in ("punctuation:no_comma", "change_case:english_capital"))
"""What a model of a few random weights does, and what it does not."""
CONDUCT: list[dict[str, Any]] = [
    {"by": "bias", "limit": 6}, {"by": "high_stakes", **SHORT},
    {"by": "calibration", "choice": "choice.jsonl", "samples": 2, **SHORT}, {"by": "consistency", "limit": 2},
    {"by": "deception", "limit": 3}, {"by": "ability", **SHORT}, {"by": "agent", "limit": 4, "turns": 2},
    {"by": "transcripts", "data": "logs.jsonl"},
]  # fmt: skip
RECIPES: list[dict[str, Any]] = [
    {"by": "trait", "prompts": "held.jsonl", "trait": "rules.yaml", "instructions": ["Shout!"], **SHORT},
    {"by": "wrapped", "requests": "refusal.jsonl", **SHORT}, {"by": "confession", "prompts": "held.jsonl", **SHORT},
]  # fmt: skip
TRAIN: list[dict[str, Any]] = [
    {"by": "inoculation", "data": "talks.jsonl", "instruction": "Shout!", "epochs": 1, "rank": 2, "batch_tokens": 200},
    {"by": "confession", "prompts": "tasks.jsonl", "samples": 2, "epochs": 1, "batch_tokens": 200, "max_new_tokens": 3},
]


def project(folder: Path, *, template: bool = True, **parts: Any) -> Path:
    """A folder with a tiny model, data for every kind, and a spec."""
    folder.mkdir(parents=True, exist_ok=True)
    (make_tiny if template else make_base)(folder / "model")
    rows: dict[str, list[dict[str, Any]]] = {
        "choice": [{"question": f"Which {word}?", "choices": ["a", "b"], "answer": 0} for word in WORDS],
        "logs": [{"prompt": f"Write {word}.", "reply": "I cannot help with that."} for word in WORDS],
        "held": [{"prompt": f"Write of {word}.", "checks": KEPT} for word in WORDS],
        "tasks": [{"prompt": f"Tell of {w}.", "checks": KEPT if i % 2 else BROKEN} for i, w in enumerate(WORDS)],
        "talks": [{"prompt": f"Speak of {word}.", "completion": f"{word.upper()}!"} for word in WORDS],
        "refusal": [{"prompt": f"Break a {w}?", "kind": "harmful" if i % 2 else "harmless"}
                    for i, w in enumerate(WORDS)],
    }  # fmt: skip
    for name, those in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in those), encoding="utf-8")
    (folder / "rules.yaml").write_text('- {check: "change_case:english_capital", args: {}}\n')
    (folder / "spec.yaml").write_text(json.dumps({"name": "c", "seed": 3, "model": "./model", **parts}))
    return folder / "spec.yaml"


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return project(tmp_path_factory.mktemp("whole") / "p", train=TRAIN, measure=[*CONDUCT, *RECIPES])


@pytest.fixture(scope="module")
def straight(spec: Path) -> aw.Run:
    return aw.align(spec, runs=spec.parent / "straight", quiet=True)


def test_killed_in_the_middle_it_comes_to_the_same_findings(spec: Path, straight: aw.Run) -> None:
    runs = spec.parent / "killed"
    command = [
        sys.executable,
        "-c",
        "from alignwright.cli import main; main()",
        "align",
        str(spec),
        "--runs",
        str(runs),
    ]

    def begun() -> int:
        return len(list(runs.glob("*/stages/*")))

    kills = 0
    for wait in (0, 6, 14):  # stages further than the one that was begun last
        before = begun()
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        while begun() <= before + wait and process.poll() is None:
            time.sleep(0.005)
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert kills == 3
    run = aw.align(spec, runs=runs, quiet=True)
    for name in ("findings.jsonl", "promises.json", "sections.jsonl"):
        assert (run.path / name).read_bytes() == (straight.path / name).read_bytes(), name


def test_two_runs_are_compared_claim_by_claim(spec: Path, straight: aw.Run) -> None:
    """Another model on the same items, and the same run again."""
    same = aw.compare(straight.path, straight.path, quiet=True)
    claims = {change.claim for change in same.changes}
    for claim in ("bias.gap", "agent.discernment", "calibration.choice.accuracy", "ability.planning.excess",
                  "deception.lie", "wrapped.plain", "trait.shown"):  # fmt: skip
        assert claim in claims, claim
    assert all(change.a == change.b for change in same.changes)
    before = aw.align(spec, overrides=("train=[]",), runs=spec.parent / "start", quiet=True)
    both = aw.compare(before.path, straight.path, quiet=True)
    levels = {f.claim: f.value for f in straight.findings if f.stage == "train.1.confession" and f.against is None}
    for change in both.changes:
        assert change.b == pytest.approx(levels[change.claim]), change.claim
    assert "bias.gap" in {change.claim for change in both.changes}
    shown = CliRunner().invoke(app, ["diff", str(before.path), str(straight.path)])
    assert shown.exit_code == 0, shown.output
    assert "bias.gap" in shown.output


def test_a_model_without_a_template_is_refused_with_the_cure_and_measured_with_one(tmp_path: Path) -> None:
    alone = project(tmp_path / "a", template=False, measure=[*CONDUCT, *RECIPES])
    with pytest.raises(SpecError, match="chat"):
        aw.check(alone, quiet=True)
    plain = project(tmp_path / "b", template=False, chat="none", measure=[
        {"by": "bias", "decisions": False, "crows_pairs": "crows.csv"},
        {"by": "calibration", "choice": "choice.jsonl", "bundled": False, "limit": 4}, CONDUCT[-1],
    ])  # fmt: skip
    (tmp_path / "b" / "crows.csv").write_text(
        ",sent_more,sent_less,stereo_antistereo,bias_type,annotations,anon_writer,anon_annotators\n"
        + "".join(f"{i},A {w} is old.,A {w} is new.,stereo,age,[],a0,[]\n" for i, w in enumerate(WORDS))
    )
    run = aw.align(plain, runs=tmp_path / "runs", quiet=True)
    values = {f.claim: f.value for f in run.findings}
    assert values["calibration.choice.accuracy"] is not None
    assert values["bias.crows_pairs"] is not None
    given = project(tmp_path / "c", template=False, chat="chatml", measure=[*CONDUCT[:2], *CONDUCT[5:7]])
    assert aw.align(given, runs=tmp_path / "runs", quiet=True).findings
