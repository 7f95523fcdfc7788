"""An adapter changes the model and nothing else: off, it was never there; merged, it is the
model; restored, not a bit differs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import make_tiny
from transformers import AutoModelForCausalLM, AutoTokenizer

from alignwright.model.adapters import (
    adapter_off,
    add_lora,
    load_adapter,
    merge,
    merged,
    save_adapter,
    trainable_parameters,
)
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.logprob import token_logprobs
from alignwright.model.packing import pack
from alignwright.model.tokens import TokenRow

ROWS = [TokenRow((1, 5, 9, 11), ((20, 21, 22), (30, 31)))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_tiny(tmp_path / "tiny", attention_bias=True)


def logp(policy: LocalModel) -> torch.Tensor:
    return token_logprobs(policy.model, pack(ROWS, 2, dtype=policy.dtype))


def trained(folder: Path, dtype: str = "float32") -> LocalModel:
    policy = load(folder, dtype=dtype)
    add_lora(policy, rank=3, seed=1)
    torch.manual_seed(0)
    for parameter in trainable_parameters(policy):
        parameter.data += 0.1 * torch.randn_like(parameter)
    return policy


def test_a_new_adapter_changes_nothing_and_depends_on_its_seed(folder: Path) -> None:
    policy, again, other = load(folder), load(folder), load(folder)
    before = logp(policy)
    for p, seed in ((policy, 1), (again, 1), (other, 2)):
        add_lora(p, rank=3, seed=seed)
    torch.testing.assert_close(logp(policy), before, atol=0, rtol=0)
    same = [torch.equal(a, b) for a, b in zip(trainable_parameters(policy), trainable_parameters(again), strict=True)]
    assert all(same)
    assert not all(
        torch.equal(a, b) for a, b in zip(trainable_parameters(policy), trainable_parameters(other), strict=True)
    )
    assert len(same) == 2 * 7 * 2, "two matrices at each of seven linear layers of two blocks"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_adds_zeros_is_left_out_without_a_gradient_and_not_a_bit_differs(folder: Path, dtype: str) -> None:
    policy = load(folder, dtype=dtype)
    add_lora(policy, rank=3, seed=1)
    with torch.no_grad():
        silent = logp(policy)
    assert torch.equal(logp(policy).detach(), silent)
    moved = trained(folder, dtype)  # the control: an adapter that adds something is heard without a gradient too
    with torch.no_grad():
        heard = logp(moved)
    assert torch.equal(logp(moved).detach(), heard)
    assert not torch.equal(heard, silent)


def test_the_fused_layer_is_pefts_own_value_and_gradient(folder: Path) -> None:
    policy, plain = trained(folder), trained(folder)
    for layer in plain.model.modules():
        if "forward" in vars(layer):
            del layer.forward  # peft's own
    for p in (policy, plain):
        (logp(p) * torch.arange(5.0)).sum().backward()
    torch.testing.assert_close(logp(policy), logp(plain), atol=1e-5, rtol=0)
    for a, b in zip(trainable_parameters(policy), trainable_parameters(plain), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-4, rtol=1e-4)


def test_off_is_the_base_model_and_on_is_not(folder: Path) -> None:
    policy, base = trained(folder), logp(load(folder))
    with adapter_off(policy):
        assert torch.equal(logp(policy), base)
    assert (logp(policy) - base).abs().max() > 1e-2


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_merging_for_a_while_is_exactly_undone(folder: Path, dtype: str) -> None:
    policy = trained(folder, dtype)
    before, kept = logp(policy).detach(), {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}
    during: list[torch.Tensor] = []

    def interrupted() -> None:
        with merged(policy):
            during.append(logp(policy).detach())
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert all(torch.equal(kept[name], tensor) for name, tensor in policy.model.state_dict().items())
    assert torch.equal(logp(policy).detach(), before)
    torch.testing.assert_close(during[0], before, atol=1e-5 if dtype == "float32" else 0.3, rtol=0)


def test_merged_for_good_saved_and_opened_elsewhere_it_is_the_same_model(folder: Path, tmp_path: Path) -> None:
    policy = trained(folder)
    said = [total for total, _ in policy.score(ROWS)[0]]
    policy.save(tmp_path / "out")
    merge(policy)
    policy.save(tmp_path / "merged")
    assert len(trainable_parameters(policy)) == len(list(policy.model.parameters()))
    for place in ("out", "merged"):
        assert [total for total, _ in load(tmp_path / place).score(ROWS)[0]] == pytest.approx(said, abs=1e-4)
        model = AutoModelForCausalLM.from_pretrained(tmp_path / place, local_files_only=True)
        assert not [name for name, _ in model.named_parameters() if "lora" in name]
        assert AutoTokenizer.from_pretrained(tmp_path / place, local_files_only=True).chat_template
        assert model.config._attn_implementation in ("sdpa", "eager")


def test_an_adapter_is_saved_and_loaded(folder: Path, tmp_path: Path) -> None:
    policy = trained(folder)
    save_adapter(policy, tmp_path / "adapter")
    again = load(folder, adapter=tmp_path / "adapter")
    assert torch.equal(logp(again), logp(policy))
    assert not trainable_parameters(again)
    assert str(tmp_path) not in (tmp_path / "adapter" / "adapter_config.json").read_text()
    card = (tmp_path / "adapter" / "README.md").read_text()
    assert str(tmp_path) not in card
    assert str(folder.parent) not in card
    assert f"A low-rank adapter over {folder.name}" in card
    assert "[More Information Needed]" not in card
    fresh = load(folder)
    load_adapter(fresh, tmp_path / "adapter", trainable=True)
    assert len(trainable_parameters(fresh)) == len(trainable_parameters(policy))


def test_errors_point(folder: Path, tmp_path: Path) -> None:
    policy = load(folder)
    with pytest.raises(ValueError, match="no adapter"), adapter_off(policy):
        pass
    with pytest.raises(FileNotFoundError, match=r"adapter_config\.json"):
        load_adapter(policy, tmp_path)
    with pytest.raises(ValueError, match="at least 1"):
        add_lora(policy, rank=0, seed=0)
    add_lora(policy, rank=1, seed=0)
    with pytest.raises(ValueError, match="already has"):
        add_lora(policy, rank=1, seed=0)
