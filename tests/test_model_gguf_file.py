"""Does a model computed by others from its GGUF file say what the measured one says?"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from llama_server import ask
from tiny import make_base_tokenizer, make_tiny, make_tokenizer
from transformers import (
    AutoConfig,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from alignwright.core.records import Conversation
from alignwright.files.models import ModelError
from alignwright.model import gguf_file
from alignwright.model.gguf_file import write_gguf
from alignwright.model.load import dequantised, load
from alignwright.model.local_model import LocalModel
from alignwright.run.llama_cpp import serving

PROMPTS = [Conversation.user("What is the capital of France?"), Conversation.user("Say no, 1234 times.")]
REPLIES = [["Yes, I can help.", "No."], ["no"]]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIGNWRIGHT_CACHE", str(tmp_path / "cache"))


def _logprobs(policy: LocalModel) -> torch.Tensor:
    return torch.tensor([lp.total for group in policy.logprobs(PROMPTS, REPLIES) for lp in group])


def _other(folder: Path, kind: str) -> Path:
    tokenizer = make_tokenizer()
    shape = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.2, "bos_token_id": 1,
        "eos_token_id": 2, "pad_token_id": 2, "head_dim": 16, "max_position_embeddings": 512,
        "tie_word_embeddings": False,
    }  # fmt: skip
    made = {
        "qwen2": (Qwen2Config, Qwen2ForCausalLM),
        "qwen3": (Qwen3Config, Qwen3ForCausalLM),
        "gemma2": (Gemma2Config, Gemma2ForCausalLM),
        "gemma3_text": (Gemma3TextConfig, Gemma3ForCausalLM),
    }
    config, model = made[kind]
    if kind == "qwen2":
        del shape["head_dim"]
    elif kind == "qwen3":
        shape["head_dim"] = 128  # transformers reads no other out of a file of this family
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = model(config(**shape))
        for name, weight in network.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(weight)
        network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", ["tied", "untied", "qwen2", "qwen3"])
def test_the_file_says_what_the_model_said(tmp_path: Path, family: str) -> None:
    tiny = family in ("tied", "untied")
    folder = tmp_path / "model"
    make_tiny(folder, tie_word_embeddings=family == "tied") if tiny else _other(folder, family)
    measured = load(folder)
    path = write_gguf(measured, tmp_path / "out" / "m.gguf", "f16", facts={"name": "m"})
    opened = load(path)
    torch.testing.assert_close(_logprobs(opened), _logprobs(measured), rtol=1e-2, atol=2e-2)
    assert opened.tokenizer.chat_template == measured.tokenizer.chat_template
    assert opened.chat.prompt(PROMPTS[1]) == measured.chat.prompt(PROMPTS[1])
    assert opened.chat.stop_ids == measured.chat.stop_ids
    assert [file.name for file in path.parent.iterdir()] == ["m.gguf"]  # nothing half-written is left


@pytest.mark.parametrize(("kind", "atol"), [("bf16", 0.5), ("q8_0", 0.5)])
def test_fewer_bits_come_near(tmp_path: Path, kind: str, atol: float) -> None:
    measured = load(make_tiny(tmp_path / "model"))
    opened = load(write_gguf(measured, tmp_path / "m.gguf", kind, facts={}))
    torch.testing.assert_close(_logprobs(opened), _logprobs(measured), rtol=0.02, atol=atol)
    assert not torch.equal(_logprobs(opened), _logprobs(measured))  # the control: it was rounded


def test_rows_of_queries_left_in_place_are_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the first test: without the order of rotary pairs it would fail."""
    monkeypatch.setattr("alignwright.model.gguf_file._side_by_side", lambda tensor, heads: tensor)
    measured = load(make_tiny(tmp_path / "model"))
    opened = load(write_gguf(measured, tmp_path / "m.gguf", "f16", facts={}))
    assert (_logprobs(opened) - _logprobs(measured)).abs().max() > 0.5


def test_the_header_holds_tokens_terms_and_shape(tmp_path: Path) -> None:
    measured = load(make_tiny(tmp_path / "model"))
    facts = {"name": "small", "license": "apache-2.0", "base_model": "owner/base"}
    fields = gguf.GGUFReader(write_gguf(measured, tmp_path / "m.gguf", "q8_0", facts=facts)).fields
    values = {name: field.contents() for name, field in fields.items()}
    assert values["general.name"] == "small"
    assert values["general.license"] == "apache-2.0"
    assert values["general.base_model.0.repo_url"] == "https://huggingface.co/owner/base"
    assert values["general.file_type"] == gguf.LlamaFileType.MOSTLY_Q8_0
    assert values["tokenizer.ggml.pre"] == "gpt-2"
    assert values["tokenizer.ggml.eos_token_id"] == values["tokenizer.ggml.eot_token_id"] == 2
    assert values["tokenizer.ggml.add_bos_token"] is False
    assert values["tokenizer.ggml.token_type"][:4] == [3, 3, 3, 1]


