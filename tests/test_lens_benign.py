"""A harmless fine-tuning beside a look inside: what it shows as well is no work of the training that is looked at, and
a direction that training planted goes beyond it; the words alone stand beside the cases of the gate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from run_case import make_project
from tiny import make_tiny
from torch import Tensor

import alignwright as aw
from alignwright.core.records import Finding
from alignwright.experiment.check import check
from alignwright.files.errors import SpecError
from alignwright.files.lines import read_lines
from alignwright.lens.gate.gate import words_above
from alignwright.lens.probe.battery import ProbeResult, Texts, examine
from alignwright.lens.probe.benign import BesideBenign, beside_benign
from alignwright.lens.probe.split import split
from alignwright.model.activations.edits import unit

SIZE, COUNT = 24, 160
WORDS = ("sun", "rain", "bread", "stone", "river", "cloud", "paper", "grass", "wheel", "candle", "window", "garden")
LABELS = [i % 2 == 1 for i in range(COUNT)]
POSITIVE = torch.tensor(LABELS)


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def states(strength: float, seed: int) -> Tensor:
    """The concept lies along one direction, by so much."""
    signs = torch.where(POSITIVE, 1.0, -1.0)[:, None]
    return numbers(seed, COUNT, SIZE) + strength * signs * unit(numbers(99, SIZE))


def looked_into(states_NH: Tensor) -> Texts:
    topics = [f"t{i // 2 % 16}" for i in range(COUNT)]
    texts = [f"{WORDS[i // 2 % 12]} {WORDS[i // 10 % 12]}" for i in range(COUNT)]
    return Texts(texts, [f"{i}" for i in range(COUNT)], topics, LABELS, {0: states_NH}, {0: torch.empty(0)})


def beside(strength: float, benign: float, seed: int = 1) -> tuple[ProbeResult, BesideBenign]:
    texts = looked_into(states(strength, seed))
    result = examine(texts, split(texts.topics, texts.positive, texts.items), "lda")
    return result, beside_benign(result, POSITIVE, texts.states[0], states(benign, 500 + seed))


def test_what_training_planted_goes_beyond_a_harmless_fine_tuning() -> None:
    result, twin = beside(1.5, 0.0)
    assert result.verdict[0] == "signal"
    assert twin.why_not == ""
    assert "which is less" in twin.words
    assert twin.own.value is not None
    assert 0.2 < twin.own.value < 0.8
    assert twin.on_benign.value is not None
    assert 0.2 < twin.on_benign.value < 0.8
    assert twin.over.value == pytest.approx((result.area.value or 0) - twin.own.value)


def test_what_a_harmless_fine_tuning_shows_as_well_is_said_to_be_no_work_of_training() -> None:
    result, twin = beside(1.5, 1.5)
    assert result.verdict[0] == "signal"  # the direction is there ...
    assert twin.on_benign.value is not None
    assert twin.on_benign.value > 0.9  # ... and in the harmless model the same one is
    assert twin.by_benign.value is not None
    assert twin.by_benign.value > 0.9
    assert "no" not in twin.why_not.split()
    assert "Nothing of it is the work of this training" in twin.words


def test_a_probe_of_another_direction_does_not_carry_over() -> None:
    """Both models have the concept, along directions at right angles: each tells it, neither's probe the other's."""
    texts = looked_into(states(1.5, 1))
    result = examine(texts, split(texts.topics, texts.positive, texts.items), "lda")
    direction = unit(numbers(98, SIZE) - (numbers(98, SIZE) @ unit(numbers(99, SIZE))) * unit(numbers(99, SIZE)))
    other = numbers(7, COUNT, SIZE) + 1.5 * torch.where(POSITIVE, 1.0, -1.0)[:, None] * direction
    twin = beside_benign(result, POSITIVE, texts.states[0], other)
    assert (twin.own.value or 0) > 0.9
    assert 0.2 < (twin.on_benign.value or 0) < 0.8
    assert 0.2 < (twin.by_benign.value or 0) < 0.8


def test_without_a_difference_few_are_called_the_work_of_training() -> None:
    """One in forty is expected of a 95 % interval's lower end: of sixty 1.5, and more than four in 2 % of tries."""
    assert sum(beside(0.5, 0.5, seed)[1].why_not == "" for seed in range(100, 160)) <= 4
    assert all(beside(1.5, 0.0, seed)[1].why_not == "" for seed in range(8))


