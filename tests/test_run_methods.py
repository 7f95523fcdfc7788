"""Is every training method there under its name: from one spec file to a trained model and a
finding, and the same after a kill?"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, get_args

import pytest
from rich.console import Console
from run_case import make_project

from alignwright.core.records import Finding
from alignwright.experiment.load import load
from alignwright.experiment.unions import AnyTrain
from alignwright.files.errors import SpecError
from alignwright.run.align import Request, align
from alignwright.run.progress import View
from alignwright.train import run as training

SPEC = """
name: methods
seed: 2
model: ./model
intent:
  constitution: constitution.md
%s
  pairs: [pairs.jsonl]
feedback:
- {by: written}
- {by: rules, file: rules.yaml}
train:
%s
measure:
- {by: tax, text: [text.jsonl], limit: 4}
%s
"""
RULE = "def score(prompt, reply):\n    return sum(letter in 'aeiou' for letter in reply) / 4\n"
LOOP = "rank: 2, batch_tokens: 120, checkpoint_every: 1"
DRAW = f"{LOOP}, prompts: 2, samples: 3, max_new_tokens: 4, epochs: 2"
REWARD = "measure: {by: reward}"
METHODS = {
    "pretrain": [f"{{by: pretrain, text: [text.jsonl], epochs: 3, {LOOP}}}"],
    "sft": [f"{{by: sft, {LOOP}}}"],
    "reward": [f"{{by: reward, ensemble: 2, combine: worst, heldout: 0.3, no_signal: use, {LOOP}}}"],
    **{
        name: [f"{{by: {name}, {LOOP}}}"]
        for name in ["dpo", "cdpo", "robust_dpo", "ipo", "hinge", "kto", "orpo", "simpo", "rpo", "chi_po"]
    },
    **{
        name: [f"{{by: {name}, reward: rule.py:score, {DRAW}}}"]
        for name in ["best_of_n", "online_dpo", "sppo", "grpo", "rloo", "reinforce"]
    },
    "ppo": [
        f"{{by: reward, no_signal: use, {LOOP}}}",
        f"{{by: ppo, reward: reward, num_iterations: 2, num_mini_batches: 2, {DRAW}}}",
    ],
    "repair": ["{by: repair, prompts: [refusal.jsonl], max_new_tokens: 4}", f"{{by: dpo, {LOOP}}}"],
    "inoculation": [f"{{by: inoculation, data: talks.jsonl, instruction: Shout!, epochs: 3, {LOOP}}}"],
    "consistency_training": [
        "{by: sft, data: answered.jsonl, epochs: 150, lr: 0.005, rank: 0, batch_tokens: 400}",
        "{by: consistency_training, questions: asked.jsonl, max_new_tokens: 6, batch_tokens: 400}",
    ],
    "confession": [f"{{by: confession, prompts: tasks.jsonl, max_new_tokens: 4, samples: 3, {LOOP}}}"],
    "average": [f"{{by: sft, {LOOP}}}", "{by: average, share: 0.5}"],
}


def project(folder: Path, stages: list[str], measure: str = "") -> Path:
    make_project(folder)
    (folder / "rule.py").write_text(RULE)
    talks = [{"prompt": f"talk of {word}", "completion": f"{word} it is"} for word in ("tea", "ink", "oak", "mud")]
    (folder / "talks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in talks))
    asked = [
        {"question": f"where is {w}?", "answer": ["France"], "reply": "France", "wrong": "help", "pushback": "No."}
        for w in ("tea", "ink", "oak", "mud")
    ]
    (folder / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    answered = [{"prompt": row["question"], "completion": "France"} for row in asked]
    (folder / "answered.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answered))
    checks = [{"name": "length:max_words", "args": {"count": 1}}]
    tasks = [{"prompt": f"write {word}", "checks": checks} for word in ("tea", "ink", "oak", "mud")]
    (folder / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in tasks))
    spec = folder / "methods.yaml"
    spec.write_text(
        SPEC
        % (
            "  prompts: [prompts.jsonl]" if "prompts: 2" in str(stages) else "",
            "\n".join(f"- {stage}" for stage in stages),
            measure,
        )
    )
    return spec


def run(spec: Path, runs: str = "runs", *overrides: str) -> Path:
    return align(Request(spec, overrides, runs=spec.parent / runs), View(Console(file=io.StringIO())))


def trained(folder: Path) -> Path:
    return sorted(path for path in (folder / "stages").iterdir() if "-train." in path.name)[-1]


def findings(folder: Path) -> list[Finding]:
    return [Finding.model_validate_json(line) for line in (folder / "findings.jsonl").read_text().splitlines()]


def test_every_method_of_the_spec_is_tried_here() -> None:
    names = {get_args(kind.model_fields["by"].annotation)[0] for kind in get_args(AnyTrain)}
    assert names == {*METHODS, "exchange_classifier", "weak_to_strong"}  # which have runs of their own


def test_every_method_stands_in_the_table_of_the_docs() -> None:
    table = (Path(__file__).parent.parent / "docs" / "methods.md").read_text()
    knobs = (Path(__file__).parent.parent / "docs" / "spec.md").read_text()
    for kind in get_args(AnyTrain):
        name = get_args(kind.model_fields["by"].annotation)[0]
        (row,) = [line for line in table.splitlines() if line.startswith(f"| `{name}` |")]
        own = (
            set(kind.model_fields)
            - {field for base in kind.__mro__[1:] for field in getattr(base, "model_fields", {})}
            - {"by"}
        )
        assert all(f"`{knob}`" in row or kind.__name__ in ("Sft",) for knob in own), (name, own)
        assert f"### by: {name}" in knobs


class Killed(Exception):
    pass


@pytest.mark.parametrize("name", METHODS)
def test_a_method_runs_from_the_spec_and_resumes_from_a_kill(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = project(tmp_path, METHODS[name])
    straight = run(spec)
    result = trained(straight)
    assert (result / "reward.json").exists() if name == "reward" else list(result.rglob("*.safetensors"))
    stages = {finding.stage for finding in findings(straight) if finding.axis == "tax"}
    assert len(stages) == (
        1
        if name == "reward"
        else 1 + len([s for s in METHODS[name] if not s.startswith(("{by: reward", "{by: repair"))])
    )
    assert (straight / "report.html").exists()

    shown = training._shown

    def deadly(work: Any) -> Any:
        def show(step: Any) -> None:
            shown(work)(step)
            if step.step == 1:
                raise Killed

        return show

    monkeypatch.setattr(training, "_shown", deadly)
    with pytest.raises(Killed):
        run(spec, "again")
    monkeypatch.setattr(training, "_shown", shown)
    resumed = run(spec, "again")
    assert (resumed / "findings.jsonl").read_bytes() == (straight / "findings.jsonl").read_bytes()
    for path in result.rglob("*.safetensors"):
        assert (trained(resumed) / path.relative_to(result)).read_bytes() == path.read_bytes()


def test_a_reward_model_judges_the_measured_models(tmp_path: Path) -> None:
    measure = (
        "- {by: reward, reward: reward, prompts: [instruction.jsonl], limit: 6, max_new_tokens: 4}\npromises:"
        " [reward.score.gain > -99]"
    )
    stages = [
        METHODS["ppo"][0],
        METHODS["ppo"][1].replace("by: ppo", "by: ppo, lr: 0.05"),
    ]  # enough to change what is said
    folder = run(project(tmp_path, stages, measure))
    found = {(f.claim, f.stage, f.against) for f in findings(folder)}
    assert {
        ("reward.accuracy", "train.0.reward", None),
        ("reward.score", "baseline", None),
        ("reward.score", "train.1.ppo", "baseline"),
    } <= found
    assert ("reward.kl", "train.1.ppo", None) in found
    assert json.loads((folder / "promises.json").read_text())["verdicts"][0]["answer"] == "kept"


def test_votes_can_be_the_reward_without_a_reward_model(tmp_path: Path) -> None:
    folder = run(
        project(tmp_path, [f"{{by: rloo, reward: feedback, {DRAW}}}"]), "runs", "feedback.1.file=rule.py:score"
    )
    assert any(
        "reward" in json.loads(line)["metrics"] for line in (trained(folder) / "metrics.jsonl").read_text().splitlines()
    )


def test_all_weights_are_trained_and_saved_with_rank_0(tmp_path: Path) -> None:
    stages = [f"{{by: {kind}, {LOOP}}}".replace("rank: 2", "rank: 0") for kind in ("sft", "dpo")]
    folder = run(project(tmp_path, [*stages, "{by: average, share: 0.25, start: train.0.sft}"]))
    assert (trained(folder) / "weights").is_dir()
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(folder / "model")


@pytest.mark.parametrize(
    ("stages", "problem"),
    [
        (["{by: ppo, samples: 1}"], "'reward' is the reward stage before, and there is none"),
        (["{by: grpo, reward: feedback, samples: 1}"], "compares the replies to one prompt"),
        (["{by: rloo, reward: rule.py:score, samples: 2, kl_form: 'loss:k1'}"], "its gradient is zero in expectation"),
        (["{by: rloo, reward: rule.py:score, samples: 2, cost_limit: 1.0}"], "has no effect without 'cost'"),
        (
            ["{by: rloo, reward: rule.py:score, samples: 2, kl_coef: 0, kl_form: reward:k2}"],
            "kl_form: has no effect: kl_coef is 0",
        ),
        (["{by: rloo, reward: nowhere.py:score, samples: 2}"], "there is no file"),
        (["{by: rloo, reward: rule.py:score, samples: 2, ptx_coef: 0.1}"], "need each other"),
        (["{by: best_of_n, reward: rule.py:score, quantile: 0.01}"], "is less than one: give samples, too"),
        (["{by: best_of_n, reward: rule.py:score, quantile: 0.1, samples: 4}"], "ask for 10 samples"),
        (["{by: pretrain, text: [text.jsonl], scratch: true}"], "write 'rank: 0'"),
        (["{by: average}"], "has no trained model to average"),
        (["{by: sft, rank: 2}", "{by: dpo, rank: 4}"], "continues the adapter of train.0"),
        (["{by: reward, combine: worst}"], "has no effect on one member"),
        (["{by: average, share: 0.2, blocks: [0.1]}"], "give one of them"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(tmp_path: Path, stages: list[str], problem: str) -> None:
    with pytest.raises(SpecError, match=problem.replace("(", r"\(").replace("'", ".")):
        load(project(tmp_path, stages))
