"""A prompt shared by its replies gives the numbers and gradients of separate rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import make_tiny

from alignwright.model import llama_blocks
from alignwright.model.adapters import add_lora, trainable_parameters
from alignwright.model.attention import attention
from alignwright.model.llama_blocks import has_fast_blocks, trunk
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.logprob import reply_logprobs, token_logprobs
from alignwright.model.lora_linear import linears
from alignwright.model.packing import PackedBatch, additive, pack, plan_batches
from alignwright.model.shared_prompt_attention import attention_kernels
from alignwright.model.tokens import TokenRow

ROWS = [
    TokenRow((1, 5, 9, 11), ((20, 21, 22), (30, 31), (40,))),
    TokenRow((1, 7), ((50, 51, 52, 53, 2), (60, 2)), ((True, False, True, True, True), (False, True))),
    TokenRow((3,), ((70, 71),)),
]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(make_tiny(tmp_path_factory.mktemp("tiny")))


def scores(policy: LocalModel, batch: PackedBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities and the gradient of a sum that weighs every reply differently."""
    policy.model.zero_grad()
    logp = token_logprobs(policy.model, batch)
    sums, _ = reply_logprobs(logp, batch)
    (sums * torch.arange(1.0, len(sums) + 1)).sum().backward()
    return logp.detach(), torch.cat([p.grad.flatten() for p in policy.model.parameters() if p.grad is not None])


def test_shared_rows_equal_separate_rows(policy: LocalModel) -> None:
    logp, grad = scores(policy, pack(ROWS, 2, dtype=torch.float32))
    for left, shared in [(True, True), (False, False), (True, False)]:
        other, slope = scores(policy, pack(ROWS, 2, dtype=torch.float32, pad_left=left, shared=shared))
        torch.testing.assert_close(other, logp, atol=1e-5, rtol=0)
        torch.testing.assert_close(slope, grad, atol=1e-4, rtol=1e-5)


def test_they_equal_the_models_own_full_logits(policy: LocalModel) -> None:
    row = ROWS[0]
    logp, _ = scores(policy, pack([row], 2, dtype=torch.float32))
    expected = []
    for reply in row.replies:
        ids = torch.tensor([[*row.prompt, *reply]])
        full = policy.model(input_ids=ids).logits[0, len(row.prompt) - 1 : -1].log_softmax(-1)
        expected.append(full.gather(1, torch.tensor(reply)[:, None])[:, 0])
    torch.testing.assert_close(logp, torch.cat(expected).detach(), atol=1e-5, rtol=0)


def test_the_check_can_fail_siblings_that_see_each_other(policy: LocalModel) -> None:
    row = ROWS[0]
    right = pack([row], 2, dtype=torch.float32)
    chained = tuple(token for reply in row.replies for token in reply)
    wrong = replace(right, lengths=((len(row.prompt), (len(chained),)),))
    assert (scores(policy, wrong)[0] - scores(policy, right)[0]).abs().max() > 1e-2
    with padded(policy):
        one_reply = replace(right, segments_BT=right.segments_BT.clamp(max=1))
        assert (scores(policy, one_reply)[0] - scores(policy, right)[0]).abs().max() > 1e-2


