"""Is the gradient that is written out that of autograd, and is it taken where blocks are plain and there alone?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from tiny import make_tiny

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from model_families import make

from alignwright.model.llama_blocks import trunk
from alignwright.model.load import load
from alignwright.model.row_gradient import PlainRow
from alignwright.model.shared_prompt_attention import attention_kernels
from alignwright.model.target_loss import TargetLoss

BEFORE, SUFFIX, AFTER, TARGET = [1, 40, 41], [60, 61, 62, 63, 64], [2, 50, 1, 51], [70, 71, 72]


def opened(folder, dtype="float32"):
    policy = load(str(make_tiny(folder, hidden_size=64, intermediate_size=96)), dtype=dtype)
    body = trunk(policy.model)
    if attention_kernels(policy.dtype, torch.device("cpu"), body.layers[0].self_attn.head_dim) is None:
        pytest.skip(f"no kernel attends in {dtype} here")
    return policy


@pytest.mark.parametrize(("dtype", "error"), [("float32", 1e-5), ("bfloat16", 0.05)])
@pytest.mark.parametrize("after", [AFTER, []])
def test_the_way_back_is_that_of_autograd(tmp_path, monkeypatch, dtype, error, after):
    policy = opened(tmp_path, dtype)
    at = TargetLoss(policy, BEFORE, after, TARGET)
    assert at._row.plain is not None
    loss, grad_SV = at.gradient(SUFFIX)
    states = at._row.states
    monkeypatch.setattr(PlainRow, "of", lambda _: None)
    other = TargetLoss(policy, BEFORE, after, TARGET)
    right, right_SV = other.gradient(SUFFIX)
    assert other._row.plain is None
    assert loss == pytest.approx(right, abs=error)
    assert float(right_SV.abs().max()) > 1e-3, "a gradient of zeros would prove nothing"
    assert float((grad_SV - right_SV).norm() / right_SV.norm()) < error
    for mine, of_autograd in zip(states, other._row.states, strict=True):
        torch.testing.assert_close(tuple(mine), tuple(of_autograd), atol=error, rtol=error)


def test_candidates_branch_off_what_it_left(tmp_path, monkeypatch):
    policy = opened(tmp_path)
    at = TargetLoss(policy, BEFORE, AFTER, TARGET)
    at.gradient(SUFFIX)
    candidates = [[*SUFFIX[:3], 80, 64], [81, *SUFFIX[1:]]]
    losses = at.losses(candidates)
    fresh = TargetLoss(policy, BEFORE, AFTER, TARGET)  # nothing was read behind `before`
    torch.testing.assert_close(losses, fresh.losses(candidates), atol=1e-5, rtol=0)


SIZE = {"hidden_size": 64, "intermediate_size": 96, "head_dim": 32, "num_attention_heads": 2, "num_key_value_heads": 1}


@pytest.mark.parametrize("family", ["llama", "smollm3", "qwen2", "qwen3", "phi3", "olmo2", "granite"])
def test_blocks_of_another_form_are_left_to_autograd(family, tmp_path, monkeypatch):
    """A bias, normed heads, one layer for several, norms elsewhere, factors; blocks that do not turn are plain."""
    opened(tmp_path)
    size = SIZE if family != "phi3" else {name: n for name, n in SIZE.items() if name != "head_dim"}
    policy = load(make(family, tmp_path / family, **size))
    assert (PlainRow.of(trunk(policy.model)) is not None) == (family in ("llama", "smollm3"))
    _, grad_SV = TargetLoss(policy, BEFORE, AFTER, TARGET).gradient(SUFFIX)
    monkeypatch.setattr(PlainRow, "of", lambda _: None)
    _, right_SV = TargetLoss(policy, BEFORE, AFTER, TARGET).gradient(SUFFIX)
    torch.testing.assert_close(grad_SV, right_SV, atol=1e-5, rtol=1e-3)
