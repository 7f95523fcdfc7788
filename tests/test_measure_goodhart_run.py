"""Does `measure: {by: goodhart}` run from a spec on every model, and are specs without meaning
refused before the run?"""

from __future__ import annotations

import io
import json
import string
from pathlib import Path

import pytest
from rich.console import Console
from run_case import make_project

from alignwright.core.records import Finding
from alignwright.experiment.cache_key import cache_keys, job_keys
from alignwright.experiment.check import check
from alignwright.experiment.experiment import resolve_effort
from alignwright.experiment.load import load
from alignwright.experiment.plan import plan
from alignwright.files.errors import SpecError
from alignwright.job.ledger import Ledger
from alignwright.measure.goodhart.measure import CurvePoint
from alignwright.report import read
from alignwright.report.page import html
from alignwright.run.align import Request, align
from alignwright.run.estimate import estimate_jobs
from alignwright.run.progress import View
from alignwright.run.token_counts import Lengths
from alignwright.train.early_stopping import GoldMonitor

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
promises: ["goodhart.gold.gain > -9", "trilemma.optimization > -0.99"]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("goodhart")
    make_project(folder)
    (folder / "rule.py").write_text(RULE)
    (folder / "held.jsonl").write_text(
        "".join(json.dumps({"prompt": f"say {word} to me"}) + "\n" for word in "abcdefgh")
    )
    (folder / "other.jsonl").write_text(
        "".join(json.dumps({"prompt": f"what is {word}?", "topic": "asked"}) + "\n" for word in "abcd")
    )
    return folder


def spec(
    folder: Path,
    name: str = "small",
    reward: str = "rule.py:vowels",
    measure: str = MEASURE + "samples: 6, max_new_tokens: 6}",
) -> Path:
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
    assert of["baseline"] >= {
        "goodhart.peak",
        "goodhart.gold.best_of_6",
        "trilemma.capture.best_of_2",
        "trilemma.generalization.best_of_4",
    }
    (way,) = [f for f in found if f.claim == "goodhart.peak.training"]
    assert (way.stage, way.value) == ("train.0.rloo", None)
    assert "of 1 lie at d >= 0.5" in way.method  # one trained model is no curve
    assert not [f for f in found if f.claim in ("goodhart.sign.acceleration", "goodhart.sign.disagreement")]
    changed = {f.claim for f in found if f.against == "baseline"}
    assert changed >= {"goodhart.proxy", "goodhart.gold"}
    assert {f.axis for f in found if f.claim.startswith(("goodhart.", "trilemma."))} == {"goodhart"}
    curve = [
        CurvePoint.model_validate_json(line)
        for file in sorted(done.glob("stages/*goodhart*/curve.jsonl"))
        for line in file.read_text().splitlines()
    ]
    assert [(p.model, p.best_of) for p in curve] == [("baseline", n) for n in (1, 2, 4, 6)] + [("train.0.rloo", None)]
    assert all(p.root_kl is not None for p in curve)
    assert json.loads((done / "promises.json").read_text())["verdicts"][0]["answer"] == "kept"


def test_the_page_names_it(done: Path) -> None:
    page = html(read(done))
    assert "Was the proxy gamed?" in page
    assert "Value capture" in page


def test_a_measure_whose_judge_is_trained_waits_for_it(project: Path) -> None:
    path = spec(project, "trained", "reward", MEASURE.replace("rule.py:vowels,", "reward,") + "samples: 6}")
    path.write_text(path.read_text().replace("train:\n", "train:\n- {by: reward, rank: 2, no_signal: use}\n"))
    experiment = resolve_effort(load(path))
    jobs = plan(experiment)
    names = [job.name for job in jobs]
    after = next(job for job in jobs if job.name == "measure.0.goodhart@train.1.rloo")
    assert set(after.builds_on) == {"train.0.reward", "train.1.rloo", "measure.0.goodhart@baseline"}
    assert names.index("measure.0.goodhart@baseline") > names.index("train.0.reward")
    estimate = estimate_jobs(
        experiment, jobs, job_keys(experiment, jobs), Ledger(project / "nothing"), Lengths(experiment)
    )
    lines = {line.name: line.tokens for line in estimate.lines}
    assert lines["measure.0.goodhart@baseline"] > 0
    before = cache_keys(experiment, jobs)[after.name]
    (project / "rule.py").write_text(RULE + "# another gold\n")
    assert cache_keys(experiment, jobs)[after.name] != before
    (project / "rule.py").write_text(RULE)