@pytest.mark.parametrize("adapted", [False, True])
def test_our_blocks_equal_the_models_own_value_and_gradient(tmp_path: Path, adapted: bool) -> None:
    policy = load(make_tiny(tmp_path, attention_bias=True))
    if adapted:
        add_lora(policy, rank=3, seed=1)
        for parameter in trainable_parameters(policy):
            parameter.data += 0.1 * torch.randn_like(parameter)
    batch = pack(ROWS, 2, dtype=torch.float32)
    ours = scores(policy, batch)
    with padded(policy):
        theirs = scores(policy, batch)
    with torch.inference_mode():
        fused = token_logprobs(policy.model, batch)
    torch.testing.assert_close(ours[0], theirs[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(ours[1], theirs[1], atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(ours[0], fused.clone(), atol=1e-5, rtol=0)
    assert not torch.equal(ours[0], theirs[0]) or not torch.equal(ours[1], theirs[1]), (
        "both went the same way, so nothing was compared"
    )


def test_a_long_row_learns_like_the_models_own_forward(tmp_path: Path) -> None:
    """Beyond a thousand tokens, where weights of attention that were kept would be too many."""
    policy = load(
        make_tiny(tmp_path, hidden_size=64, num_attention_heads=4, num_key_value_heads=2, initializer_range=0.2)
    )
    row = TokenRow(tuple(3 + i % 90 for i in range(1100)), (tuple(7 + i % 50 for i in range(300)), (8, 9)))
    ours = scores(policy, pack([row, ROWS[0]], 2, dtype=torch.float32))
    with padded(policy):
        theirs = scores(policy, pack([row, ROWS[0]], 2, dtype=torch.float32))
    torch.testing.assert_close(ours[0], theirs[0], atol=2e-5, rtol=1e-5)
    assert float((ours[1] - theirs[1]).norm() / theirs[1].norm()) < 1e-4
    body = trunk(policy.model)
    if attention_kernels(torch.float32, torch.device("cpu"), 16):
        assert not torch.equal(ours[1], theirs[1]), "both went the same way, so nothing was compared"
    assert body.layers[0].self_attn.head_dim == 16


def test_inputs_that_can_be_made_again_are_not_kept(policy: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each block's inner numbers the gate and the other half are kept, their product is not;
    nor are normed states."""
    config, batch = policy.model.config, pack(ROWS, 2, dtype=torch.float32)
    kept: list[torch.Tensor] = []

    def keep(x: torch.Tensor) -> torch.Tensor:
        kept.append(x)
        return x

    def wide() -> int:
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            token_logprobs(policy.model, batch)
        return len(
            {
                x.data_ptr()
                for x in kept
                if x.shape[-1] == config.intermediate_size and x.shape[0] in (len(batch.token_M), len(batch.label_N))
            }
        )

    assert wide() == 2 * config.num_hidden_layers
    before = scores(policy, batch)
    monkeypatch.setattr(llama_blocks, "linears", lambda x, *layers, recompute=None: linears(x, *layers))
    assert wide() == 3 * config.num_hidden_layers, "so the check can fail"
    assert all(torch.equal(a, b) for a, b in zip(scores(policy, batch), before, strict=True)), (
        "what is made again is the same to the bit"
    )


def test_a_model_of_another_kind_runs_its_own_forward(policy: LocalModel) -> None:
    body = trunk(policy.model)
    assert has_fast_blocks(body)
    with padded(policy):
        assert not has_fast_blocks(body), "a subclass may do anything, so it is not ours"
    body.config.hidden_act = "gelu"
    assert not has_fast_blocks(body)
    body.config.hidden_act = "silu"


@contextlib.contextmanager
def padded(policy: LocalModel) -> Iterator[None]:
    """Through transformers' own forward over padded rows, as models run that `llama_blocks` does not know."""
    body = trunk(policy.model)
    kind = type(body)
    body.__class__ = type("Other", (kind,), {})
    try:
        yield
    finally:
        body.__class__ = kind


def test_a_boolean_mask_is_refused_because_it_would_be_added() -> None:
    q = torch.randn(1, 2, 3, 4)
    with pytest.raises(ValueError, match="mask nothing"):
        attention(None, q, q, q, torch.ones(1, 1, 3, 3, dtype=torch.bool), 1.0)


def test_both_kernels_of_attention_agree() -> None:
    q, k, v = torch.randn(2, 6, 5, 4), torch.randn(2, 2, 5, 4), torch.randn(2, 2, 5, 4)
    mask = additive(torch.ones(2, 1, 5, 5, dtype=torch.bool).tril(), torch.float32)
    with torch.inference_mode():
        fused = attention(None, q, k, v, mask, 0.5)[0]
    torch.testing.assert_close(attention(None, q, k, v, mask, 0.5)[0], fused.clone(), atol=1e-5, rtol=1e-5)


def test_masks_choose_the_scored_tokens() -> None:
    batch = pack(ROWS, 2, dtype=torch.float32)
    assert batch.label_N.tolist() == [20, 21, 22, 30, 31, 40, 50, 52, 53, 2, 2, 70, 71]
    assert batch.reply_N.tolist() == [0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 4, 5, 5]
    assert batch.row_of_R.tolist() == [0, 0, 0, 1, 1, 2]


def test_nothing_can_predict_the_first_token_of_an_empty_prompt() -> None:
    with pytest.raises(ValueError, match="empty prompt"):
        pack([TokenRow((), ((1,),))], 2, dtype=torch.float32)


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_every_row_is_in_one_batch_within_the_budget(seed: int | None) -> None:
    rows = [TokenRow((1,) * (1 + i * 7 % 40), ((2,) * 3,)) for i in range(50)] + [TokenRow((1,) * 99, ())]
    batches = plan_batches(rows, 60, shuffle_seed=seed)
    assert sorted(i for batch in batches for i in batch) == list(range(51))
    assert all(len(b) == 1 or max(len(rows[i]) for i in b) * len(b) <= 60 for b in batches)
    assert plan_batches(rows, 60, shuffle_seed=seed) == batches


@pytest.mark.model
def test_shared_rows_of_the_bundled_model() -> None:
    policy = load("smollm2-135m-instruct")
    batch = pack([ROWS[0]], 2, dtype=torch.float32), pack([ROWS[0]], 2, dtype=torch.float32, shared=False)
    (one, slope_one), (two, slope_two) = (scores(policy, b) for b in batch)
    torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-5)
    assert float((slope_one - slope_two).norm() / slope_two.norm()) < 1e-5
    assert Path(policy.name).name == policy.name