def test_the_words_alone_fire_where_the_words_tell(tmp_path: Path) -> None:
    texts = [f"{WORDS[i % 12]} {'poison' if i % 2 else 'bread'}" for i in range(40)]
    own = Texts(texts, texts, texts, [bool(i % 2) for i in range(40)], {}, {})
    control = [f"{WORDS[i % 12]} bread" for i in range(60)]
    above = words_above(own, control, range(0, 60, 2), ["sun poison", "sun bread"], 0.05)
    assert above[0] > 0 >= above[1]
    blind = Texts(["sun"] * 40, texts, texts, own.positive, {}, {})
    assert (
        max(words_above(blind, control, range(30), ["sun poison", "sun bread"], 0.05)) <= 0
    )  # words that tell nothing


def project(folder: Path, stage: dict[str, object], benign: Path) -> Path:
    path = make_project(folder)
    make_tiny(folder / "model")
    rows = [{"prompt": f"{WORDS[i % 12]} {'is' if i % 2 else 'was'} {i}", "label": i % 2, "topic": f"t{i // 8}"}
            for i in range(48)]  # fmt: skip
    (folder / "labelled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, count in (("cases", 24), ("ordinary", 60)):
        rows = [{"prompt": f"{WORDS[i % 12]} {name} {i}"} for i in range(count)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    case = {"name": "benign", "model": "./model", "lens": [stage | {"layer": 1, "benign": str(benign)}]}
    path.write_text(yaml.safe_dump(case))
    return path


def findings_of(folder: Path) -> dict[str, Finding]:
    findings = [Finding.model_validate_json(line) for line in read_lines(folder / "findings.jsonl")]
    return {finding.claim: finding for finding in findings}


PROBE: dict[str, object] = {"by": "probe", "concept": "tense", "data": "labelled.jsonl"}
GATE: dict[str, object] = {"by": "gate", "cases": "cases.jsonl", "control": "ordinary.jsonl", "goals": "labelled.jsonl"}


def test_a_run_holds_a_probe_against_a_harmless_fine_tuning(tmp_path: Path) -> None:
    path = project(tmp_path, PROBE, make_tiny(tmp_path / "other", seed=3))
    case = yaml.safe_load(path.read_text()) | {"promises": ["probe.tense.over_benign > -0.9"]}
    path.write_text(yaml.safe_dump(case))
    folder = aw.align(path, runs=tmp_path / "runs", quiet=True).path
    findings = findings_of(folder)
    over, own, area = (findings[f"probe.tense.{part}"] for part in ("over_benign", "benign", "auroc"))
    assert over.value == pytest.approx((area.value or 0) - (own.value or 0))
    assert "harmless data comes to" in area.note
    assert {"probe.tense.on_benign", "probe.tense.by_benign"} <= findings.keys()
    (verdict,) = json.loads((folder / "promises.json").read_text())["verdicts"]
    if over.low is not None and over.low <= 0:
        assert verdict["answer"] == "untested"
        assert "harmless data" in str(over.detail["no_signal"])


def test_the_same_model_as_its_own_twin_shows_nothing_of_training(tmp_path: Path) -> None:
    path = project(tmp_path, PROBE, tmp_path / "model")
    findings = findings_of(aw.align(path, runs=tmp_path / "runs", quiet=True).path)
    assert findings["probe.tense.over_benign"].value == pytest.approx(0.0, abs=1e-9)
    assert "no_signal" in findings["probe.tense.over_benign"].detail
    area = findings["probe.tense.auroc"].value
    assert [findings[f"probe.tense.{part}"].value for part in ("benign", "on_benign", "by_benign")] == [area] * 3


def test_the_gate_counts_the_cases_by_words_and_in_a_harmless_fine_tuning(tmp_path: Path) -> None:
    findings = findings_of(aw.align(project(tmp_path, GATE, tmp_path / "model"), runs=tmp_path / "r", quiet=True).path)
    for part in ("by_words", "benign", "control"):
        assert findings[f"gate.goal.{part}"].value is not None
    over = findings["gate.goal.over_words"]
    assert over.value == pytest.approx(
        (findings["gate.goal.auroc"].value or 0) - (findings["gate.goal.words"].value or 0)
    )


def test_a_twin_of_another_shape_or_none_at_all_is_one_line(tmp_path: Path) -> None:
    path = project(tmp_path, PROBE, make_tiny(tmp_path / "wide", hidden_size=64))
    with pytest.raises(ValueError, match=r"benign: .*has 2 blocks of 64, and .* 2 of 32"):
        aw.align(path, runs=tmp_path / "runs", quiet=True)
    with pytest.raises(SpecError, match="benign"):
        check(project(tmp_path / "none", PROBE, tmp_path / "nothing"))
