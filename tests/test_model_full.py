"""Are all weights trained as plain autograd would, and do they come back from disk as they were?"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import make_tiny
from transformers import AutoModelForCausalLM

from alignwright.core.records import Conversation
from alignwright.model.adapters import add_lora, trainable_parameters
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.logprob import token_logprobs
from alignwright.model.packing import pack
from alignwright.model.tokens import TokenRow
from alignwright.model.weights import FILE, load_weights, save_weights
from alignwright.train.knobs import Sft
from alignwright.train.sft import Demonstration, sft

ROWS = [TokenRow((1, 5, 9, 11), ((20, 21, 22, 2),)), TokenRow((3, 7), ((50, 51, 2),))]


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny") / "tied")


@pytest.fixture(scope="module")
def untied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny") / "untied", tie_word_embeddings=False)


def plain_loss(policy: LocalModel) -> torch.Tensor:
    """The same sum by transformers' own forward pass, whole logits, and autograd; each token
    weighs differently."""
    parts = []
    for row in ROWS:
        ids = torch.tensor([[*row.prompt, *row.replies[0]]])
        logp = policy.model(input_ids=ids).logits[0].log_softmax(-1)
        reply = torch.tensor(row.replies[0])
        parts.append(logp[len(row.prompt) - 1 : -1].gather(1, reply[:, None])[:, 0])
    logp_N = torch.cat(parts)
    return (logp_N * torch.arange(1.0, len(logp_N) + 1)).sum()


def gradients(policy: LocalModel, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    policy.model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in policy.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("chunk", [1, 3, 128])
@pytest.mark.parametrize("shape", ["tied", "untied"])
def test_the_chunked_heads_gradients_are_autograds(shape: str, chunk: int, request: pytest.FixtureRequest) -> None:
    policy = load(request.getfixturevalue(shape))
    logp_N = token_logprobs(policy.model, pack(ROWS, 2, dtype=torch.float32), chunk=chunk)
    ours = gradients(policy, (logp_N * torch.arange(1.0, len(logp_N) + 1)).sum())
    theirs = gradients(policy, plain_loss(policy))
    assert ours.keys() == theirs.keys() == {name for name, _ in policy.model.named_parameters()}
    for name, gradient in theirs.items():
        scale = max(1.0, float(gradient.abs().max()))
        torch.testing.assert_close(ours[name], gradient, atol=1e-5 * scale, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


def test_the_check_can_fail_a_tied_embedding_has_two_gradients(tied: Path) -> None:
    """Without the head's part the embedding's gradient is another one."""
    policy = load(tied)
    whole = gradients(policy, plain_loss(policy))["model.embed_tokens.weight"]
    policy.model.lm_head.weight = torch.nn.Parameter(policy.model.lm_head.weight.detach().clone(), requires_grad=False)
    part = gradients(policy, token_logprobs(policy.model, pack(ROWS, 2, dtype=torch.float32)).sum())[
        "model.embed_tokens.weight"
    ]
    assert float((whole - part).abs().max()) > 1e-2


def test_a_tied_embedding_is_trained_once(tied: Path, untied: Path) -> None:
    assert len(trainable_parameters(load(untied))) == len(trainable_parameters(load(tied))) + 1
    ids = [id(p) for p in trainable_parameters(load(tied))]
    assert len(set(ids)) == len(ids)


def test_all_weights_learn_and_leave_as_a_plain_model(tied: Path, tmp_path: Path) -> None:
    policy = load(tied)
    asked, said = Conversation.user("question x"), "answer 7"
    before = {name: p.detach().clone() for name, p in policy.model.named_parameters()}
    was = policy.logprobs([asked], [[said]])[0][0].total
    stage = Sft(by="sft", epochs=20, rank=0, lr=0.003, batch_tokens=200, max_tokens=200)
    sft(policy, [Demonstration(asked.then("assistant", said))] * 8, stage, seed=0, folder=tmp_path)
    now = policy.logprobs([asked], [[said]])[0][0].total
    assert now > 0.2 * was
    assert all(not torch.equal(before[name], p) for name, p in policy.model.named_parameters())
    policy.save(tmp_path / "out")
    assert load(tmp_path / "out").logprobs([asked], [[said]])[0][0].total == pytest.approx(now, abs=1e-4)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "out", local_files_only=True)
    for name, p in theirs.named_parameters():
        assert torch.equal(p, dict(policy.model.named_parameters())[name]), name


@pytest.mark.parametrize("shape", ["tied", "untied"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_come_back_as_they_were(shape: str, dtype: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    folder = request.getfixturevalue(shape)
    policy = load(folder, dtype=dtype)
    torch.manual_seed(0)
    for p in policy.model.parameters():
        p.data += 0.1 * torch.randn_like(p)
    save_weights(policy, tmp_path)
    assert ("lm_head.weight" in load_file(tmp_path / FILE)) == (shape == "untied"), "tied weights once"
    again, wider = load(folder, dtype=dtype), load(folder)
    load_weights(again, tmp_path)
    load_weights(wider, tmp_path)
    for name, p in policy.model.named_parameters():
        assert torch.equal(dict(again.model.named_parameters())[name], p)
        assert torch.equal(dict(wider.model.named_parameters())[name], p.float())
    assert again.model.get_output_embeddings().weight.requires_grad
    assert [score[0][0] for score in again.score(ROWS)] == [score[0][0] for score in policy.score(ROWS)]


def test_weights_of_another_model_are_refused_before_anything_changes(tied: Path, untied: Path, tmp_path: Path) -> None:
    policy = load(tied)
    before = {name: p.detach().clone() for name, p in policy.model.named_parameters()}
    with pytest.raises(FileNotFoundError, match=r"weights\.safetensors"):
        load_weights(policy, tmp_path)
    save_weights(load(untied), tmp_path)
    with pytest.raises(ValueError, match=r"1 are not the model's, such as lm_head\.weight"):
        load_weights(policy, tmp_path)
    save_weights(policy, tmp_path)
    tensors = load_file(tmp_path / FILE)
    save_file({**tensors, "model.norm.weight": torch.zeros(5)}, tmp_path / FILE)
    with pytest.raises(ValueError, match=r"model\.norm\.weight is \[5\] there and \[32\]"):
        load_weights(policy, tmp_path)
    tensors.pop("model.norm.weight")
    save_file(tensors, tmp_path / FILE)
    with pytest.raises(ValueError, match="1 are missing"):
        load_weights(policy, tmp_path)
    assert all(torch.equal(before[name], p) for name, p in policy.model.named_parameters())
    adapted = load(tied)
    add_lora(adapted, rank=2, seed=0)
    with pytest.raises(ValueError, match="has an adapter"):
        save_weights(adapted, tmp_path)
