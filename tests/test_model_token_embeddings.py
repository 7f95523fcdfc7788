"""The rows of a chat template's tokens learn over frozen weights: their gradient, their merge, what is
kept of them, and that nothing else moves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import make_base, make_base_tokenizer
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForCausalLM

from alignwright.core.records import Conversation
from alignwright.files.chat_format import chat_format
from alignwright.files.quantization import why_not_quantized
from alignwright.model.adapters import adapter_off, add_lora, load_adapter, merge, merged, save_adapter
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.logprob import head_logprobs, token_logprobs
from alignwright.model.packing import pack
from alignwright.model.token_embeddings import ROWS_FILE, TokenDelta, delta_frozen, token_delta
from alignwright.train.averaging import average
from alignwright.train.knobs import Average, Sft
from alignwright.train.loop import StepReport
from alignwright.train.sft import Demonstration, sft

TALK = Conversation.user("Hi there").then("assistant", "Yes.").then("user", "Who?")
EXAMPLES = [Demonstration(Conversation.user(f"Say {i}").then("assistant", f"It is {i}.")) for i in range(12)]


def policy_of(folder: Path, *, untied: bool = False, dtype: str = "float32") -> LocalModel:
    """A base model with ChatML's two tokens, and an adapter over it."""
    place = folder / f"base-{untied}"
    if not place.exists():
        make_base(place, tie_word_embeddings=not untied)
    return load(place, chat=chat_format("chatml", folder), dtype=dtype)


def trained(folder: Path, *, untied: bool = False, seed: int = 0) -> LocalModel:
    policy = policy_of(folder, untied=untied)
    add_lora(policy, rank=2, seed=seed)
    work = folder / f"work-{untied}-{seed}"
    work.mkdir()
    stage = Sft(by="sft", epochs=2, rank=2, batch_tokens=120, max_tokens=512, lr=5e-3)
    sft(policy, EXAMPLES, stage, seed=seed, folder=work)
    return policy


def row(policy: LocalModel):
    return policy.chat.row(TALK, ["It is I.", "Nobody."])


def deltas(policy: LocalModel) -> list[torch.nn.Parameter]:
    return [p for name, p in policy.model.named_parameters() if name.endswith("token_delta")]


@pytest.mark.parametrize("untied", [False, True])
def test_before_the_first_step_it_is_its_own_reference_to_the_bit(tmp_path: Path, untied: bool) -> None:
    policy = policy_of(tmp_path, untied=untied)
    before = policy.score([row(policy)])
    add_lora(policy, rank=2, seed=0)
    assert policy.score([row(policy)]) == before
    assert [tuple(d.shape) for d in deltas(policy)] == [(2, 32)] * (1 + untied)
    assert all(d.requires_grad and not d.any() for d in deltas(policy))


@pytest.mark.parametrize("untied", [False, True])
def test_the_rows_gradient_is_that_of_the_whole_matrix(tmp_path: Path, untied: bool) -> None:
    """Against transformers' own forward pass with its embeddings and head trained whole."""
    policy = policy_of(tmp_path, untied=untied)
    one = policy.chat.row(TALK, ["It is I."])
    add_lora(policy, rank=2, seed=0)
    with torch.no_grad():
        for d in deltas(policy):
            d.copy_(torch.randn(d.shape, generator=torch.Generator().manual_seed(1)) * 0.1)
    token_logprobs(policy.model, pack([one], policy.chat.pad_id, dtype=policy.dtype)).sum().backward()

    plain = policy_of(tmp_path, untied=untied).model.requires_grad_(True)
    with torch.no_grad():
        for layer, d in zip(
            (plain.get_input_embeddings(), plain.get_output_embeddings()), deltas(policy), strict=False
        ):
            layer.weight[300:302] += d
    ids = torch.tensor([[*one.prompt, *one.replies[0]]])
    logp = plain(ids).logits[0, len(one.prompt) - 1 : -1].log_softmax(-1)
    logp.gather(1, ids[0, len(one.prompt) :, None]).sum().backward()
    weights = [plain.get_input_embeddings().weight, *([plain.get_output_embeddings().weight] if untied else [])]
    for d, weight in zip(deltas(policy), weights, strict=True):
        torch.testing.assert_close(d.grad, weight.grad[300:302], rtol=1e-4, atol=1e-5)
        assert float(d.grad.abs().max()) > 1e-3, "a control: there is a gradient at all"


