"""Model diffing: a planted edit is found again by its block, its direction and its rank, a changed token by where
predictions moved; a model beside itself, and random changes of its weights, show nothing."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from run_case import make_project
from tiny import make_tiny

import alignwright as aw
from alignwright.core.records import Finding
from alignwright.experiment.check import check
from alignwright.experiment.experiment import Intent
from alignwright.files.errors import SpecError
from alignwright.files.lines import read_lines
from alignwright.job.data import Data
from alignwright.lens.diff.differ import (
    block_changes,
    changed_weights,
    divergence,
    log_probabilities,
    text_states,
)
from alignwright.lens.diff.findings import DiffResult, findings_of
from alignwright.lens.diff.knobs import DRAWS, DiffStage
from alignwright.lens.diff.run import _texts
from alignwright.lens.diff.weights import matrix_changes, same_shape
from alignwright.model.activations.edits import random_direction
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel

BLOCKS, PLANTED = 4, 2
ROWS = [[(7 * i + 3 * j) % 290 + 5 for j in range(12)] for i in range(12)]


@pytest.fixture
def start(tmp_path: Path) -> LocalModel:
    return load(make_tiny(tmp_path / "model", num_hidden_layers=BLOCKS, mlp_bias=True))


@pytest.fixture
def other(tmp_path: Path, start: LocalModel) -> LocalModel:
    return load(tmp_path / "model")


def result_of(policy: LocalModel, start: LocalModel) -> DiffResult:
    states, matrices = text_states(start, ROWS), matrix_changes(policy, start)
    sizes, random = {each.name: each.size for each in matrices}, []
    changes = block_changes(policy, states)
    for draw in range(DRAWS):
        with changed_weights(policy, start, sizes, draw):
            random.append(block_changes(policy, states))
    return DiffResult(changes, random, matrices, 40, [], ([], []))


def test_a_planted_shift_is_found_by_block_and_direction(start: LocalModel, other: LocalModel) -> None:
    """What later blocks carry on of it is not theirs."""
    direction = random_direction(32, 5, 0.5)
    with torch.no_grad():
        other.model.model.layers[PLANTED].mlp.down_proj.bias.add_(direction)
        for layer in range(BLOCKS):  # and a little noise everywhere, as training leaves it
            weight = other.model.model.layers[layer].self_attn.o_proj.weight
            weight.add_(0.002 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(layer)))
    result = result_of(other, start)
    value, layer = result.shared
    assert layer == PLANTED == int(result.changes.own_L.argmax())
    assert value > 0.95
    mean_H = result.changes.mean_LNH[PLANTED].mean(0)
    assert float(torch.nn.functional.cosine_similarity(mean_H, direction, dim=0)) > 0.99
    findings = {finding.claim: finding for finding in findings_of("train.0.sft", result)}
    assert findings["diff.depth"].value == pytest.approx(PLANTED / (BLOCKS - 1))
    assert findings["diff.shared"].low is not None
    assert findings["diff.shared"].low > 0.9
    unedited = load_like(other, start, noise=True)
    assert float(result_of(unedited, start).changes.own_L.max()) < 0.3 * float(result.changes.own_L.max())


def load_like(other: LocalModel, start: LocalModel, *, noise: bool) -> LocalModel:
    """The other model with the start model's weights, and noise in its attention."""
    with torch.no_grad():
        for weight, own in zip(other.model.parameters(), start.model.parameters(), strict=True):
            weight.copy_(own)
        for layer in range(BLOCKS if noise else 0):
            weight = other.model.model.layers[layer].self_attn.o_proj.weight
            weight.add_(0.002 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(layer)))
    return other


def test_a_rank_one_edit_is_the_matrix_that_changed(start: LocalModel, other: LocalModel) -> None:
    weight = other.model.model.layers[1].mlp.down_proj.weight
    with torch.no_grad():
        weight.add_(0.5 * torch.outer(random_direction(32, 1), random_direction(64, 2)))
    changes = matrix_changes(other, start)
    assert [change.name for change in changes] == ["model.layers.1.mlp.down_proj.weight"]
    assert changes[0].rank == pytest.approx(1.0, abs=1e-3)
    assert changes[0].top == pytest.approx(1.0, abs=1e-5)
    assert changes[0].size == pytest.approx(0.5, abs=1e-4)
    own_L = block_changes(other, text_states(start, ROWS)).own_L
    assert own_L[[0, 2, 3]].tolist() == [0.0] * 3  # exactly: their weights are the same, and so is what they read
    assert float(own_L[1]) > 0.01
    with torch.no_grad():  # the control: a change of the same size in every direction
        weight.copy_(start.model.model.layers[1].mlp.down_proj.weight)
        weight.add_(0.5 * torch.nn.functional.normalize(torch.randn(weight.shape).flatten(), dim=0).view_as(weight))
    noise = matrix_changes(other, start)[0]
    assert noise.rank is not None
    assert noise.rank > 15
    assert noise.top is not None
    assert noise.random_top is not None
    assert noise.top < 1.4 * noise.random_top


