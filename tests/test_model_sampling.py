"""What is drawn has the probability that is reported, and depends on its seed alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import make_tiny

from alignwright.core.records import Conversation
from alignwright.model.adapters import adapter_off, add_lora, merged, trainable_parameters
from alignwright.model.decoder import decoding
from alignwright.model.kv_cache import TransformersDecoder
from alignwright.model.llama_blocks import trunk
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.packed_linear import packed_linears
from alignwright.model.sampling import Sample, draw, sample
from alignwright.model.tokens import TokenRow

PROMPTS = [[1, 5, 9, 11], [1, 7], [3, 4, 8, 8, 9, 10, 12], [1, 6, 2, 9]]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(make_tiny(tmp_path_factory.mktemp("tiny")))


def speak(policy: LocalModel, prompts: list[list[int]] = PROMPTS, **kwargs: object) -> list[list[Sample]]:
    settings: dict[str, object] = {
        "n": 3,
        "max_new_tokens": 12,
        "temperature": 1.0,
        "seed": 5,
        "stop_ids": frozenset(range(100, 140)),
    }
    return sample(policy, prompts, **(settings | kwargs))  # type: ignore[arg-type]


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
def test_kept_log_probabilities_are_the_policys_own(policy: LocalModel, temperature: float) -> None:
    samples = speak(policy, temperature=temperature)
    rows = [TokenRow(tuple(p), tuple(tuple(s.ids) for s in drawn)) for p, drawn in zip(PROMPTS, samples, strict=True)]
    for scored, drawn in zip(policy.score(rows), samples, strict=True):
        assert [total for total, _ in scored] == pytest.approx([sum(s.logprobs) for s in drawn], abs=1e-4)
    assert len({len(s.ids) for drawn in samples for s in drawn}) > 1 or temperature == 0, (
        "no row finished early, so dropping was not tried"
    )


def test_a_reply_does_not_depend_on_its_batch(policy: LocalModel) -> None:
    together = speak(policy)
    for rows in (1, 2, 5):
        assert [[s.ids for s in d] for d in speak(policy, batch_rows=rows)] == [[s.ids for s in d] for d in together]
    assert [[s.ids for s in d[:2]] for d in speak(policy, n=2)] == [[s.ids for s in d[:2]] for d in together]
    assert [[s.ids for s in d] for d in speak(policy, PROMPTS[:2])] == [[s.ids for s in d] for d in together[:2]]


def test_seed_and_sample_index_change_what_is_said(policy: LocalModel) -> None:
    one, two = speak(policy), speak(policy, seed=6)
    assert [[s.ids for s in d] for d in one] != [[s.ids for s in d] for d in two]
    assert len({tuple(s.ids) for s in one[0]}) == 3


def test_a_reply_that_was_begun_is_gone_on_with(policy: LocalModel) -> None:
    """It stands behind the assistant's header, as a turn that is not over; what comes is the rest alone."""
    question = Conversation.user("How are you?")
    (begun,), (over,) = policy.generate(
        [question.then("assistant", "Well, a"), question.then("assistant", "Well, a").then("user", "x")],
        max_new_tokens=8, temperature=0.0,
    )  # fmt: skip
    ids = policy.chat.prompt(question, "Well, a")
    ((rest,),) = sample(policy, [ids], n=1, max_new_tokens=8, temperature=0.0, seed=0)
    assert begun.text == policy.chat.decode(rest.ids) != over.text
    assert not begun.text.startswith("Well, a")


def test_only_the_last_token_stops(policy: LocalModel) -> None:
    for drawn in speak(policy, n=8):
        for s in drawn:
            assert all(i < 100 or i >= 140 for i in s.ids[:-1])
            assert s.finished == (100 <= s.ids[-1] < 140)
            assert s.finished or len(s.ids) == 12


