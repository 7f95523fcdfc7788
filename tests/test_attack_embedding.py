"""Do vectors added inside the model make one fall that has the word, and not one that nothing before its
reply can reach? Are they what the gradient says, and within their radius?"""

from __future__ import annotations

import math

import pytest
import torch
from tiny import make_tiny
from torch.nn import functional as F
from white_box_case import ITEM, REFUSAL, REQUEST, WORD, greedy, planted

from alignwright.attack.embedding import PerturbationSearch, embedding
from alignwright.attack.knobs_white_box import step_claims
from alignwright.attack.target import Target
from alignwright.core.records import Conversation
from alignwright.measure.findings import levels
from alignwright.model.load import load
from alignwright.model.perturbation import Perturbation, PerturbedModel, perturbed_loss, state_norm

IDS, TARGET = [1, 40, 41, 60, 61, 62, 2, 50], [70, 71, 72]


@pytest.fixture(scope="module")
def random_model(tmp_path_factory):
    return load(str(make_tiny(tmp_path_factory.mktemp("model"))), dtype="float32")


def attacked(policy, layer=0, steps=16, radius=1.0, log=None):
    speaker = PerturbedModel(policy)
    target = Target(speaker, kind="embedding", max_new_tokens=8, log=log)
    samples = embedding(
        target, speaker, policy, [ITEM], steps=steps, layer=layer, length=8, radius=radius, begin="Sure"
    )
    found = levels(samples, claims=step_claims("embedding", "it"), stage="baseline")
    return target, {finding.claim: finding for finding in found}


def test_a_model_that_has_the_word_falls_and_its_curve_grows_with_the_steps():
    policy = planted(falls=True)
    target, found = attacked(policy)
    assert found["attack.embedding.success"].value == 1.0
    curve = [found[f"attack.embedding.success.within_{k}"].value for k in (1, 2, 4, 8)]
    assert curve == sorted(curve)
    assert curve[0] == 0.0
    assert target.tries[-1].reply == WORD
    assert greedy(policy, REQUEST) == REFUSAL, "the model itself is as it was"


def test_a_model_whose_reply_nothing_before_it_reaches_stands():
    policy = planted(falls=False)
    target, found = attacked(policy, steps=4)
    assert found["attack.embedding.success"].value == 0.0
    assert [each.reply for each in target.tries] == [REFUSAL] * 3


def test_a_perturbation_within_no_radius_worth_the_name_does_nothing():
    _, found = attacked(planted(falls=True), radius=1e-6, steps=4)
    assert found["attack.embedding.success"].value == 0.0


@pytest.mark.parametrize("layer", [0, 1])
def test_loss_and_gradient_are_those_of_the_plain_forward(random_model, layer):
    added_SH = torch.randn(3, 32, generator=torch.Generator().manual_seed(5)) * 0.1
    model, row = random_model.model, torch.tensor([[*IDS, *TARGET[:-1]]])

    def plain(added):
        """By transformers alone: embeddings given, or the first block made by hand before the second."""
        spread = F.pad(added, (0, 0, 3, row.shape[1] - 6))
        x = model.model.embed_tokens(row)
        if layer == 0:
            return model(inputs_embeds=x + spread).logits
        position = torch.arange(row.shape[1])[None]
        angles = model.model.rotary_emb(x, position)
        mask = torch.full((row.shape[1],) * 2, torch.finfo(x.dtype).min).triu(1)[None, None]
        for i, block in enumerate(model.model.layers):
            out = block(x, attention_mask=mask, position_ids=position, position_embeddings=angles)
            x = (out if isinstance(out, torch.Tensor) else out[0]) + (spread if i == 0 else 0)
        return model.lm_head(model.model.norm(x))

    expected_SH, given_SH = added_SH.clone().requires_grad_(), added_SH.clone().requires_grad_()
    expected = F.cross_entropy(plain(expected_SH)[0, len(IDS) - 1 :], torch.tensor(TARGET))
    loss = perturbed_loss(random_model, IDS, TARGET, Perturbation(layer, 3, given_SH))
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    (grad_SH,) = torch.autograd.grad(loss, given_SH)
    (expected_grad_SH,) = torch.autograd.grad(expected, expected_SH)
    assert float(grad_SH.abs().max()) > 1e-3
    torch.testing.assert_close(grad_SH, expected_grad_SH, atol=1e-5, rtol=1e-4)


def test_a_reply_without_a_perturbation_is_the_model_s_own_and_with_one_another(random_model):
    talk, speaker = Conversation.user("What is it?"), PerturbedModel(random_model)
    own = random_model.generate([talk], max_new_tokens=9, temperature=0.0)[0][0]
    (same,) = speaker.generate([talk], max_new_tokens=9, temperature=0.0)[0]
    assert (same.text, same.tokens, same.finished) == (own.text, own.tokens, own.finished)
    change = torch.randn(2, 32, generator=torch.Generator().manual_seed(3)) * 9
    speaker.of = {talk.id: Perturbation(0, 4, change)}
    assert speaker.generate([talk], max_new_tokens=9, temperature=0.0)[0][0].text != own.text
    with pytest.raises(ValueError, match="temperature 0"):
        speaker.generate([talk])


def test_vectors_stay_within_their_radius_and_the_loss_goes_down(random_model):
    search = PerturbationSearch(random_model, ITEM, 0, 8, 0.5, WORD)
    start = len(random_model.chat.prompt(Conversation.user(REQUEST)))
    assert search.begin < start
    norm = state_norm(random_model, search.ids, 0, slice(search.begin, search.begin + len(search.added_SH)))
    search.go_on(40)
    assert float(search.added_SH.norm(dim=1).max()) <= 0.5 * norm * (1 + 1e-5)
    assert search.losses[-1] < search.losses[0] - 0.3
    assert all(map(math.isfinite, search.losses))


def test_vectors_between_blocks_lower_the_loss(random_model):
    between = PerturbationSearch(random_model, ITEM, 1, 8, 1.0, WORD)
    between.go_on(20)
    assert between.losses[-1] < between.losses[0] - 0.1


def test_a_search_that_was_killed_ends_as_it_would_have(tmp_path):
    policy, log = planted(falls=True), tmp_path / "replies.jsonl"
    target, found = attacked(policy, log=log)
    lines = log.read_bytes().split(b"\n")
    log.write_bytes(b"\n".join(lines[:2]) + b"\n" + lines[2][:9])
    again, found_again = attacked(policy, log=log)
    assert again.tries == target.tries
    assert found_again == found


@pytest.mark.parametrize("layer", [2, 3])
def test_a_block_that_nothing_reads_after_or_that_is_not_there_is_named(random_model, layer):
    """After the last block no vector could change a reply, and no model would fall."""
    with pytest.raises(ValueError, match=rf"block {layer}: it has 2, .* 'layer' is 0 \(the embedding\) to 1"):
        state_norm(random_model, IDS, layer, slice(0, 1))
