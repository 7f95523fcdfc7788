"""A name becomes a model, or an error that says what to do. No half-made folder, no silent
download."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest
import torch
from tiny import TEMPLATE, make_tiny
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from alignwright.core.protocols import Policy
from alignwright.core.records import Conversation
from alignwright.files.models import ModelError
from alignwright.model import keep_freed_memory
from alignwright.model import load as loading
from alignwright.model.load import dequantised, load
from alignwright.model.logprob import token_logprobs
from alignwright.model.packing import pack
from alignwright.model.tokenizer import cache_folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"something asked the network: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_folder_opens_speaks_and_scores_without_the_network(tmp_path: Path, dtype: str) -> None:
    policy = load(make_tiny(tmp_path / "tiny"), dtype=dtype)
    assert isinstance(policy, Policy)
    assert policy.name == "tiny"
    assert str(policy.dtype) == f"torch.{dtype}"
    talk = Conversation.user("What is the capital?")
    assert policy.generate([talk], max_new_tokens=3)
    (yes, both), (no,) = policy.logprobs([talk, talk], [["yes", "yes no"], ["no"]], prefix="I say ", end=False)
    assert both.total < yes.total < 0
    assert (no.tokens, no.bytes) == (len(policy.chat.reply("no", end=False)), 2)
    assert policy.text_logprobs(["Grüße"])[0].bytes == 7


def test_scores_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    policy = load(make_tiny(tmp_path / "tiny"))
    texts = [f"The number {i} " * (1 + i % 5) for i in range(12)]
    together = policy.text_logprobs(texts)
    seen: list[tuple[int, int]] = []
    policy.token_budget, policy.progress = 40, lambda done, of: seen.append((done, of))
    assert [t.total for t in policy.text_logprobs(texts)] == pytest.approx([t.total for t in together], abs=1e-4)
    assert seen[-1] == (12, 12)
    assert len(seen) > 1


@pytest.mark.parametrize("change", ["cap", "scale", "eos"])
def test_a_model_that_would_be_scored_wrongly_is_refused(
    tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_tiny(tmp_path / "tiny")
    if change in ("cap", "scale"):
        plain = LlamaForCausalLM.forward

        def forward(self: LlamaForCausalLM, *args: object, **kwargs: object) -> object:
            out = plain(self, *args, **kwargs)
            out.logits = 3 * torch.tanh(out.logits / 3) if change == "cap" else out.logits * 1.1
            return out

        monkeypatch.setattr(LlamaForCausalLM, "forward", forward)
        words = "scales or caps"
    else:
        config = folder / "generation_config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"eos_token_id": 0}))
        (folder / "config.json").write_text(
            (folder / "config.json").read_text().replace('"eos_token_id": 2', '"eos_token_id": 0')
        )
        words = "would never end"
    with pytest.raises(ValueError, match=words):
        load(folder)


def test_a_kind_without_a_causal_language_model_is_named(tmp_path: Path) -> None:
    folder = make_tiny(tmp_path / "tiny")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "mistral3", "architectures": None}))
    with pytest.raises(ModelError, match="transformers has no causal language model of the kind 'mistral3'"):
        load(folder)


def test_wrong_arguments_are_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="float32, bfloat16"):
        load(tmp_path, dtype="float8")
    with pytest.raises(ValueError, match="no chat template"):
        load(make_tiny(tmp_path / "plain", template=None)).generate([Conversation.user("Hi")])
    assert TEMPLATE


def test_freed_memory_is_kept_where_the_platform_can() -> None:
    assert keep_freed_memory() in (True, False)


def test_two_at_once_and_a_kill_leave_one_whole_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIGNWRIGHT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "m.gguf").write_bytes(b"GGUF and weights")
    started = threading.Barrier(2)

    def slow(gguf: Path, folder: Path) -> None:
        (folder / "half").write_text("1")
        started.wait(timeout=10)  # both are here before either is done
        (folder / "whole").write_text("1")

    monkeypatch.setattr(loading, "_dequantise", slow)
    threads = [threading.Thread(target=dequantised, args=(tmp_path / "m.gguf",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (made,) = cache_folder().iterdir()
    assert sorted(file.name for file in made.iterdir()) == ["half", "whole"]
    (tmp_path / "m.gguf").write_bytes(b"GGUF and other weights")

    def killed(gguf: Path, folder: Path) -> None:
        (folder / "half").write_text("1")
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "_dequantise", killed)
    with pytest.raises(KeyboardInterrupt):
        dequantised(tmp_path / "m.gguf")
    assert list(cache_folder().iterdir()) == [made], "another content has another name, and half a model is not left"


@pytest.mark.model
def test_the_bundled_model_is_plain_trainable_and_saved_whole(tmp_path: Path) -> None:
    policy = load("smollm2-135m-instruct")
    assert not hasattr(policy.model.config, "quantization_config")
    shown = [{"role": "user", "content": "Hi <there>"}]
    talk = Conversation.user("Hi <there>")
    assert policy.chat.prompt(talk) == policy.tokenizer.apply_chat_template(
        shown, add_generation_prompt=True, return_dict=False
    )
    text = policy.text_logprobs(["The capital of France is Paris."])[0]
    assert text.total / text.tokens > -4.0, "a model that was read wrongly does not know this"
    policy.save(tmp_path / "out")
    opened = AutoModelForCausalLM.from_pretrained(tmp_path / "out", local_files_only=True)
    packed = pack([policy.chat.row(talk, ["Hello."])], 2, dtype=torch.float32)
    with torch.inference_mode():
        opened.set_attn_implementation("alignwright")
        assert torch.equal(token_logprobs(opened, packed), token_logprobs(policy.model, packed))