def test_greedy_is_transformers_greedy(policy: LocalModel) -> None:
    ids = torch.tensor([PROMPTS[0]])
    theirs = policy.model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12, eos_token_id=None, pad_token_id=0
    )
    ours = speak(policy, PROMPTS[:2], temperature=0.0, stop_ids=frozenset())
    assert ours[0][0].ids == theirs[0, 4:].tolist() == ours[0][2].ids


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_drawn_tokens_have_the_frequencies_of_the_softmax(temperature: float) -> None:
    torch.manual_seed(0)
    logits, rows = torch.randn(600) * 2, 20000  # more than one block of the inversion, and a broken one at the end
    drawn, logp = draw(logits.repeat(rows, 1), (torch.arange(rows) + 0.5) / rows, temperature)
    seen = torch.bincount(drawn, minlength=600) / rows
    assert float((seen - (logits / temperature).softmax(0)).abs().max()) < 2 / rows, (
        "an evenly spaced sweep must hit each token's share"
    )
    torch.testing.assert_close(logp, logits.log_softmax(0)[drawn], atol=1e-5, rtol=0)


def test_no_impossible_token_is_drawn_at_the_edges() -> None:
    logits = torch.full((3, 700), float("-inf"))
    logits[:, [300, 301]] = 0.0
    token, logp = draw(logits, torch.tensor([0.0, 0.5, 1 - 2**-53], dtype=torch.float64), 1.0)
    assert token.tolist() == [300, 301, 301]
    assert logp.tolist() == pytest.approx([-0.6931472] * 3)


def test_reply_makes_records(policy: LocalModel) -> None:
    talk = Conversation.user("What is the capital?")
    ((first, second),) = policy.generate([talk], n=2, max_new_tokens=5, seed=1)
    assert first.parent == talk.id
    assert (first.tokens or 0) <= 5
    assert first != second
    assert policy.generate([talk], n=2, max_new_tokens=5, seed=1) == [[first, second]]


def test_what_the_model_cannot_attend_to_is_refused(policy: LocalModel) -> None:
    with pytest.raises(ValueError, match=r"longer than the model's context of 2,048"):
        speak(policy, [[1] * 2040], max_new_tokens=20)
    with pytest.raises(ValueError, match="negative"):
        speak(policy, temperature=-1.0)


def test_packed_weights_give_the_same_numbers_and_are_put_away(policy: LocalModel) -> None:
    ids = torch.tensor(PROMPTS[:1])
    with torch.inference_mode():
        plain = policy.model(input_ids=ids).logits
        with packed_linears(policy.model, 4):
            torch.testing.assert_close(policy.model(input_ids=ids).logits, plain, atol=1e-5, rtol=1e-5)
    assert not any("forward" in vars(layer) for layer in policy.model.modules())


def test_a_decoder_of_our_own_and_transformers_speak_alike(policy: LocalModel) -> None:
    ours = speak(policy)
    kind = type(trunk(policy.model))
    trunk(policy.model).__class__ = type("Other", (kind,), {})  # not a kind that `llama_blocks` knows
    try:
        with decoding(policy, 4, longest=20) as decoder:
            assert isinstance(decoder, TransformersDecoder)
        theirs = speak(policy)
    finally:
        trunk(policy.model).__class__ = kind
    assert [[s.ids for s in d] for d in ours] == [[s.ids for s in d] for d in theirs]
    for a, b in zip((s for d in ours for s in d), (s for d in theirs for s in d), strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)


def test_an_adapter_speaks_merged_and_the_model_is_what_it_was(tmp_path: Path) -> None:
    policy = load(make_tiny(tmp_path / "tiny"))
    add_lora(policy, rank=2, seed=0)
    for parameter in trainable_parameters(policy):
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    before = {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}
    ours = speak(policy)
    with merged(policy):
        assert [[(s.ids, s.logprobs) for s in d] for d in speak(policy)] == [
            [(s.ids, s.logprobs) for s in d] for d in ours
        ]
    with decoding(policy, 4, longest=20) as decoder:
        assert not isinstance(decoder, TransformersDecoder)
    kind = type(trunk(policy.model))
    trunk(policy.model).__class__ = type("Other", (kind,), {})
    try:
        theirs = speak(policy)
    finally:
        trunk(policy.model).__class__ = kind
    with adapter_off(policy):
        without = speak(policy)
    assert [[s.ids for s in d] for d in ours] == [[s.ids for s in d] for d in theirs]
    assert [[s.ids for s in d] for d in ours] != [[s.ids for s in d] for d in without], (
        "the adapter changes nothing, so nothing was compared"
    )
    assert all(torch.equal(tensor, before[name]) for name, tensor in policy.model.state_dict().items())
