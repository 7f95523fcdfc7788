"""A base in 4 bits is one model: the same whatever precision it computes in, the one that plain
transformers and peft make of the same configuration, never trained, and saved as what it computes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny import make_tiny
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from alignwright.core.records import Conversation
from alignwright.files.quantization import why_not_quantized
from alignwright.model import plain_weights
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
from alignwright.model.quantization import dequantized, has_quantized, quantized_layers
from alignwright.model.reward_head import in_float32
from alignwright.model.tokens import TokenRow

pytestmark = pytest.mark.skipif(why_not_quantized() is not None, reason=f"{why_not_quantized()}")

ROWS = [TokenRow((1, 5, 9, 11), ((20, 21, 22), (30, 31)))]
PROMPTS = [Conversation.user("hi there"), Conversation.user("what is it?")]
REPLIES = [["yes", "no"], ["a bird"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("models") / "tiny", hidden_size=64, intermediate_size=128)


def opened(folder: Path, dtype: str = "float32") -> LocalModel:
    return load(folder, dtype=dtype, quantization="nf4")


def trained(folder: Path, dtype: str = "float32") -> LocalModel:
    policy = opened(folder, dtype)
    add_lora(policy, rank=3, seed=1)
    torch.manual_seed(0)
    for parameter in trainable_parameters(policy):
        parameter.data += 0.05 * torch.randn_like(parameter)
    return policy


def peers(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """What transformers alone makes of it. In training mode, where bitsandbytes computes in the
    precision that it was told on every processor; there is no dropout."""
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, quantization_config=config).train()


def logp(policy: LocalModel) -> torch.Tensor:
    return token_logprobs(policy.model, pack(ROWS, 2, dtype=policy.dtype))


def peer_logp(model: Any) -> torch.Tensor:
    (row,) = ROWS
    parts = []
    for reply in row.replies:
        ids = torch.tensor([[*row.prompt, *reply]])
        logp_TV = model(input_ids=ids).logits[0].float().log_softmax(-1)
        at = torch.arange(len(row.prompt), ids.shape[1])
        parts.append(logp_TV[at - 1, ids[0, at]])
    return torch.cat(parts)


def codes(model: Any) -> list[torch.Tensor]:
    return [layer.weight.data.flatten() for layer in quantized_layers(model)]


def test_log_probabilities_are_those_of_transformers_over_the_same_configuration(folder: Path) -> None:
    policy, whole = opened(folder), load(folder)
    theirs = peer_logp(peers(folder)).detach()
    torch.testing.assert_close(logp(policy), theirs, atol=1e-5, rtol=0)
    with torch.inference_mode():
        torch.testing.assert_close(logp(policy), theirs, atol=1e-5, rtol=0)
    assert float((logp(whole) - theirs).detach().abs().max()) > 0.01, "a control: 4 bits are another model"
    assert all(not p.is_floating_point() or p.dtype == torch.float32 for p in policy.model.parameters())
    assert len(codes(policy.model)) == 2 * 7


def test_what_is_trained_in_bfloat16_and_measured_in_float32_is_one_base(folder: Path) -> None:
    wide, narrow = opened(folder), opened(folder, "bfloat16")
    assert narrow.dtype == torch.bfloat16
    assert all(torch.equal(a, b) for a, b in zip(codes(wide.model), codes(narrow.model), strict=True))
    for a, b in zip(quantized_layers(wide.model), quantized_layers(narrow.model), strict=True):
        assert torch.equal(dequantized(a), dequantized(b))
    theirs = peers(folder, torch.bfloat16)
    unlike = [not torch.equal(a, b) for a, b in zip(codes(wide.model), codes(theirs), strict=True)]
    assert any(unlike), "a control: quantised from weights rounded to bfloat16 it is another base"


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
def test_gradients_are_those_of_peft_and_reach_the_adapter_alone(folder: Path) -> None:
    policy = trained(folder)
    with torch.inference_mode():
        logp(policy)  # after a pass without gradients bitsandbytes would repack the weights, and pass none
    logp(policy).sum().backward()
    theirs = get_peft_model(
        peers(folder), LoraConfig(r=3, lora_alpha=6, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    ours = dict(policy.model.named_parameters())
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if ".lora_" in name:
                parameter.copy_(ours[name])
    peer_logp(theirs.train()).sum().backward()
    grads = {name: p.grad for name, p in theirs.named_parameters() if p.grad is not None}
    assert set(grads) == {name for name, p in ours.items() if p.grad is not None}
    assert len(grads) == 2 * 7 * 2
    assert all(".lora_" in name for name in grads)
    for name, grad in grads.items():
        assert grad is not None
        torch.testing.assert_close(ours[name].grad, grad, atol=2e-5, rtol=1e-4)
        assert float(grad.abs().max()) > 0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_adapter_off_is_the_base_and_nothing_moves_a_code(folder: Path, dtype: str) -> None:
    base, policy = opened(folder, dtype), trained(folder, dtype)
    before = codes(policy.model)
    assert {p.dtype for p in trainable_parameters(policy)} == {policy.dtype}
    optimizer = torch.optim.SGD(trainable_parameters(policy), lr=0.01)
    losses = []
    for _ in range(8):
        loss = -logp(policy).mean()
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] - 0.1
    with merged(policy):
        policy.generate(PROMPTS, max_new_tokens=2, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(before, codes(policy.model), strict=True))
    with adapter_off(policy):
        torch.testing.assert_close(logp(policy), logp(base), atol=0, rtol=0)


def test_weights_in_4_bits_are_not_trained(folder: Path) -> None:
    with pytest.raises(ValueError, match="weights in 4 bits cannot be trained themselves"):
        trainable_parameters(opened(folder))


def test_greedy_replies_are_those_of_transformers(folder: Path) -> None:
    policy = trained(folder)
    for prompt in PROMPTS:
        ids = torch.tensor([policy.chat.prompt(prompt)])
        (reply,) = policy.generate([prompt], max_new_tokens=6, temperature=0.0)[0]
        row = policy.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False, pad_token_id=2
        )[0, ids.shape[1] :].tolist()
        stops = [i for i, token in enumerate(row) if token in policy.chat.stop_ids]
        assert reply.text == policy.chat.decode(row[: stops[0] + 1 if stops else None])


def test_a_saved_model_is_plain_and_computes_what_was_measured(folder: Path, tmp_path: Path) -> None:
    policy = trained(folder)
    measured = policy.logprobs(PROMPTS, REPLIES)
    policy.save(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert "quantization_config" not in config
    again = load(tmp_path / "model")
    assert not has_quantized(again.model)
    for ours, theirs in zip(measured, again.logprobs(PROMPTS, REPLIES), strict=True):
        assert [p.total for p in theirs] == pytest.approx([p.total for p in ours], abs=2e-5)
    base = opened(folder).logprobs(PROMPTS, REPLIES)
    assert base[0][0].total != pytest.approx(measured[0][0].total, abs=0.01), "a control: the adapter does something"
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert plain.dtype == torch.float32
    assert plain.num_parameters() == load(folder).model.num_parameters()


def test_a_large_model_is_written_shard_by_shard(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = trained(folder)
    policy.save(tmp_path / "one")
    monkeypatch.setattr(plain_weights, "SHARD", 100_000)
    policy.save(tmp_path / "many")
    files = sorted(path.name for path in (tmp_path / "many").glob("*.safetensors"))
    assert len(files) > 2
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    one, many = load(tmp_path / "one"), load(tmp_path / "many")
    for (name, a), (other, b) in zip(one.model.named_parameters(), many.model.named_parameters(), strict=True):
        assert name == other
        assert torch.equal(a, b)


@pytest.mark.parametrize("tied", [True, False])
def test_a_base_without_an_adapter_is_written_too(tmp_path: Path, tied: bool) -> None:
    made = make_tiny(
        tmp_path / "tiny", hidden_size=64, intermediate_size=128, tie_word_embeddings=tied, attention_bias=True
    )
    policy = opened(made)
    policy.save(tmp_path / "model")
    again = load(tmp_path / "model")
    ours, theirs = (p.logprobs(PROMPTS, REPLIES)[0] for p in (policy, again))
    assert [p.total for p in theirs] == pytest.approx([p.total for p in ours], abs=2e-5)
    assert again.model.num_parameters() == load(made).model.num_parameters()


def test_an_adapter_is_saved_loaded_and_kept_beside_its_base(folder: Path, tmp_path: Path) -> None:
    policy = trained(folder)
    save_adapter(policy, tmp_path / "adapter")
    again = opened(folder)
    load_adapter(again, tmp_path / "adapter")
    merge(again)
    assert has_quantized(again.model)
    assert not trainable_parameters(again)
    torch.testing.assert_close(logp(again), logp(policy), atol=0, rtol=0)


def test_what_is_found_out_in_float32_is(folder: Path) -> None:
    policy = trained(folder, "bfloat16")
    wide = trained(folder)
    with torch.no_grad():
        own = dict(policy.model.named_parameters())
        for name, parameter in wide.model.named_parameters():
            if ".lora_" in name:
                parameter.copy_(own[name])
        narrow = dict(load(folder, dtype="bfloat16").model.named_parameters())
        for name, parameter in wide.model.named_parameters():
            if (plain := name.removeprefix("base_model.model.")) in narrow and parameter.is_floating_point():
                parameter.copy_(narrow[plain])
        before = logp(policy)
        with in_float32(policy):
            torch.testing.assert_close(logp(policy), logp(wide), atol=1e-5, rtol=0)
        assert torch.equal(logp(policy), before)
        assert float((before - logp(wide)).abs().max()) > 1e-4, "a control: bfloat16 is not float32"
