"""Are the loss of a target and its gradient by the suffix those of the plain row, on our blocks and on
transformers' own?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from tiny import make_tiny
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from model_families import make

from alignwright.model import target_loss
from alignwright.model.load import load
from alignwright.model.target_loss import TargetLoss

BEFORE, SUFFIX, AFTER, TARGET = [1, 40, 41, 42, 43, 44], [60, 61, 62, 63, 64], [2, 50, 1, 51], [70, 71, 72]


def opened(folder, **config):
    return load(str(make_tiny(folder, **config)), dtype="float32")


def plain_loss(policy, one_hot_SV, before=BEFORE, after=AFTER):
    """The loss by transformers alone, the suffix given as one-hot vectors."""
    table = policy.model.get_input_embeddings().weight
    rows = [table[torch.tensor(before)], one_hot_SV @ table, table[torch.tensor([*after, *TARGET])]]
    logits_TV = policy.model(inputs_embeds=torch.cat(rows)[None]).logits[0, -len(TARGET) - 1 : -1]
    return F.cross_entropy(logits_TV, torch.tensor(TARGET))


def one_hot(policy, suffix=SUFFIX):
    return F.one_hot(torch.tensor(suffix), policy.model.config.vocab_size).float()


def losses_by_transformers(policy, suffixes):
    with torch.no_grad():
        return torch.stack([plain_loss(policy, one_hot(policy, suffix)) for suffix in suffixes])


def candidates():
    """Changed at one place each, the first and the last among them; at two; unchanged; and another length."""
    single = [[*SUFFIX[:p], 80 + p, *SUFFIX[p + 1 :]] for p in range(len(SUFFIX))]
    return [*single, [90, *SUFFIX[1:4], 91], SUFFIX, [60, 61], [60, 61, 62, 63, 64, 65, 66]]


@pytest.mark.parametrize("way", ["ours", "ours without kernels", "transformers"])
def test_loss_and_gradient_are_those_of_the_plain_row(tmp_path, monkeypatch, way):
    if way == "ours without kernels":
        monkeypatch.setattr("alignwright.model.shared_prompt_attention.attention_kernels", lambda *_: None)
    if way == "transformers":
        monkeypatch.setattr(target_loss, "has_fast_blocks", lambda _: False)
        monkeypatch.setattr("alignwright.model.llama_blocks.has_fast_blocks", lambda _: False)
    policy = opened(tmp_path)
    at = TargetLoss(policy, BEFORE, AFTER, TARGET)
    loss, grad_SV = at.gradient(SUFFIX)
    assert {weight.grad for weight in policy.model.parameters()} == {None}, "no weight takes a gradient"
    assert all(weight.requires_grad for weight in policy.model.parameters()), "and each is left as it was"
    x_SV = one_hot(policy).requires_grad_()
    expected = plain_loss(policy, x_SV)
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=1e-5)
    assert float(grad_SV.abs().max()) > 1e-3, "a gradient of zeros would prove nothing"
    torch.testing.assert_close(grad_SV, x_SV.grad, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(at.losses(candidates()), losses_by_transformers(policy, candidates()), atol=1e-4, rtol=0)


def test_losses_do_not_depend_on_the_batch_nor_on_what_was_read_before(tmp_path):
    policy = opened(tmp_path)
    at = TargetLoss(policy, BEFORE, AFTER, TARGET)
    first = at.losses(candidates())
    at.gradient([95, 96, 97])
    at.gradient(SUFFIX)
    torch.testing.assert_close(at.losses(candidates()), first, atol=1e-5, rtol=0)
    policy.token_budget = 20
    torch.testing.assert_close(at.losses(candidates()), first, atol=1e-5, rtol=0)


def test_what_a_candidate_shares_with_the_suffix_is_not_computed_again(tmp_path, monkeypatch):
    policy = opened(tmp_path)
    at = TargetLoss(policy, BEFORE, AFTER, TARGET)
    at.gradient(SUFFIX)
    lengths = []
    whole = target_loss.blocks_hidden
    monkeypatch.setattr(
        target_loss,
        "blocks_hidden",
        lambda body, x_MH, *a, **k: (lengths.append(len(x_MH)), whole(body, x_MH, *a, **k))[1],
    )
    behind = len(AFTER) + len(TARGET) - 1
    at.losses([[*SUFFIX[:4], 80]])
    at.losses([[80, *SUFFIX[1:]]])
    assert lengths == [1 + behind, 5 + behind]


def test_nothing_behind_the_suffix_but_the_target(tmp_path):
    policy = opened(tmp_path)
    at = TargetLoss(policy, BEFORE, [], TARGET)
    x_SV = one_hot(policy).requires_grad_()
    expected = plain_loss(policy, x_SV, after=[])
    loss, _ = at.gradient(SUFFIX)
    assert loss == pytest.approx(float(expected.detach()), abs=1e-5)
    assert float(at.losses([SUFFIX])) == pytest.approx(loss, abs=1e-5)


def test_a_row_longer_than_the_model_reads_is_refused(tmp_path):
    policy = opened(tmp_path, max_position_embeddings=16)
    at = TargetLoss(policy, BEFORE, AFTER, TARGET)
    with pytest.raises(ValueError, match="longer than"):
        at.losses([[60] * 9])
    with pytest.raises(ValueError, match="longer than"):
        at.gradient([60] * 9)


@pytest.mark.parametrize("family", ["gemma3_text", "granite", "mistral", "phi3", "qwen3", "bloom", "mamba"])
def test_each_way_of_reading_a_family_gives_its_own_loss_and_gradient(family, tmp_path):
    """Scaled embeddings, factors, windows, packed products, normed heads, no rotation, and plain rows."""
    policy, before, suffix, after = load(make(family, tmp_path / "model")), [5, 6, 7, 8], [20, 21, 22, 23], [9, 10]
    model, layer = policy.model, policy.model.get_input_embeddings()
    at = TargetLoss(policy, before, after, TARGET[:2])
    x_1TH = layer(torch.tensor([[*before, *suffix, *after, *TARGET[:2]]])).detach().requires_grad_()
    expected = F.cross_entropy(model(inputs_embeds=x_1TH).logits[0, -3:-1].float(), torch.tensor(TARGET[:2]))
    (grad_1TH,) = torch.autograd.grad(expected, x_1TH)
    loss, grad_SV = at.gradient(suffix)
    expected_SV = grad_1TH[0, 4:8] @ layer(torch.arange(layer.weight.shape[0])).detach().T
    assert loss == pytest.approx(expected.item(), abs=1e-4)
    torch.testing.assert_close(grad_SV, expected_SV, atol=1e-5, rtol=1e-3)
    for other in ([20, 21, 40, 23], [41, 21, 22, 23]):
        with torch.no_grad():
            logits_1TV = model(input_ids=torch.tensor([[*before, *other, *after, *TARGET[:2]]])).logits
        own = F.cross_entropy(logits_1TV[0, -3:-1].float(), torch.tensor(TARGET[:2]))
        assert float(at.losses([other])) == pytest.approx(own.item(), abs=1e-4)