def test_an_ensemble_s_members_states_and_the_way_of_training_are_watched(project: Path) -> None:
    path = spec(
        project, "watched", "reward", MEASURE.replace("rule.py:vowels,", "reward,") + "samples: 12, max_new_tokens: 6}"
    )
    rloo = (
        "- {by: rloo, reward: reward, rank: 2, lr: 0.02, epochs: 1, prompts: 2, samples: 2, max_new_tokens: 4,"
        " batch_tokens: 400}\n"
    )
    text = path.read_text()
    first = text[text.index("- {by: rloo") : text.index("measure:")]
    (project / "many.jsonl").write_text(
        "".join(json.dumps({"prompt": f"say {word} to me"}) + "\n" for word in string.ascii_lowercase)
    )
    text = text.replace(first, "- {by: reward, rank: 2, ensemble: 2, epochs: 1, no_signal: use}\n" + rloo * 2)
    path.write_text(
        text.replace("[held.jsonl]", "[many.jsonl]")
    )  # replies that read back as other tokens have no divergence: many, so some have
    found = [
        Finding.model_validate_json(line)
        for line in (
            (align(Request(path, runs=project / "runs"), View(Console(file=io.StringIO()))) / "findings.jsonl")
            .read_text()
            .splitlines()
        )
    ]
    of = {stage: {f.claim for f in found if f.stage == stage} for stage in ("baseline", "train.1.rloo", "train.2.rloo")}
    for stage in ("train.1.rloo", "train.2.rloo"):
        assert of[stage] >= {f"goodhart.sign.{name}" for name in ("states", "disagreement")} | {
            "goodhart.peak.training"
        }
    assert "goodhart.sign.acceleration" in of["train.2.rloo"] - of["train.1.rloo"]  # three models, the start among them
    assert not [claim for claim in of["baseline"] if claim.startswith("goodhart.sign.")]


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        (
            MEASURE.replace("rule.py:vowels_but_short", "rule.py:vowels") + "samples: 6}",
            "a judge cannot show that it was gamed",
        ),
        (MEASURE + "samples: 4}", "the best of 6 needs as many replies"),
        (MEASURE.replace("[1, 2, 4, 6]", "[1]") + "samples: 4}", "chooses nothing"),
        (MEASURE.replace("[1, 2, 4, 6]", "[1, 4, 2]") + "samples: 6}", "a rising list of n"),
        (
            MEASURE.replace("gold: rule.py:vowels_but_short", "gold: reward") + "samples: 6}",
            "'reward' is the reward stage before, and there is none",
        ),
        (MEASURE.replace("gold: rule.py:vowels_but_short", "gold: nowhere.py:f") + "samples: 6}", "there is no file"),
        (MEASURE.replace("[other.jsonl]", "[absent.jsonl]") + "samples: 6}", "there is no file"),
    ],
)
def test_specs_without_meaning_are_refused(project: Path, measure: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        load(spec(project, "wrong", measure=measure))


# ---- stopping ------------------------------------------------------------------------------------
STOP = (
    "stop: {by: goodhart, gold: rule.py:few_vowels, prompts: [held.jsonl], every: 2, samples: 4, limit: 8,"
    " max_new_tokens: 6}"
)
LOOP = "rank: 2, lr: 0.02, batch_tokens: 400, checkpoint_every: 3"
DRAW = f"{LOOP}, reward: rule.py:vowels, epochs: 10, prompts: 4, samples: 4, max_new_tokens: 6"
STOPPED = """
name: stopped
model: ./model
intent: {prompts: [prompts.jsonl], pairs: [pairs.jsonl]}
feedback: [{by: written}]
train:
- STAGE
measure:
- {by: tax, text: [text.jsonl], limit: 2}
"""
FEW = """
def few_vowels(prompt, reply):
    return -sum(letter in "aeiou" for letter in reply)
"""


def stopping(folder: Path, stage: str) -> Path:
    make_project(folder)
    (folder / "rule.py").write_text(RULE + FEW)
    (folder / "held.jsonl").write_text(
        "".join(json.dumps({"prompt": f"say {word} to me"}) + "\n" for word in "abcdefgh")
    )
    path = folder / "stopped.yaml"
    asked = "prompts: [prompts.jsonl], " if "reward:" in stage else ""
    path.write_text(STOPPED.replace("prompts: [prompts.jsonl], ", asked).replace("STAGE", stage))
    return path


def run(path: Path, runs: str = "runs") -> Path:
    return align(Request(path, runs=path.parent / runs), View(Console(file=io.StringIO())))


def trained(folder: Path) -> Path:
    (found,) = (folder / "stages").glob("*-train.0.*")
    return found


def weights(folder: Path) -> bytes:
    return (trained(folder) / "adapter" / "adapter_model.safetensors").read_bytes()


def test_policy_gradients_stop_keep_the_peak_and_do_the_same_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stopping(tmp_path, f"{{by: rloo, {DRAW}, kl_coef: 0.0, {STOP}}}")
    straight = run(path)
    told = json.loads((trained(straight) / "stopped.json").read_text())
    steps = len((trained(straight) / "metrics.jsonl").read_text().splitlines())
    assert steps == told["step"] > told["kept"]
    assert not list(trained(straight).glob("gold-peak*"))
    (stopped,) = [f for f in read(straight).findings if f.claim == "training.stopped"]
    assert stopped.value == told["kept"]
    assert "Stopped where gold turned" in html(read(straight))

    def die(self: GoldMonitor, report: object) -> None:
        if getattr(report, "step", 0) >= told["step"] - 1:
            raise KeyboardInterrupt
        whole(self, report)  # type: ignore[arg-type]

    whole = GoldMonitor.__call__
    monkeypatch.setattr(GoldMonitor, "__call__", die)
    with pytest.raises(KeyboardInterrupt):
        run(path, "again")
    monkeypatch.setattr(GoldMonitor, "__call__", whole)
    resumed = run(path, "again")
    assert json.loads((trained(resumed) / "stopped.json").read_text()) == told
    assert weights(resumed) == weights(straight)


def test_best_of_n_whose_choice_never_helps_gold_learns_nothing(tmp_path: Path) -> None:
    done = run(stopping(tmp_path, f"{{by: best_of_n, {DRAW}, {STOP}}}"))
    assert json.loads((trained(done) / "hedge.json").read_text())["n"] == 1
    assert json.loads((trained(done) / "stopped.json").read_text())["kept"] == 0
    assert not (trained(done) / "metrics.jsonl").exists()
    assert weights(done)


def test_best_of_n_is_hedged_and_preferences_are_watched(tmp_path: Path) -> None:
    helped = STOP.replace("few_vowels", "vowels_but_short")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    done = run(stopping(tmp_path / "a", f"{{by: best_of_n, {DRAW.replace('epochs: 10', 'epochs: 2')}, {helped}}}"))
    assert json.loads((trained(done) / "hedge.json").read_text())["n"] in (1, 2, 3, 4)
    done = run(stopping(tmp_path / "b", f"{{by: dpo, {LOOP}, epochs: 4, {helped}}}"))
    looks = [json.loads(line) for line in (trained(done) / "gold_evals.jsonl").read_text().splitlines()]
    assert [look["step"] for look in looks[:2]] == [0, 2]


def test_looks_are_on_the_bill(tmp_path: Path) -> None:
    path = stopping(tmp_path, f"{{by: rloo, {DRAW}, {STOP}}}")
    bare = path.with_name("bare.yaml")
    bare.write_text(path.read_text().replace(f", {STOP}", ""))
    tokens = []
    for spec_file in (path, bare):
        experiment = resolve_effort(load(spec_file))
        jobs = plan(experiment)
        lines = estimate_jobs(
            experiment, jobs, job_keys(experiment, jobs), Ledger(tmp_path / "no"), Lengths(experiment)
        ).lines
        tokens.append(next(line.tokens for line in lines if line.name == "train.0.rloo"))
    assert tokens[0] > tokens[1] > 0


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (f"{{by: rloo, {DRAW}, {STOP.replace('few_vowels', 'vowels')}}}", "it cannot show that it was gamed"),
        (
            f"{{by: rloo, {DRAW}, {STOP.replace('rule.py:few_vowels', 'feedback')}}}",
            "its mean can neither rise nor fall",
        ),
        (
            f"{{by: dpo, {LOOP}, {STOP.replace('rule.py:few_vowels', 'reward')}}}",
            "'reward' is the reward stage before, and there is none",
        ),
        (f"{{by: rloo, {DRAW}, {STOP.replace('held.jsonl', 'prompts.jsonl')}}}", "prompts.jsonl"),
        (f"{{by: dpo, {LOOP}, {STOP.replace('held.jsonl', 'nowhere.jsonl')}}}", "there is no file"),
        (f"{{by: sft, {LOOP}, {STOP}}}", "no such field"),
    ],
)
def test_a_stop_without_meaning_is_refused(tmp_path: Path, stage: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        check(stopping(tmp_path, stage))
