"""Every family of our own blocks gives the log-probabilities, gradients and next-token logits of plain transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import make_tokenizer
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from alignwright.model import decoder as decoder_module
from alignwright.model import kernels as kernels_module
from alignwright.model import llama_blocks
from alignwright.model.adapters import adapter_off, add_lora, trainable_parameters
from alignwright.model.block_parts import BlockParts, pair_halves, parts, plain_length
from alignwright.model.decoder import decoding
from alignwright.model.kv_cache import TransformersDecoder
from alignwright.model.llama_blocks import has_fast_blocks, scored_hidden, short_enough, trunk
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.logprob import token_logprobs
from alignwright.model.packing import pack
from alignwright.model.tokens import TokenRow

ROWS = [
    TokenRow((1, 5, 9, 11), ((20, 21, 22, 2), (30, 31), (40,))),
    TokenRow((3, 7), ((50, 51, 2), (60, 61, 62, 63, 64, 65))),
]
PROMPTS = [(1, 5, 9, 11), (3, 7)]
# What differs from a plain Llama stands out in each: partial rotation, blocks that do not turn, factors, windows.
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"head_dim": 16},
    "mistral": {"head_dim": 16, "sliding_window": 64},
    "qwen2": {},
    "qwen3": {"head_dim": 32},
    "smollm3": {"no_rope_layers": [1, 0, 1]},
    "phi3": {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.75}},
    "olmo2": {},
    "olmo3": {"sliding_window": 64, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]},
    "granite": {
        "embedding_multiplier": 3.0,
        "attention_multiplier": 0.4,
        "residual_multiplier": 0.6,
        "logits_scaling": 1.5,
    },
}
LONGROPE = {
    "rope_type": "longrope", "rope_theta": 1e4, "partial_rotary_factor": 0.75,
    "original_max_position_embeddings": 64, "short_factor": [1.1] * 6, "long_factor": [3.0] * 6,
}  # fmt: skip


def make(folder: Path, family: str, **settings: Any) -> Path:
    """A random model of three blocks, its norms and biases random too, with its tokenizer."""
    tokenizer = make_tokenizer()
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    plain_sizes = {
        "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.15,
        "bos_token_id": 1, "eos_token_id": end, "pad_token_id": end,
    }  # fmt: skip
    config = AutoConfig.for_model(family, **plain_sizes | FAMILIES[family] | settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
        for weight in model.parameters():
            if weight.dim() == 1:
                weight.data += 0.3 * torch.randn_like(weight)
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    base, done = tmp_path_factory.mktemp("families"), dict[str, Path]()

    def folder(family: str) -> Path:
        if family not in done:
            done[family] = make(base / family, family)
        return done[family]

    return folder


@pytest.fixture(params=["kernels", "torch"])
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """With compiled kernels, and with torch's operations alone."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "torch":
            patch.setenv("ALIGNWRIGHT_KERNELS", "off")
        kernels_module._compiled_kernels.cache_clear()
        yield request.param
    kernels_module._compiled_kernels.cache_clear()


