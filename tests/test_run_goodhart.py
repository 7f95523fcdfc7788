"""Does `measure: {by: goodhart}` run from a spec on every model, and are specs without meaning refused before the run?"""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from run_case import make_project

from alignwright.core.records import Finding
from alignwright.measure.goodhart import Point
from alignwright.report import read
from alignwright.report.page import html
from alignwright.run.align import Request, align
from alignwright.run.bill import bill
from alignwright.run.ledger import Ledger
from alignwright.run.plan import keys, plan
from alignwright.run.progress import View
from alignwright.spec.errors import SpecError
from alignwright.spec.experiment import resolve_effort
from alignwright.spec.load import load

RULE = """
def vowels(prompt, reply):
    return sum(letter in "aeiou" for letter in reply) / 4 + len(reply) / 1000

def vowels_but_short(prompt, reply):
    return sum(letter in "aeiou" for letter in reply) / 4 - len(reply) / 10
"""
JUDGES = "proxy: rule.py:vowels, gold: rule.py:vowels_but_short"
MEASURE = f"{{by: goodhart, {JUDGES}, prompts: [held.jsonl], shifted: [other.jsonl], best_of: [1, 2, 4, 6], "
SPEC = """
name: small
model: ./model
intent: {prompts: [prompts.jsonl], pairs: [pairs.jsonl]}
feedback: [{by: rules, file: "rule.py:vowels"}]
train:
- {by: rloo, reward: REWARD, rank: 2, lr: 0.02, epochs: 3, prompts: 2, samples: 4, max_new_tokens: 6, batch_tokens: 400}
measure:
- MEASURE
promises: ["goodhart.gold.gain > -9", "trilemma.optimization > -1.5"]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("goodhart")
    make_project(folder)
    (folder / "rule.py").write_text(RULE)
    (folder / "held.jsonl").write_text("".join(json.dumps({"prompt": f"say {word} to me"}) + "\n" for word in "abcdefgh"))
    (folder / "other.jsonl").write_text("".join(json.dumps({"prompt": f"what is {word}?", "topic": "asked"}) + "\n" for word in "abcd"))
    return folder


def spec(folder: Path, name: str = "small", reward: str = "rule.py:vowels", measure: str = MEASURE + "samples: 6, max_new_tokens: 6}") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(SPEC.replace("REWARD", reward).replace("MEASURE", measure))
    return path


@pytest.fixture(scope="module")
def done(project: Path) -> Path:
    return align(Request(spec(project), runs=project / "runs"), View(Console(file=io.StringIO())))


def test_it_runs_on_the_start_and_on_every_trained_model(done: Path) -> None:
    found = [Finding.model_validate_json(line) for line in (done / "findings.jsonl").read_text().splitlines()]
    of = {stage: {f.claim for f in found if f.stage == stage} for stage in ("baseline", "train.0.rloo")}
    assert of["train.0.rloo"] >= {f"goodhart.{part}" for part in ("proxy", "gold", "kl", "covariance")}
    assert of["train.0.rloo"] >= {f"trilemma.{part}" for part in ("optimization", "capture", "generalization", "gap")}
    assert of["baseline"] >= {"goodhart.peak", "goodhart.gold.best_of_6", "trilemma.capture.best_of_2", "trilemma.generalization.best_of_4"}
    changed = {f.claim for f in found if f.against == "baseline"}
    assert changed >= {"goodhart.proxy", "goodhart.gold"}
    assert {f.axis for f in found if f.claim.startswith(("goodhart.", "trilemma."))} == {"goodhart"}
    curve = [Point.model_validate_json(line) for file in sorted(done.glob("stages/*goodhart*/curve.jsonl")) for line in file.read_text().splitlines()]
    assert [(p.model, p.best_of) for p in curve] == [("baseline", n) for n in (1, 2, 4, 6)] + [("train.0.rloo", None)]
    assert all(p.root_kl is not None for p in curve)
    assert json.loads((done / "promises.json").read_text())["verdicts"][0]["answer"] == "kept"


def test_the_page_names_it(done: Path) -> None:
    page = html(read(done))
    assert "Was the proxy gamed?" in page
    assert "Value capture" in page


def test_a_measure_whose_judge_is_trained_waits_for_it(project: Path) -> None:
    path = spec(project, "trained", "reward", MEASURE.replace("rule.py:vowels,", "reward,") + "samples: 6}")
    path.write_text(path.read_text().replace("train:\n", "train:\n- {by: reward, rank: 2}\n"))
    experiment = resolve_effort(load(path))
    jobs = plan(experiment)
    names = [job.name for job in jobs]
    after = next(job for job in jobs if job.name == "measure.0.goodhart@train.1.rloo")
    assert set(after.needs) == {"train.0.reward", "train.1.rloo", "measure.0.goodhart@baseline"}
    assert names.index("measure.0.goodhart@baseline") > names.index("train.0.reward")
    lines = {line.name: line.tokens for line in bill(experiment, jobs, keys(experiment, jobs), Ledger(project / "nothing")).lines}
    assert lines["measure.0.goodhart@baseline"] > 0
    before = keys(experiment, jobs)[after.name]
    (project / "rule.py").write_text(RULE + "# another gold\n")
    assert keys(experiment, jobs)[after.name] != before
    (project / "rule.py").write_text(RULE)


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        (MEASURE.replace("rule.py:vowels_but_short", "rule.py:vowels") + "samples: 6}", "a judge cannot show that it was gamed"),
        (MEASURE + "samples: 4}", "the best of 6 needs as many replies"),
        (MEASURE + "samples: 8, labels: 4}", "the best of 6 needs as many replies"),
        (MEASURE + "samples: 8, labels: 9}", "asks gold about more replies"),
        (MEASURE.replace("[1, 2, 4, 6]", "[1, 4, 2]") + "samples: 6}", "a rising list of n"),
        (MEASURE.replace("gold: rule.py:vowels_but_short", "gold: reward") + "samples: 6}", "'reward' is the reward stage before, and there is none"),
        (MEASURE.replace("gold: rule.py:vowels_but_short", "gold: nowhere.py:f") + "samples: 6}", "there is no file"),
        (MEASURE.replace("[other.jsonl]", "[absent.jsonl]") + "samples: 6}", "there is no file"),
    ],
)
def test_specs_without_meaning_are_refused(project: Path, measure: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        load(spec(project, "wrong", measure=measure))
