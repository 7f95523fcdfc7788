"""Does a student recover what its weak teacher got wrong by chance, and no more than that? Planted
teachers; the confidence loss; the first blocks of a model."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from run_case import make_project
from tiny import make_tiny

import alignwright as aw
from alignwright.core.records import Conversation, Finding, Preference, Prompt
from alignwright.model.adapters import add_lora
from alignwright.model.first_blocks import keep_first_blocks
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.train.batches import TrainPlan
from alignwright.train.confidence import Confidence, ConfidenceRamp, confident_labels
from alignwright.train.knobs_weak_to_strong import WeakToStrong
from alignwright.train.reward_eval import ScoredPair, hold_out_prompts
from alignwright.train.weak_to_strong import WeakLabels, gap_findings, weak_labels, weak_to_strong

STAGE = WeakToStrong(
    by="weak_to_strong", epochs=3, rank=8, lr=0.01, batch_tokens=600, max_tokens=300, checkpoint_every=99
)
Teacher = Callable[[Preference], bool]
"""Whether a teacher says that the pair's first reply is the better one."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny") / "model")


def trainee(tiny: Path) -> LocalModel:
    policy = load(tiny)
    add_lora(policy, rank=8, seed=1)
    return policy


def planted(count: int = 300) -> list[Preference]:
    """The better of two replies of random letters has a z; it is the longer one as often as not."""
    rng = random.Random(3)
    pairs: list[Preference] = []
    for i in range(count):
        texts = ["".join(rng.choice("abcdefghij") for _ in range(rng.randint(3, 9))) for _ in range(2)]
        place = rng.randrange(len(texts[0]))
        better = texts[0][:place] + "z" + texts[0][place + 1 :]
        pairs.append(
            Preference(prompt=Prompt(conversation=Conversation.user(f"case {i}")), chosen=better, rejected=texts[1])
        )
    return pairs


def taught(teacher: Teacher) -> WeakLabels:
    """What a teacher leaves that is as sure as it can be."""
    students, heldout = hold_out_prompts(planted(), 0.4, 0)
    labelled = [pair.model_copy(update={"strength": 0.95 if teacher(pair) else 0.05}) for pair in students]
    return WeakLabels(labelled, students, [ScoredPair(pair, 1.0 if teacher(pair) else -1.0) for pair in heldout])


def by_claim(findings: Sequence[Finding]) -> dict[str, Finding]:
    return {finding.claim.removeprefix("weak_to_strong."): finding for finding in findings}


def test_errors_by_chance_are_recovered_and_errors_by_rule_are_imitated(tiny: Path, tmp_path: Path) -> None:
    """A quarter of the labels flipped by a coin: no model can learn the coin. Labels by length: the
    student learns length, and is no better than its teacher."""
    rng, results = random.Random(7), dict[str, dict[str, Finding]]()
    teachers: dict[str, Teacher] = {
        "coin": lambda _: rng.random() > 0.25,
        "length": lambda pair: len(pair.chosen) > len(pair.rejected),
    }
    for name, teacher in teachers.items():
        folder = tmp_path / name
        folder.mkdir()
        results[name] = by_claim(weak_to_strong(trainee(tiny), taught(teacher), STAGE, seed=0, folder=folder))
        assert (folder / "reward.json").is_file()
    coin, length = (results[name] for name in teachers)
    assert (coin["ceiling"].value or 0) > 0.95
    assert coin["gap_recovered"].value is not None
    assert coin["gap_recovered"].value > 0.5
    assert (coin["gap_recovered"].low or 0) > 0.2
    assert length["gap_recovered"].value is not None
    assert length["gap_recovered"].value < 0.35
    right = [pair.strength > 0.5 for pair in taught(teachers["length"]).labelled]
    assert f"right on {sum(right) / len(right):.1%}" in length["weak"].note


def test_a_gap_within_its_error_is_undefined() -> None:
    pairs = planted(40)
    right = [ScoredPair(pair, 1.0) for pair in pairs]
    most = [ScoredPair(pair, -1.0 if i == 0 else 1.0) for i, pair in enumerate(pairs)]
    found = by_claim(gap_findings(most, right, right, 0.975, "w"))["gap_recovered"]
    assert found.value is None
    assert "undefined" in found.method
    half = [ScoredPair(pair, -1.0 if i % 2 else 1.0) for i, pair in enumerate(pairs)]
    found = by_claim(gap_findings(half, right, right[::-1], 0.5, "w"))["gap_recovered"]
    assert found.value == 1.0  # the same pairs in another order


def test_a_cut_model_teaches_the_whole_one(tiny: Path, tmp_path: Path) -> None:
    weak = load(tiny)
    keep_first_blocks(weak, 1)
    add_lora(weak, rank=8, seed=1)
    labels = weak_labels(weak, planted(120), STAGE, seed=0, folder=tmp_path)
    prompts = [{pair.prompt.conversation.id for pair in part} for part in (labels.labelled, labels.true)]
    assert prompts[0] == prompts[1]
    assert not prompts[0] & {pair.preference.prompt.conversation.id for pair in labels.heldout}
    assert all(pair.strength == 1.0 for pair in labels.true)
    assert len({pair.strength for pair in labels.labelled}) > 10  # soft labels, each its own
    with pytest.raises(ValueError, match="needs 8 of each"):
        weak_labels(weak, planted(20), STAGE, seed=0, folder=tmp_path)