def test_a_changed_row_of_the_head_is_scored_and_learns() -> None:
    """The head alone, against autograd through the whole product; in chunks, too."""
    torch.manual_seed(0)
    hidden, weight, delta = torch.randn(9, 8), torch.randn(16, 8), torch.randn(2, 8)
    ids, label = torch.tensor([3, 15]), torch.tensor([3, 15, 0, 1, 3, 2, 9, 15, 8])
    upstream = torch.linspace(-1, 2, 9)

    def learn(*, ours: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        h, d = hidden.clone().requires_grad_(True), torch.nn.Parameter(delta.clone())
        if ours:
            logp = head_logprobs(h, weight, None, label, chunk=4, delta=TokenDelta(ids, d))
        else:
            logp = F.linear(h, weight.index_add(0, ids, d)).log_softmax(-1).gather(1, label[:, None])[:, 0]
        (logp * upstream).sum().backward()
        assert h.grad is not None
        assert d.grad is not None
        return logp.detach(), h.grad, d.grad

    for ours, theirs in zip(learn(ours=True), learn(ours=False), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("untied", [False, True])
def test_training_moves_those_rows_and_no_other(tmp_path: Path, untied: bool) -> None:
    start, policy = policy_of(tmp_path, untied=untied), trained(tmp_path, untied=untied)
    assert all(float(d.detach().abs().max()) > 1e-3 for d in deltas(policy))
    merge(policy)
    assert not deltas(policy)
    for old, new in zip(
        (start.model.get_input_embeddings().weight, start.model.get_output_embeddings().weight),
        (policy.model.get_input_embeddings().weight, policy.model.get_output_embeddings().weight),
        strict=True,
    ):
        assert torch.equal(old[:300], new[:300])
        assert not torch.equal(old[300:], new[300:])
    same = policy.model.get_input_embeddings().weight is policy.model.get_output_embeddings().weight
    assert same is not untied


@pytest.mark.parametrize("untied", [False, True])
def test_beside_merged_saved_and_in_transformers_it_says_the_same(tmp_path: Path, untied: bool) -> None:
    policy = trained(tmp_path, untied=untied)
    packed = pack([row(policy)], policy.chat.pad_id, dtype=policy.dtype)
    with torch.no_grad():
        beside = token_logprobs(policy.model, packed)
        with merged(policy):
            inside = token_logprobs(policy.model, packed)
        assert torch.equal(token_logprobs(policy.model, packed), beside), "what was merged is put back to the bit"
    torch.testing.assert_close(beside, inside, rtol=1e-4, atol=1e-4)
    with adapter_off(policy), torch.no_grad():
        off = token_logprobs(policy.model, packed)
    start = policy_of(tmp_path, untied=untied)
    with torch.no_grad():
        assert torch.equal(off, token_logprobs(start.model, packed))
    assert not torch.allclose(off, beside, atol=1e-2)
    scored = policy.score([row(policy)])

    policy.save(tmp_path / "saved")
    for (ours, _), (theirs, _) in zip(scored[0], load(tmp_path / "saved").score([row(policy)])[0], strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "saved").eval()
    ids = torch.tensor([[*row(policy).prompt, *row(policy).replies[0]]])
    with torch.inference_mode():
        logp = model(ids).logits[0, len(row(policy).prompt) - 1 : -1].log_softmax(-1)
    assert float(logp.gather(1, ids[0, len(row(policy).prompt) :, None]).sum()) == pytest.approx(
        scored[0][0][0], abs=1e-4
    )

    save_adapter(policy, tmp_path / "adapter")
    again = policy_of(tmp_path, untied=untied)
    load_adapter(again, tmp_path / "adapter")
    assert again.score([row(policy)]) == scored
    assert not any(d.requires_grad for d in deltas(again))
    assert "token_embeddings.safetensors" in (tmp_path / "adapter" / "README.md").read_text()


def test_greedy_replies_are_those_of_the_merged_model(tmp_path: Path) -> None:
    """Sampling packs the weights beside the adapter: the rows must be inside them."""
    policy = trained(tmp_path)
    told = policy.generate([TALK, EXAMPLES[0].conversation], max_new_tokens=8, temperature=0.0)
    whole = trained_and_merged(policy, tmp_path)
    assert [r.text for (r,) in told] == [
        r.text for (r,) in whole.generate([TALK, EXAMPLES[0].conversation], max_new_tokens=8, temperature=0.0)
    ]
    assert told[0][0].logprob == pytest.approx(
        whole.generate([TALK, EXAMPLES[0].conversation], max_new_tokens=8, temperature=0.0)[0][0].logprob, abs=1e-3
    )


def trained_and_merged(policy: LocalModel, folder: Path) -> LocalModel:
    policy.save(folder / "whole")
    return load(folder / "whole")


def test_an_average_of_rows_is_on_the_line_between(tmp_path: Path) -> None:
    policy = trained(tmp_path)
    save_adapter(policy, tmp_path / "adapter")
    base = policy_of(tmp_path)
    (tmp_path / "a").mkdir()
    average(base, None, tmp_path / "adapter", Average(by="average", share=0.5), folder=tmp_path / "a")
    average(base, tmp_path / "adapter", tmp_path / "adapter", Average(by="average", share=0.25), folder=tmp_path / "b")
    half, same = policy_of(tmp_path), policy_of(tmp_path)
    load_adapter(same, tmp_path / "b" / "adapter")
    torch.testing.assert_close(deltas(same)[0], deltas(policy)[0], check_dtype=False)
    load_adapter(half, tmp_path / "a" / "adapter")
    torch.testing.assert_close(deltas(half)[0].detach(), deltas(policy)[0].detach() / 2)


def test_rows_of_other_tokens_are_refused(tmp_path: Path) -> None:
    policy = trained(tmp_path)
    save_adapter(policy, tmp_path / "adapter")
    plain = load(tmp_path / "base-False")
    with pytest.raises(ValueError, match=f"{ROWS_FILE} does not fit .*other tokens"):
        load_adapter(plain, tmp_path / "adapter")
    other = load(tmp_path / "base-False", chat=chat_format("llama3", tmp_path))
    with pytest.raises(ValueError, match="other tokens"):
        load_adapter(other, tmp_path / "adapter")


def test_frozen_rows_do_not_learn_and_thaw_again(tmp_path: Path) -> None:
    policy = policy_of(tmp_path)
    add_lora(policy, rank=2, seed=0)
    with delta_frozen(policy.model):
        assert not any(d.requires_grad for d in deltas(policy))
    assert all(d.requires_grad for d in deltas(policy))
    assert token_delta(policy.model.get_base_model().get_input_embeddings()) is not None


def test_bfloat16_starts_as_its_own_reference(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, dtype="bfloat16")
    packed = pack([row(policy)], policy.chat.pad_id, dtype=policy.dtype)
    add_lora(policy, rank=2, seed=0)
    with torch.no_grad():
        beside = token_logprobs(policy.model, packed)
        with adapter_off(policy):
            assert torch.equal(token_logprobs(policy.model, packed), beside)


def test_a_killed_training_goes_on_to_the_same_rows(tmp_path: Path) -> None:
    """The change of the rows is among what a checkpoint keeps."""
    stage = Sft(by="sft", epochs=2, rank=2, batch_tokens=120, max_tokens=512, lr=5e-3, checkpoint_every=1)

    def train(folder: Path, stop_at: int | None) -> LocalModel:
        policy = policy_of(tmp_path)
        add_lora(policy, rank=2, seed=0)
        folder.mkdir(exist_ok=True)

        def on_step(report: StepReport) -> None:
            if report.step == stop_at:
                raise KeyboardInterrupt

        sft(policy, EXAMPLES, stage, seed=0, folder=folder, on_step=on_step)
        return policy

    whole = train(tmp_path / "whole", None)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", 3)
    resumed = train(tmp_path / "killed", None)
    assert torch.equal(deltas(resumed)[0], deltas(whole)[0])
    assert bool(deltas(whole)[0].any())


@pytest.mark.parametrize("kind", ["gemma3_text", "gpt_neox", "cohere2"])
def test_families_that_scale_or_run_their_own_blocks_learn_the_same(tmp_path: Path, kind: str) -> None:
    """Embeddings with a scale (Gemma), an untied head (NeoX), scaled logits (Cohere): the rows beside
    the weights are the rows inside them, and their gradient is that of the whole matrix."""
    place = tmp_path / "base"
    tokenizer = make_base_tokenizer()
    shape = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32, "intermediate_size": 64}
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "vocab_size": len(tokenizer)}
    heads = {} if kind == "gpt_neox" else {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 16}
    config = AutoConfig.for_model(kind, **shape, **ids, **heads, initializer_range=0.2, max_position_embeddings=512)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).save_pretrained(place)
    tokenizer.save_pretrained(place)

    policy = load(place, chat=chat_format("chatml", tmp_path))
    add_lora(policy, rank=2, seed=0)
    with torch.no_grad():
        for d in deltas(policy):
            d.copy_(torch.randn(d.shape, generator=torch.Generator().manual_seed(1)) * 0.1)
    packed = pack([row(policy)], policy.chat.pad_id, dtype=policy.dtype)
    beside = token_logprobs(policy.model, packed)
    with torch.no_grad(), merged(policy):
        torch.testing.assert_close(token_logprobs(policy.model, packed), beside.detach(), rtol=1e-4, atol=1e-4)
    beside.sum().backward()
    ours = [d.grad.clone() for d in deltas(policy)]
    assert all(float(grad.abs().max()) > 1e-3 for grad in ours)

    policy.save(tmp_path / "merged")
    whole = load(tmp_path / "merged")
    whole.model.requires_grad_(True)
    token_logprobs(whole.model, packed).sum().backward()
    weights = {
        id(w): w for w in (whole.model.get_input_embeddings().weight, whole.model.get_output_embeddings().weight)
    }
    for grad, weight in zip(ours, weights.values(), strict=True):
        torch.testing.assert_close(grad, weight.grad[300:302], rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(why_not_quantized() is not None, reason=f"{why_not_quantized()}")
def test_over_a_base_in_4_bits_the_rows_are_in_what_is_saved(tmp_path: Path) -> None:
    make_base(tmp_path / "base", hidden_size=64, intermediate_size=128)
    policy = load(tmp_path / "base", chat=chat_format("chatml", tmp_path), quantization="nf4")
    before = policy.score([row(policy)])
    add_lora(policy, rank=2, seed=0)
    assert policy.score([row(policy)]) == before
    with torch.no_grad():
        for d in deltas(policy):
            d.copy_(torch.randn(d.shape, generator=torch.Generator().manual_seed(1)) * 0.1)
    scored = policy.score([row(policy)])
    policy.save(tmp_path / "saved")
    plain = load(tmp_path / "saved")
    again = plain.score([row(policy)])
    assert plain.model.get_input_embeddings().weight.shape == (302, 64)
    assert [total for total, _ in again[0]] == pytest.approx([total for total, _ in scored[0]], abs=1e-3)
    assert abs(scored[0][0][0] - before[0][0][0]) > 0.1, "a control: the rows count"