def test_a_text_begins_as_the_tokenizer_begins_it(tmp_path: Path) -> None:
    tokenizer = make_base_tokenizer()
    measured = load(make_tiny(tmp_path / "model", tokenizer=tokenizer))
    fields = gguf.GGUFReader(write_gguf(measured, tmp_path / "m.gguf", "f16", facts={})).fields
    assert fields["tokenizer.ggml.add_bos_token"].contents() is True
    assert "tokenizer.chat_template" not in fields


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ("gemma2", "f16", "kind 'gemma2'"),
        ("gemma3_text", "f16", "kind 'gemma3_text' is not written to GGUF, only .+ convert_hf_to_gguf"),
        ("type", "q4_k_m", "gguf:q4_k_m: matrices are written as f16, bf16, q8_0"),
        ("window", "f16", "window of 64"),
        ("rope", "f16", "type 'linear'"),
        ("large", "f16", "beyond float16's largest; use gguf:bf16"),
        ("rows", "q8_0", "blocks of 32"),
        ("split", "f16", "splits text in a way"),
        ("lowercase", "f16", "splits text in a way"),
    ],
)
def test_what_the_file_could_not_hold_is_refused_by_name(tmp_path: Path, change: str, kind: str, words: str) -> None:
    from tokenizers import normalizers, pre_tokenizers

    folder = tmp_path / "model"
    if change.startswith("gemma"):
        _other(folder, change)
    elif change == "rows":
        make_tiny(folder, hidden_size=48)
    else:
        make_tiny(folder)
    policy = load(folder)
    if change == "window":
        policy.model.config.sliding_window = 64
    elif change == "rope":
        policy.model.config.rope_parameters = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
    elif change == "large":
        policy.model.get_input_embeddings().weight.data[5, 5] = 1e5
    elif change == "split":
        policy.chat.tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    elif change == "lowercase":
        policy.chat.tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    with pytest.raises(ValueError, match=words):
        write_gguf(policy, tmp_path / "m.gguf", kind, facts={})
    assert not list(tmp_path.glob("*.gguf*"))
    assert not list(tmp_path.glob(".*.partial"))


LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 10_000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
}  # fmt: skip


def test_rotary_embeddings_scaled_as_llama_3_1_go_through_the_file(tmp_path: Path) -> None:
    measured, plain = load(make_tiny(tmp_path / "a", rope_parameters=LLAMA3)), load(make_tiny(tmp_path / "b"))
    again = load(write_gguf(measured, tmp_path / "m.gguf", "f16", facts={}))
    assert torch.allclose(_logprobs(again), _logprobs(measured), atol=0.05)
    assert (_logprobs(plain) - _logprobs(measured)).abs().max() > 0.5  # the control: the scale is seen
    factors = next(t.data for t in gguf.GGUFReader(tmp_path / "m.gguf").tensors if t.name == "rope_freqs.weight")
    assert (factors.min(), factors.max()) == (1.0, 8.0)


def test_a_folder_of_an_earlier_version_gets_the_scale_that_it_lacks(tmp_path: Path) -> None:
    measured = load(make_tiny(tmp_path / "a", rope_parameters=LLAMA3))
    path = write_gguf(measured, tmp_path / "m.gguf", "f16", facts={})
    folder = dequantised(path)
    config = AutoConfig.from_pretrained(folder)
    config.rope_parameters = {"rope_type": "default", "rope_theta": 10_000.0}
    config.save_pretrained(folder)
    (folder / ".rope").unlink()
    assert torch.allclose(_logprobs(load(path)), _logprobs(measured), atol=0.05)


def test_frequencies_divided_by_another_rule_are_refused(tmp_path: Path) -> None:
    measured = load(make_tiny(tmp_path / "a", rope_parameters=LLAMA3 | {"high_freq_factor": 2.0}))
    with pytest.raises(ModelError, match=r"another rule than that of Llama 3\.1"):
        load(write_gguf(measured, tmp_path / "m.gguf", "f16", facts={}))


@pytest.mark.model
def test_llama_cpp_scales_rotary_embeddings_too(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="llama.cpp's server is not installed: pip install xllamacpp")
    measured, plain = load(make_tiny(tmp_path / "a", rope_parameters=LLAMA3)), load(make_tiny(tmp_path / "b"))
    path = write_gguf(measured, tmp_path / "m.gguf", "f16", facts={"name": "m"})
    own, unscaled = (
        [m.generate([p], max_new_tokens=12, temperature=0.0)[0][0].text.strip() for p in PROMPTS]
        for m in (measured, plain)
    )
    assert own != unscaled  # the control
    with serving(path, slots=1, context=512, threads=1) as (address, _):
        for prompt, text in zip(PROMPTS, own, strict=True):
            messages = [{"role": m.role, "content": m.content} for m in prompt.messages]
            body = {"messages": messages, "max_tokens": 12, "temperature": 0}
            _, answer = ask(f"{address}/v1/chat/completions", body)
            assert answer["choices"][0]["message"]["content"].strip() == text


@pytest.mark.parametrize("is_compiled", [True, False])
def test_blocks_of_8_bits_are_those_of_the_package_to_the_byte(
    is_compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_compiled:
        monkeypatch.setattr(gguf_file, "kernels", lambda _: None)
    torch.manual_seed(0)
    halves = (torch.arange(-127, 129, dtype=torch.float32) / 2).reshape(4, 64)
    halves[:, ::32] = 127.0  # a scale of 1: every other number lies half way between two bytes
    for weight in (torch.randn(96, 64) * 0.02, torch.zeros(3, 32), halves, torch.randn(7, 32) * 1e-30):
        expected = gguf.quantize(weight.numpy(), gguf.GGMLQuantizationType.Q8_0)
        assert np.array_equal(gguf_file._q8_0(weight), expected)
    whole = gguf_file._q8_0(halves).reshape(-1, 34)[:, 2:].view(np.int8)
    away_from_0 = halves.sign() * (halves.abs() + 0.5).floor()
    assert whole.flatten().tolist() == away_from_0.flatten().tolist()