# ---- the confidence loss ---------------------------------------------------------------------------
def test_the_threshold_of_pairs_read_in_both_orders_is_zero() -> None:
    """The general rule (as many positives as the weak labels' mean) on both orders of each pair."""
    gap_P = torch.randn(50, generator=torch.Generator().manual_seed(1))
    weak_P = torch.rand(50, generator=torch.Generator().manual_seed(2))
    score_N, label_N = torch.cat([gap_P, -gap_P]), torch.cat([weak_P, 1 - weak_P])
    positives = round(float(label_N.mean()) * len(label_N))
    threshold = score_N.sort(descending=True).values[positives - 1 : positives + 1].mean()
    assert float(threshold) == pytest.approx(0.0, abs=1e-6)
    general_N = (score_N > threshold).float()
    assert torch.equal(confident_labels(label_N, score_N, 1.0), general_N)
    one_order = round(float(weak_P.mean()) * 50)  # the control: of one order alone it would be another
    assert float((gap_P > 0).float().sum()) != one_order


def test_labels_are_mixed_and_carry_no_gradient() -> None:
    gap_P = torch.tensor([2.0, -0.1, 0.0], requires_grad=True)
    weak_P = torch.tensor([0.3, 0.9, 0.6])
    assert torch.equal(confident_labels(weak_P, gap_P, 0.0), weak_P)
    assert confident_labels(weak_P, gap_P, 0.5).tolist() == pytest.approx([0.65, 0.45, 0.55])
    assert not confident_labels(weak_P, gap_P, 0.5).requires_grad


def test_confidence_rises_linearly_and_then_stays() -> None:
    """Burns et al.'s ramp; their code's value at the same steps jumps."""
    confidence = Confidence(0.5, 0.2)
    weights = [confidence.weight(step, 100) for step in range(100)]
    assert weights[:21] == pytest.approx([0.025 * step for step in range(21)])
    assert set(weights[20:]) == {0.5}
    released = [0.5 * (1.0 if step / 100 > 0.1 else step / 100) for step in range(100)]
    assert max(b - a for a, b in pairwise(released)) > 0.4
    assert max(b - a for a, b in pairwise(weights)) < 0.03
    assert Confidence(0.5, 0.0).weight(0, 10) == 0.5


def test_a_resumed_ramp_knows_where_it_is() -> None:
    plan = TrainPlan(((0,),), tuple(((0,),) for _ in range(10)), (0,) * 10)
    ramp = ConfidenceRamp(plan, Confidence(0.5, 0.4))
    ramp.begin(2)
    assert ramp.weight == pytest.approx(0.25)
    assert ramp.after(0) == {"confidence": ramp.weight}
    plain = ConfidenceRamp(plan, None)
    plain.begin(9)
    assert plain.weight == 0.0
    assert plain.after(0) == {}


# ---- the first blocks ------------------------------------------------------------------------------
def test_the_first_blocks_compute_what_they_did(tiny: Path) -> None:
    whole, cut = load(tiny), load(tiny)
    keep_first_blocks(cut, 1)
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        middle = whole.model(ids, output_hidden_states=True).hidden_states[1]
        top = cut.model.model.norm(middle)
        assert torch.allclose(cut.model.model(ids).last_hidden_state, top, atol=1e-5)
        assert not torch.allclose(whole.model.model(ids).last_hidden_state, top, atol=1e-2)
    assert "first 1 blocks" in cut.name
    for count in (0, 1, 9):
        with pytest.raises(ValueError, match="no weaker model"):
            keep_first_blocks(cut, count)


def test_knobs_without_effect_are_refused() -> None:
    with pytest.raises(ValueError, match="give one of them"):
        WeakToStrong(by="weak_to_strong", weak="other", blocks=2)
    with pytest.raises(ValueError, match="no effect"):
        WeakToStrong(by="weak_to_strong", confidence=0.0, warmup=0.1)


@pytest.mark.parametrize("weak", ["blocks", "named"])
def test_it_is_a_stage_that_leaves_a_judge_and_the_model_as_it_was(tmp_path: Path, weak: str) -> None:
    make_project(tmp_path)
    rows = [
        {"prompt": p.prompt.conversation.last.content, "chosen": p.chosen, "rejected": p.rejected} for p in planted(80)
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    teacher = {"blocks": 1} if weak == "blocks" else {"weak": str(tmp_path / "model")}
    spec: dict[str, Any] = {
        "name": "weak", "model": str(tmp_path / "model"), "intent": {"pairs": [str(tmp_path / "pairs.jsonl")]},
        "feedback": [{"by": "written"}],
        "train": [{"by": "weak_to_strong", **teacher, "epochs": 1, "rank": 2, "batch_tokens": 400}],
        "promises": ["weak_to_strong.student > 0.2"],
    }  # fmt: skip
    run = aw.align(spec, runs=tmp_path / "runs", quiet=True)
    claims = {finding.claim for finding in run.findings if finding.claim.startswith("weak_to_strong")}
    assert claims == {f"weak_to_strong.{name}" for name in ("weak", "student", "ceiling", "gap_recovered")}
    assert len(list(run.path.rglob("reward.json"))) == 3  # teacher, student, ceiling
    assert "Of the gap from teacher to ceiling recovered" in (run.path / "report.html").read_text()
