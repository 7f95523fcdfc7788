"""A base in 4 bits is one model: the same whatever precision it computes in, the one that plain
transformers and peft make of the same configuration, never trained, and saved as what it computes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from tiny import TEMPLATE, make_tiny, make_tokenizer
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, GPT2Config, Lfm2Config, Phi3Config

from alignwright.core.records import Conversation, Prompt
from alignwright.experiment.experiment import Experiment
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
from alignwright.model.reward_head import in_float32, new_head, save_head
from alignwright.model.reward_model import RewardMeta, RewardScorer
from alignwright.model.sequence_classifier import ClassifierScorer
from alignwright.model.token_embeddings import DELTA
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


@pytest.mark.parametrize("kind", [Phi3Config, GPT2Config, Lfm2Config])
def test_other_families_are_theirs_too_and_saved_as_what_they_compute(kind: Any, tmp_path: Path) -> None:
    """Layers that are several in one, weights that a layer keeps the other way round, convolutions."""
    sizes: dict[str, Any] = {
        "vocab_size": 300, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "pad_token_id": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512, "eos_token_id": 2,
        "bos_token_id": 1, "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0,
    }  # fmt: skip
    sizes |= {"layer_types": ["conv", "full_attention"]} if kind is Lfm2Config else {}
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(kind(**sizes)).save_pretrained(tmp_path / "base")
    make_tokenizer().save_pretrained(tmp_path / "base")
    torch.testing.assert_close(logp(opened(tmp_path / "base")), peer_logp(peers(tmp_path / "base")), atol=1e-5, rtol=0)
    policy = trained(tmp_path / "base")
    measured = policy.logprobs(PROMPTS, REPLIES)[0]
    policy.save(tmp_path / "model")
    again = load(tmp_path / "model").logprobs(PROMPTS, REPLIES)[0]
    assert [p.total for p in again] == pytest.approx([p.total for p in measured], abs=2e-5)


def test_new_tokens_of_a_given_template_are_trained_and_saved(tmp_path: Path) -> None:
    made = make_tiny(tmp_path / "tiny", template=None, hidden_size=64, intermediate_size=128)
    chat = Experiment(name="x", model=str(made), chat="llama3").chat_format
    policy = load(made, chat=chat, quantization="nf4")
    add_lora(policy, rank=2, seed=1)
    torch.manual_seed(0)
    for parameter in trainable_parameters(policy):
        parameter.data += 0.05 * torch.randn_like(parameter)
    assert any(name.endswith(DELTA) for name, p in policy.model.named_parameters() if p.requires_grad)
    measured = policy.logprobs(PROMPTS, REPLIES)[0]
    policy.save(tmp_path / "model")
    again = load(tmp_path / "model").logprobs(PROMPTS, REPLIES)[0]
    assert [p.total for p in again] == pytest.approx([p.total for p in measured], abs=2e-5)
    with safe_open(tmp_path / "model" / "model.safetensors", "pt") as file:
        assert set(file.keys()) == set(AutoModelForCausalLM.from_pretrained(made).state_dict()) - {"lm_head.weight"}


@pytest.mark.parametrize("template", [None, "llama3"])
def test_a_reward_model_over_4_bits_is_exported_as_what_it_scores(template: str | None, tmp_path: Path) -> None:
    text = None if template else TEMPLATE
    made = make_tiny(tmp_path / "tiny", template=text, hidden_size=64, intermediate_size=128)
    chat = Experiment(name="x", model=str(made), chat=template).chat_format
    policy = load(made, chat=chat, quantization="nf4")
    add_lora(policy, rank=2, seed=1)
    torch.manual_seed(0)
    for parameter in trainable_parameters(policy):
        parameter.data += 0.05 * torch.randn_like(parameter)
    save_adapter(policy, tmp_path / "reward" / "member" / "adapter")
    save_head(new_head(policy, 7), tmp_path / "reward" / "member")
    meta = RewardMeta(policy.name, ("member",), "mean", 0.0, (0.0,), (1.0,))
    meta.write(tmp_path / "reward")
    scorer = RewardScorer.load(lambda: load(made, chat=chat, quantization="nf4"), tmp_path / "reward")
    prompts = [Prompt(conversation=conversation) for conversation in PROMPTS]
    ours = [score.value for row in scorer(prompts, REPLIES) for score in row if score]
    scorer.export(tmp_path / "out")
    theirs = [
        score.value for row in ClassifierScorer.load(tmp_path / "out")(prompts, REPLIES) for score in row if score
    ]
    assert theirs == pytest.approx(ours, abs=2e-5)
    assert len(set(ours)) == len(ours) == 3


def test_a_folder_that_is_in_4_bits_already_opens_as_it_is(folder: Path, tmp_path: Path) -> None:
    policy = opened(folder)
    policy.model.save_pretrained(tmp_path / "packed")
    policy.tokenizer.save_pretrained(tmp_path / "packed")
    for dtype in ("float32", "bfloat16"):
        again = load(tmp_path / "packed", dtype=dtype)
        assert again.dtype == getattr(torch, dtype)
        assert all(torch.equal(a, b) for a, b in zip(codes(policy.model), codes(again.model), strict=True))
    again = load(tmp_path / "packed")
    torch.testing.assert_close(logp(again), logp(policy), atol=0, rtol=0)
    with pytest.raises(ValueError, match="cannot be trained themselves"):
        trainable_parameters(again)


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