def test_a_model_beside_itself_and_random_changes_show_nothing(start: LocalModel, other: LocalModel) -> None:
    assert matrix_changes(other, start) == []
    states = text_states(start, ROWS)
    assert float(block_changes(other, states).own_L.max()) == 0.0
    assert float(block_changes(other, states).shared_L.abs().max()) == 0.0
    sizes = {f"model.layers.{layer}.mlp.down_proj.weight": 0.2 for layer in range(BLOCKS)}
    before = [weight.clone() for weight in other.model.parameters()]
    shared = []
    for draw in range(60):
        with changed_weights(other, start, sizes, 1000 + draw):
            shared.append(float(block_changes(other, states).shared_L.max()))
            assert sum(change.size for change in matrix_changes(other, start)) == pytest.approx(0.8, abs=1e-3)
    assert all(torch.equal(weight, own) for weight, own in zip(other.model.parameters(), before, strict=True))
    # each of the first forty beside nineteen others: p <= 0.05 where it shares more than all of them
    signals = [shared[i] > max(shared[40:59]) for i in range(40)]
    assert sum(signals) <= 6  # two expected; seven or more have a chance below one in a hundred


def test_predictions_move_after_the_token_that_changed(start: LocalModel, other: LocalModel) -> None:
    mark = 77
    row = [5, 9, 12, 30, mark, 8, 41, 6]
    with torch.no_grad():
        other.model.model.embed_tokens.weight[mark].add_(random_direction(32, 3, 3.0))
    kl_T = divergence(log_probabilities(other, row), log_probabilities(start, row))
    plain_T = divergence(log_probabilities(start, row), log_probabilities(start, row))
    assert float(plain_T.max()) < 1e-6
    assert int(kl_T.argmax()) == row.index(mark)
    assert float(kl_T[:4].max()) < 0.1 * float(kl_T[4])  # the head is tied, so what it says of this one token moves too


def test_models_of_other_shapes_are_refused(start: LocalModel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="are no models of one shape"):
        same_shape(load(make_tiny(tmp_path / "deep", num_hidden_layers=3)), start)


def test_a_text_that_stands_there_twice_counts_once(tmp_path: Path) -> None:
    """Otherwise both halves of the texts may be the same, and share every direction."""
    path = make_project(tmp_path)
    rows = [json.dumps({"text": f"The {word} is here.", "topic": str(i)}) for i, word in enumerate("abcdefghi")]
    path.with_name("twice.jsonl").write_text("\n".join(rows * 2) + "\n")
    stage = DiffStage(by="diff", text=("twice.jsonl",), limit=100)
    job = SimpleNamespace(data=Data(tmp_path, Intent()))
    texts = _texts(stage, job, load(tmp_path / "model"))  # type: ignore[arg-type]
    assert [text.words for text in texts] == [json.loads(row)["text"] for row in rows]
    case = yaml.safe_load(path.read_text()) | {"promises": []}
    path.with_name("same.jsonl").write_text((rows[0] + "\n") * 20)
    path.write_text(yaml.safe_dump(case | {"lens": [{"by": "diff", "text": ["same.jsonl"]}]}))
    with pytest.raises(SpecError, match="1 different texts: give at least 8"):
        check(path)
    path.write_text(
        yaml.safe_dump(case | {"lens": [{"by": "diff", "text": ["text.jsonl"], "against": "http://127.0.0.1:9/v1#it"}]})
    )
    with pytest.raises(SpecError, match="against: a server gives no weights, which are compared: name a folder"):
        check(path)


def test_a_run_tells_what_training_changed(tmp_path: Path) -> None:
    path = make_project(tmp_path)
    case = yaml.safe_load(path.read_text())
    del case["collect"], case["attack"], case["measure"], case["intent"]["prompts"]
    case |= {"feedback": [{"by": "written"}], "train": case["train"][:1]}
    case["lens"] = [{"by": "diff", "text": ["text.jsonl"], "limit": 10}]
    case["promises"] = ["diff.kl < 5", "diff.shared < 0.9"]
    path.write_text(yaml.safe_dump(case))
    folder = aw.align(path, runs=tmp_path / "runs", quiet=True).path
    findings = {
        (f.claim, f.stage): f
        for f in map(Finding.model_validate_json, read_lines(folder / "findings.jsonl"))
        if f.claim.startswith("diff.")
    }
    trained = "train.0.sft"
    assert ("diff.kl", "baseline") not in findings
    kl = findings["diff.kl", trained]
    assert kl.n == 10
    assert kl.value is not None
    assert kl.value > 0
    assert findings["diff.kl_random", trained].n == 10
    rank = findings["diff.rank", trained].value
    assert rank is not None
    assert 1.0 <= rank < 2.01  # an adapter of rank two
    assert {"layer 0", "layer 1", "random 0"} <= findings["diff.depth", trained].detail.keys()
    names = {path.name for path in folder.glob("**/mean_difference.safetensors")}
    assert names
    rows = [json.loads(line) for path in folder.glob("**/tokens.jsonl") for line in read_lines(path)]
    assert [row["kl"] for row in rows] == sorted((row["kl"] for row in rows), reverse=True)
    assert "What training changed inside" in (folder / "report.html").read_text()
    verdicts = {v["promise"]: v["answer"] for v in json.loads((folder / "promises.json").read_text())["verdicts"]}
    assert verdicts["diff.kl < 5"] == "kept"
