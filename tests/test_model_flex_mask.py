"""Rows under a block mask attend as under the dense one, with a window, soft caps and sinks, and no
block is skipped or taken whole that is not.

Run on the processor, where FlexAttention makes every score; on a GPU `benchmarks/gpu_attention.py`
compares the compiled kernel, forward and backward.
"""

from __future__ import annotations

import importlib.util
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import make_tokenizer
from torch import Tensor
from torch.nn.attention import flex_attention as flex
from torch.nn.attention.flex_attention import create_block_mask
from transformers import AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, GPTNeoXConfig, GptOssConfig

from alignwright.model import flex_mask
from alignwright.model.attention import attention
from alignwright.model.flex_mask import attend_blocks, block_mask, uses_blocks
from alignwright.model.llama_blocks import trunk
from alignwright.model.load import load
from alignwright.model.logprob import token_logprobs
from alignwright.model.model_rows import plain_rows
from alignwright.model.packing import PackedBatch, additive, pack
from alignwright.model.tokens import TokenRow

SEEDS = range(6)


@pytest.fixture(autouse=True)
def _uncompiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without the advice to compile, and with gradients, which its own products have on a processor too."""
    monkeypatch.setattr(flex, "_validate_device", lambda *_: None)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="flex_attention called without torch.compile")
        warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not a leaf")
        yield


def batch(seed: int, longest: int = 300) -> PackedBatch:
    """Rows of prompts and replies of any length, some of one reply, some of none."""
    draw = random.Random(seed)
    rows = []
    for _ in range(3):
        replies = tuple(tuple([5] * draw.randint(1, longest)) for _ in range(draw.randint(0, 4)))
        rows.append(TokenRow(tuple([4] * draw.randint(1, longest)), replies))
    return pack(rows, 2, dtype=torch.float32, pad_left=draw.random() < 0.5)


def dense(packed: PackedBatch, reach: int | None) -> Tensor:
    """Who may look at whom, written down pair by pair."""
    seg, pos = packed.segments_BT, packed.position_ids_BT
    q, k = torch.arange(seg.shape[1])[:, None], torch.arange(seg.shape[1])[None]
    seen = (k <= q) & ((seg[:, None] == 0) | (seg[:, None] == seg[:, :, None]))
    seen = seen & (seg[:, None] >= 0) & (seg[:, :, None] >= 0)
    if reach is not None:
        seen = seen & (pos[:, :, None] - pos[:, None] < reach)
    return seen | (q == k)


@pytest.mark.parametrize("reach", [None, 40, 200])
@pytest.mark.parametrize("seed", SEEDS)
def test_no_block_is_skipped_or_taken_whole_that_is_not(seed: int, reach: int | None) -> None:
    packed = batch(seed)
    allowed = dense(packed, reach)
    some, whole = flex_mask._blocks(packed.segments_BT, packed.position_ids_BT, reach)
    excess = -allowed.shape[1] % flex_mask.BLOCK
    tiles = torch.nn.functional.pad(allowed, (0, excess, 0, excess)).unflatten(1, (-1, 128)).unflatten(3, (-1, 128))
    needed, filled = tiles.any(4).any(2), tiles.all(4).all(2)
    assert not (needed & ~some).any(), "a block is skipped in which something is allowed"
    assert not (whole & ~filled).any(), "a block is taken whole in which something is forbidden"


def test_the_blocks_are_nearly_those_found_by_asking_every_pair() -> None:
    packed = pack([TokenRow((4,) * 500, ((5,) * 300,) * 4), TokenRow((4,) * 90, ((5,) * 70,))], 2, dtype=torch.float32)
    ours = block_mask(packed.segments_BT, packed.position_ids_BT)
    theirs = create_block_mask(
        ours.mask_mod, len(packed.lengths), None, *packed.segments_BT.shape[1:] * 2, device="cpu"
    )
    assert int(ours.full_kv_num_blocks.sum()) > 20
    extra = ours.to_dense().sum() - theirs.to_dense().sum()
    assert (ours.to_dense() >= theirs.to_dense()).all()
    assert 0 <= extra <= theirs.to_dense().sum() / 5
    assert ours.sparsity() > 60


@pytest.mark.parametrize(
    ("reach", "cap", "sinks"), [(None, None, False), (40, None, False), (None, 3.0, False), (200, None, True)]
)
def test_attention_and_its_gradient_are_those_under_the_dense_mask(
    reach: int | None, cap: float | None, sinks: bool
) -> None:
    packed, torch_seed = batch(2, longest=90), torch.manual_seed(0)
    rows, width = packed.segments_BT.shape
    query, key, value = (torch.randn(rows, heads, width, 16, requires_grad=True) for heads in (4, 2, 2))
    sink = torch.randn(4, requires_grad=True) if sinks else None
    leaves = [t for t in (query, key, value, sink) if t is not None]
    mask = additive(dense(packed, reach), torch.float32)[:, None]
    extra: dict[str, Any] = {"softcap": cap, "s_aux": sink}
    theirs = attention(None, query, key, value, mask, 0.3, **extra)[0].transpose(1, 2)
    blocks = block_mask(packed.segments_BT, packed.position_ids_BT, reach)
    ours = attend_blocks(query, key, value, blocks, 0.3, cap=cap, sink=sink)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    weights = torch.randn(ours.shape, generator=torch_seed)
    for a, b in zip(
        torch.autograd.grad((ours * weights).sum(), leaves),
        torch.autograd.grad((theirs * weights).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)
    wide = attend_blocks(query, key, value, block_mask(packed.segments_BT, packed.position_ids_BT), 0.3)
    if reach or cap or sinks:
        assert float((wide - ours).detach().abs().max()) > 0.01, "a control: window, cap and sink do something"


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (Gemma2Config, {"attn_logit_softcapping": 3.0, "sliding_window": 7}),
        (Gemma3TextConfig, {"sliding_window": 7}),
        (GptOssConfig, {"sliding_window": 7, "num_local_experts": 2, "num_experts_per_tok": 1}),
        (GPTNeoXConfig, {}),
    ],
)
def test_a_model_gives_the_same_numbers_under_either_mask(
    kind: Any, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = make_tokenizer()
    sizes = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "head_dim": 16, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
        "pad_token_id": 2, "eos_token_id": 2, "bos_token_id": 1,
    }  # fmt: skip
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(kind(**sizes, **settings)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    policy = load(tmp_path)
    assert plain_rows(trunk(policy.model)) is None, "it reads shared rows"
    rows = [TokenRow(tuple(range(5, 45)), (tuple(range(60, 90)), (7, 8, 9))), TokenRow((4, 5), ((6,),))]
    results: list[list[Tensor]] = []
    for blocks in (False, True):
        monkeypatch.setattr(flex_mask, "uses_blocks", lambda _, chosen=blocks: chosen)
        policy.model.zero_grad()
        logp = token_logprobs(policy.model, pack(rows, 2, dtype=policy.dtype))
        logp.sum().backward()
        grads = [p.grad.clone() for p in policy.model.parameters() if p.grad is not None]
        results.append([logp.detach(), *grads])
    torch.testing.assert_close(results[1][0], results[0][0], atol=1e-5, rtol=0)
    for a, b in zip(results[1][1:], results[0][1:], strict=True):
        torch.testing.assert_close(a, b, atol=1e-5 * max(1.0, float(b.abs().max())), rtol=0)
    # a control: the same masks without their window
    if "sliding_window" in settings:
        monkeypatch.setattr(flex_mask, "block_mask", lambda seg, pos, _: block_mask(seg, pos))
        wide = token_logprobs(policy.model, pack(rows, 2, dtype=policy.dtype)).detach()
        assert float((wide - results[0][0]).abs().max()) > 1e-4


def test_blocks_are_for_cuda_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    assert uses_blocks(torch.device("cuda", 1))
    assert not uses_blocks(torch.device("cpu"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert not uses_blocks(torch.device("cuda", 1))
