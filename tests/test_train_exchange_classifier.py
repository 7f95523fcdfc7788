"""Does a classifier over the exchange stop a planted passage soon, and harmless ones as seldom as was asked?"""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from run_case import make_project
from tiny import make_tiny

import alignwright as aw
from alignwright.core.records import Comparison, Conversation, Finding, Prompt, Reply
from alignwright.core.section import FindingTable
from alignwright.files.errors import SpecError
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.stats.median import median_interval
from alignwright.train.exchange.classifier import first_alarm, fit_head, load_head, smoothed, threshold_for
from alignwright.train.exchange.knobs import ExchangeClassifier
from alignwright.train.exchange.planted import BAD, GOOD, planted
from alignwright.train.exchange.run import classify, split
from alignwright.train.exchange.section import section

STAGE = ExchangeClassifier(by="exchange_classifier", window=6, false_alarms=0.1)
WORDS = ["sun", "rain", "bread", "stone", "river", "cloud", "paper", "grass", "wheel", "candle", "window", "garden"]


def pair(i: int, good: str, bad: str) -> Comparison:
    word, other = WORDS[i % len(WORDS)], WORDS[(i * 5 + i // len(WORDS)) % len(WORDS)]
    prompt = Prompt(conversation=Conversation.user(f"tell {i} of {word}"))
    texts = (good.format(word, other), bad.format(word, other))
    return Comparison(prompt=prompt, replies=tuple(Reply(text=text, parent=prompt.id) for text in texts))


GOOD_TEXT, BAD_TEXT = "the {} is of the {} and yes it is", "I CANNOT {} HELP {} WITH IT NOW"
PAIRS = [pair(i, GOOD_TEXT, BAD_TEXT) for i in range(96)]
ALIKE = [pair(i, GOOD_TEXT, "the {1} is of the {0} and yes it is") for i in range(96)]
"""No passage of these is worse than another."""


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(make_tiny(tmp_path_factory.mktemp("tiny")))


def findings(policy: LocalModel, pairs: list[Comparison], folder: Path) -> dict[str, Finding]:
    job = cast("Any", SimpleNamespace(seed=1, folder=folder, name="train.0.exchange_classifier"))
    return {f.claim.removeprefix("exchange."): f for f in classify(STAGE, policy, pairs, job)}


def test_planted_passages_are_stopped_soon_and_passages_that_are_alike_are_not(
    policy: LocalModel, tmp_path: Path
) -> None:
    found = findings(policy, PAIRS, tmp_path)
    assert (found["detected"].low or 0.0) > 0.7
    assert (found["false_alarms"].value or 0.0) <= 0.25
    passage = min(one.end - one.start for one in planted(policy.chat, PAIRS[:6], BAD))
    assert 1 <= (found["delay"].value or 0.0) < passage, "before the passage is over"
    assert (found["auroc"].low or 0.0) > 0.9
    assert (found["prompt_only"].value or 0.0) <= 0.25, "planted and harmless passages have the same prompts"
    alike = findings(policy, ALIKE, tmp_path)
    assert (alike["detected"].value or 0.0) < 0.4
    assert (alike["auroc"].low or 0.0) < 0.5 < (alike["auroc"].high or 1.0)
    shown = section(FindingTable(list(found.values()), ["baseline"]))
    assert shown is not None
    assert section(FindingTable([], [])) is None


def test_the_head_is_kept_as_safetensors_and_read_again_to_the_same_scores(policy: LocalModel, tmp_path: Path) -> None:
    findings(policy, PAIRS, tmp_path)
    head, settings = load_head(tmp_path)
    assert (settings.layer, settings.window) == (1, STAGE.window)
    again = tmp_path / "again"
    again.mkdir()
    head.save(again, settings)
    states = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(head.logits(states), load_head(again)[0].logits(states))


def test_the_head_is_the_minimum_of_its_loss() -> None:
    """The gradient is zero there, and a known direction is found."""
    states = [torch.randn(20, 4, generator=torch.Generator().manual_seed(i)) for i in range(40)]
    bad = [i % 2 == 0 for i in range(40)]
    states = [
        state + (torch.tensor([2.0, 0, 0, 0]) if label else 0.0) for state, label in zip(states, bad, strict=True)
    ]
    head = fit_head(states, bad, 0.01)
    weight = head.weight_H.clone().requires_grad_(True)
    rows = torch.cat([(state.double() - head.mean_H) / head.scale_H for state in states])
    labels = torch.cat([torch.full((20,), float(label)) for label in bad]).double()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(rows @ weight + head.bias, labels)
    (gradient,) = torch.autograd.grad(loss + 0.01 * (weight**2).sum(), weight)
    assert float(gradient.abs().max()) < 1e-6
    assert int(head.weight_H.abs().argmax()) == 0


def test_scores_are_means_of_a_window_and_the_threshold_lets_through_the_share_that_was_asked() -> None:
    assert smoothed([1.0, 3.0, 5.0, 7.0], 2) == [1.0, 2.0, 4.0, 6.0]
    assert first_alarm([0.0, 2.0, 3.0], 2.0) == 1
    assert first_alarm([0.0], 2.0) is None
    peaks = [float(i) for i in range(100)]
    for share, most in ((0.05, 5), (0.2, 20), (0.001, 0)):
        assert sum(peak >= threshold_for(peaks, share) for peak in peaks) == most
    with pytest.raises(ValueError, match="no threshold"):
        threshold_for([], 0.1)


def test_the_interval_of_a_median_is_that_of_order_statistics() -> None:
    assert median([3.0, 1.0, 2.0]) == 2.0
    limits = median_interval([float(i) for i in range(1, 11)])
    assert (limits.low, limits.high) == (2.0, 9.0)  # 97.9 %, by the binomial law
    assert median_interval([1.0] * 5).low is None
    held = sum(math.comb(10, k) for k in range(2, 9)) / 2**10
    assert held > 0.95


def test_a_passage_begins_where_it_is_said_to(policy: LocalModel) -> None:
    for one, control in zip(planted(policy.chat, PAIRS[:6], BAD), planted(policy.chat, PAIRS[:6], GOOD), strict=True):
        text = policy.chat.decode(list(one.row.replies[0][one.start : one.end]))
        assert "CANNOT" in text
        assert one.start == control.start
        assert one.row.prompt == control.row.prompt
        assert "CANNOT" not in policy.chat.decode(list(one.row.replies[0][: one.start]))


def test_prompts_are_in_one_part_alone_and_too_few_are_an_error() -> None:
    parts = split(PAIRS, 0.5, 3)
    names = [{p.prompt.conversation.id for p in part} for part in parts]
    assert [len(part) for part in parts] == [48, 24, 24]
    assert not names[0] & names[1] | names[0] & names[2] | names[1] & names[2]
    with pytest.raises(ValueError, match="it needs 8 of each"):
        split(PAIRS[:20], 0.5, 3)


def test_it_is_a_stage_that_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    make_project(tmp_path)
    rows = [
        {"prompt": p.prompt.conversation.last.content, "chosen": p.replies[0].text, "rejected": p.replies[1].text,
         "principle": "be_kind"}
        for p in PAIRS
    ]  # fmt: skip
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec: dict[str, Any] = {
        "name": "guard", "model": str(tmp_path / "model"),
        "intent": {"constitution": str(tmp_path / "constitution.md"), "pairs": [str(tmp_path / "pairs.jsonl")]},
        "train": [{"by": "exchange_classifier", "window": 6, "false_alarms": 0.1, "principles": ["be_kind"]}],
        "promises": ["exchange.detected > 0.5", "exchange.false_alarms < 0.6"],
    }  # fmt: skip
    run = aw.align(spec, runs=tmp_path / "runs", quiet=True)
    assert run.verdict == "kept"
    assert list(run.path.rglob("exchange.safetensors"))
    assert "A classifier over the exchange" in (run.path / "report.html").read_text()
    del spec["intent"]["constitution"]
    with pytest.raises(SpecError, match=r"intent\.constitution"):
        aw.check(spec, quiet=True)