def plain(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """The model as transformers runs it, without anything of ours."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()


def plain_logprobs(model: Any) -> Tensor:
    """Of every reply's tokens, each reply in a row of its own, by whole logits."""
    logps = []
    for row in ROWS:
        for reply in row.replies:
            logits = model(input_ids=torch.tensor([[*row.prompt, *reply]])).logits[0].float()
            logp = logits[len(row.prompt) - 1 : -1].log_softmax(-1)
            logps.append(logp.gather(1, torch.tensor(reply)[:, None])[:, 0])
    return torch.cat(logps)


def weighed(logp_N: Tensor) -> Tensor:
    """A sum that weighs each token differently."""
    return (logp_N * torch.linspace(-1.0, 1.0, len(logp_N))).sum()


def never_its_own_forward(policy: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the model's own forward fails, so what comes is ours."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("transformers' own forward ran")

    assert has_fast_blocks(trunk(policy.model))
    monkeypatch.setattr(trunk(policy.model), "forward", refuse)


def close(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, slope in theirs.items():
        scale = max(1.0, float(slope.abs().max()))
        torch.testing.assert_close(ours[name], slope, atol=1e-5 * scale, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


def slopes(model: Any) -> dict[str, Tensor]:
    return {
        name.replace("base_model.model.", ""): p.grad.clone()
        for name, p in model.named_parameters()
        if p.grad is not None
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_values_and_gradients_of_all_weights_are_transformers_own(
    family: str, engine: str, folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, other = load(folders(family)), plain(folders(family))
    never_its_own_forward(policy, monkeypatch)
    ours, theirs = token_logprobs(policy.model, pack(ROWS, 2, dtype=torch.float32)), plain_logprobs(other)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    weighed(ours).backward()
    weighed(theirs).backward()
    close(slopes(policy.model), slopes(other))


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_learns_as_peft_over_transformers_does(
    family: str, engine: str, folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = load(folders(family))
    add_lora(policy, rank=3, seed=1)
    for i, weight in enumerate(trainable_parameters(policy)):
        weight.data += 0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(i))
    other = load(folders(family))
    add_lora(other, rank=3, seed=1)
    other.model.load_state_dict(policy.model.state_dict())
    for layer in other.model.modules():
        if hasattr(layer, "lora_A"):
            vars(layer).pop("forward")  # peft's own
    other.model.set_attn_implementation("eager")
    never_its_own_forward(policy, monkeypatch)
    ours, theirs = token_logprobs(policy.model, pack(ROWS, 2, dtype=torch.float32)), plain_logprobs(other.model)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    weighed(ours).backward()
    weighed(theirs).backward()
    close(slopes(policy.model), slopes(other.model))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_policy_and_its_reference_round_alike(
    family: str, dtype: str, engine: str, folders: Callable[[str], Path]
) -> None:
    """With a gradient and without one, a new adapter on and off: the first step's ratios are 1 to the last bit."""
    policy = load(folders(family), dtype=dtype)
    batch = pack(ROWS, 2, dtype=policy.dtype)
    whole = token_logprobs(policy.model, batch)
    add_lora(policy, rank=3, seed=1)
    learning = token_logprobs(policy.model, batch)
    with torch.no_grad():
        assert torch.equal(token_logprobs(policy.model, batch), learning)
        with adapter_off(policy):
            assert torch.equal(token_logprobs(policy.model, batch), learning)
    assert whole.requires_grad
    assert learning.requires_grad
    assert torch.equal(whole, learning)


def spoken(policy: LocalModel, steps: int = 40) -> tuple[Tensor, Tensor]:
    """Greedy ids and the logits of each step, two rows to the first prompt and one to the second."""
    with torch.inference_mode(), decoding(policy, 3, longest=len(PROMPTS[0]) + steps) as decoder:
        assert not isinstance(decoder, TransformersDecoder)
        logits_RV = decoder.begin(PROMPTS, [0, 1, 0], steps)
        ids, logits = [], []
        for _ in range(steps):
            logits.append(logits_RV.clone())
            ids.append(logits_RV.argmax(1))
            logits_RV = decoder.step(ids[-1])
    return torch.stack(ids, dim=1), torch.stack(logits, dim=1)


@pytest.mark.parametrize("family", FAMILIES)
def test_next_tokens_have_the_logits_of_generate(
    family: str, engine: str, folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the first block of the cache's columns, and with prompts of two lengths."""
    policy, other = load(folders(family)), plain(folders(family))
    never_its_own_forward(policy, monkeypatch)
    ids_RS, logits_RSV = spoken(policy)
    assert torch.equal(ids_RS[0], ids_RS[2])
    for row, prompt in ((0, PROMPTS[0]), (1, PROMPTS[1])):
        prompt_1L = torch.tensor([prompt])
        theirs = other.generate(
            prompt_1L, attention_mask=torch.ones_like(prompt_1L), do_sample=False, max_new_tokens=40,
            min_new_tokens=40, eos_token_id=None, pad_token_id=0, output_logits=True, return_dict_in_generate=True,
        )  # fmt: skip
        assert ids_RS[row].tolist() == theirs.sequences[0, len(prompt) :].tolist()
        torch.testing.assert_close(logits_RSV[row], torch.cat(theirs.logits), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_in_half_precision_we_are_as_near_to_the_truth_as_transformers(
    family: str, engine: str, folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The truth: the same rounded weights in float32."""
    policy, half = load(folders(family), dtype="bfloat16"), plain(folders(family), torch.bfloat16)
    never_its_own_forward(policy, monkeypatch)
    with torch.no_grad():
        truth, theirs = plain_logprobs(half.float()), plain_logprobs(plain(folders(family), torch.bfloat16))
        ours = token_logprobs(policy.model, pack(ROWS, 2, dtype=torch.bfloat16))
    assert float((ours - truth).norm()) < 1.5 * float((theirs - truth).norm())
    ids_RS, logits_RSV = spoken(policy, steps=3)
    with torch.no_grad():
        full_SV = half(input_ids=torch.tensor([[*PROMPTS[0], *ids_RS[0].tolist()]])).logits[0, len(PROMPTS[0]) - 1 : -1]
    assert float((logits_RSV[0].float() - full_SV).norm() / full_SV.norm()) < 0.03


def without(**changes: Any) -> Callable[[Any], list[BlockParts]]:
    return lambda body: [replace(block, **changes) for block in parts(body)]


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("qwen3", {"query_norm": None}),
        ("qwen3", {"key_norm": None}),
        ("olmo2", {"norm_out": None}),
        ("olmo2", {"norm_down": None}),
        ("granite", {"factor": 1.0}),
        ("phi3", {"rotary": 16}),
    ],
)
def test_the_checks_can_fail_a_block_that_lacks_a_part(
    family: str, changes: dict[str, Any], folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, batch = load(folders(family)), pack(ROWS, 2, dtype=torch.float32)
    with torch.no_grad():
        right, (_, logits_RSV) = token_logprobs(policy.model, batch), spoken(policy, steps=2)
        monkeypatch.setattr(llama_blocks, "parts", without(**changes))
        assert float((token_logprobs(policy.model, batch) - right).abs().max()) > 1e-2
        monkeypatch.setattr(decoder_module, "parts", without(**changes))
        assert float((spoken(policy, steps=2)[1] - logits_RSV).abs().max()) > 1e-2


def test_where_a_block_does_not_turn_positions_do_not_matter(folders: Callable[[str], Path], tmp_path: Path) -> None:
    """A SmolLM3 without any rotation cannot tell the order of what it reads, but for what is hidden from it."""
    still = load(make(tmp_path / "still", "smollm3", no_rope_layers=[0, 0, 0], num_hidden_layers=1, layer_types=None))
    rows = [TokenRow((1, 5, 9, 11), ((20,),)), TokenRow((5, 9, 1, 11), ((20,),))]
    for policy, same in ((still, True), (load(folders("smollm3")), False)):
        with torch.no_grad():
            one, two = (token_logprobs(policy.model, pack([row], 2, dtype=torch.float32)) for row in rows)
        assert torch.allclose(one, two, atol=1e-5) == same


def test_a_row_beyond_the_window_is_not_for_our_blocks(
    folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("our blocks ran")

    policy = load(folders("olmo3"))
    assert plain_length(policy.model.config) == 64
    short, long = (pack([TokenRow((1,) * n, ((20, 21),))], 2, dtype=torch.float32) for n in (62, 63))
    assert short_enough(trunk(policy.model), short.longest)
    monkeypatch.setattr(llama_blocks, "flat_hidden", refuse)
    with pytest.raises(AssertionError, match="our blocks ran"):
        scored_hidden(policy.model, short)
    assert scored_hidden(policy.model, long).shape == (2, 64)
    with decoding(policy, 1, longest=64) as within, decoding(policy, 1, longest=65) as beyond:
        assert isinstance(beyond, TransformersDecoder)
        assert not isinstance(within, TransformersDecoder)


def test_longrope_is_ours_up_to_where_its_frequencies_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = load(make(tmp_path / "phi", "phi3", rope_parameters=LONGROPE, original_max_position_embeddings=64))
    assert plain_length(policy.model.config) == 64
    never_its_own_forward(policy, monkeypatch)
    with torch.no_grad():
        ours, theirs = (
            token_logprobs(policy.model, pack(ROWS, 2, dtype=torch.float32)),
            plain_logprobs(plain(tmp_path / "phi")),
        )
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    assert not short_enough(trunk(policy.model), 65)


def test_pairs_are_put_apart_and_back() -> None:
    heads = torch.arange(16.0).view(1, 16).requires_grad_()
    paired = pair_halves(heads, 8, 6)
    assert paired.tolist() == [[0, 1, 2, 6, 3, 4, 5, 7, 8, 9, 10, 14, 11, 12, 13, 15]]
    paired.backward(paired.detach())
    assert heads.grad is not None
    assert torch.equal(heads.grad, heads)


def test_another_activation_or_rotations_of_two_sizes_are_not_ours(folders: Callable[[str], Path]) -> None:
    body = trunk(load(folders("qwen3")).model)
    assert has_fast_blocks(body)
    body.config.hidden_act = "gelu"
    assert not has_fast_blocks(body)
    body = trunk(load(folders("olmo3")).model)
    assert has_fast_blocks(body)
    body.rotary_emb.full_attention_inv_freq = body.rotary_emb.full_attention_inv_freq[:-2]
    assert not has_fast_blocks(body)
