"""Is a greedy reply the same whether it is decoded or found in a draft, and is a draft what makes it cheap?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tiny import make_tiny

from alignwright.core.records import Conversation
from alignwright.model import decoder, local_model
from alignwright.model import drafts as drafts_module
from alignwright.model.drafts import greedy_from_drafts
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.packing import PackedBatch
from alignwright.model.sampling import Sample, sample

PROMPTS = [Conversation.user(text) for text in ("yes", "I cannot help", "What is the capital of France?", "no, 7", "?")]
TOKENS = 24


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(make_tiny(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each call of `sample` decoded at most, reply by reply."""
    limits: list[int] = []

    def counting(policy: LocalModel, prompts: Sequence[Sequence[int]], **kwargs: object) -> list[list[Sample]]:
        most = kwargs["max_new_tokens"]
        limits.extend([most] * len(prompts) if isinstance(most, int) else most)  # type: ignore[arg-type]
        return sample(policy, prompts, **kwargs)  # type: ignore[arg-type]

    for module in (drafts_module, local_model):
        monkeypatch.setattr(module, "sample", counting)
    return limits


def perturbed(measured: LocalModel, folder: Path, by: float) -> LocalModel:
    """The model with every weight rounded as an export might, only coarser."""
    other = load(make_tiny(folder))
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in other.model.parameters():
            weight.mul_(1 + by * torch.randn_like(weight))
    return other


def plain(policy: LocalModel) -> list[list[int]]:
    prompts = [policy.chat.prompt(prompt) for prompt in PROMPTS]
    rows = sample(policy, prompts, n=1, max_new_tokens=TOKENS, temperature=0.0, seed=0)
    return [row.ids for (row,) in rows]


def from_drafts(policy: LocalModel, drafts: list[list[int]]) -> list[Sample]:
    prompts = [policy.chat.prompt(prompt) for prompt in PROMPTS]
    return greedy_from_drafts(policy, prompts, drafts, max_new_tokens=TOKENS)


def test_its_own_replies_are_confirmed_without_decoding(measured: LocalModel, decoded: list[int]) -> None:
    replies = plain(measured)
    again = from_drafts(measured, replies)
    assert [s.ids for s in again] == replies
    assert decoded == []
    kept = sample(measured, [measured.chat.prompt(p) for p in PROMPTS], n=1, max_new_tokens=TOKENS, temperature=0.0,
                  seed=0)  # fmt: skip
    assert [s.finished for s in again] == [row.finished for (row,) in kept]
    for one, (row,) in zip(again, kept, strict=True):
        assert one.logprobs == pytest.approx(row.logprobs, abs=1e-4)


@pytest.mark.parametrize("by", [0.01, 0.1, 0.5])
def test_another_model_replies_as_if_there_were_no_draft(
    measured: LocalModel, tmp_path: Path, decoded: list[int], by: float
) -> None:
    other, before = perturbed(measured, tmp_path, by), plain(measured)
    replies = plain(other)
    assert [s.ids for s in from_drafts(other, before)] == replies
    assert replies != before or by < 0.1  # a control: the weights are another model's
    assert sum(decoded) < len(PROMPTS) * TOKENS or by == 0.5


def test_wrong_and_missing_and_long_drafts_change_nothing(measured: LocalModel) -> None:
    replies = plain(measured)
    half = [[*ids[: len(ids) // 2], 5, 6, 7] for ids in replies]
    longer = [ids + [9] * 100 for ids in replies]
    for drafts in (half, longer, [[] for _ in replies], [ids[:3] for ids in replies], [[4] * 40 for _ in replies]):
        assert [s.ids for s in from_drafts(measured, drafts)] == replies


def test_what_is_too_close_to_tell_is_decoded_from_its_beginning(
    measured: LocalModel, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = plain(measured)
    monkeypatch.setattr(drafts_module, "CLOSE", float("inf"))
    assert [s.ids for s in from_drafts(measured, replies)] == replies
    assert decoded == [TOKENS] * len(PROMPTS)


@pytest.mark.parametrize("limit", [0, 1 << 29])
def test_no_prompt_is_read_again_where_the_pass_kept_its_keys_and_values(
    measured: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    other, before = perturbed(measured, tmp_path, 0.1), plain(measured)
    replies = plain(other)
    assert replies != before
    reading: list[int] = []
    read = decoder.flat_hidden

    def counted(body: object, batch: PackedBatch, *rest: object) -> torch.Tensor:
        reading.append(len(batch.token_M))
        return read(body, batch, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(decoder, "flat_hidden", counted)
    monkeypatch.setattr(drafts_module, "_CACHE_BYTES", limit)
    assert [s.ids for s in from_drafts(other, before)] == replies
    assert bool(reading) == (limit == 0)
    reading.clear()
    assert [
        s.ids for s in from_drafts(other, [*before[:-1], []])
    ] == replies  # one has no draft: its prompt alone is read
    assert len(reading) == 1
    assert limit == 0 or reading == [len(other.chat.prompt(PROMPTS[-1]))]


def test_what_is_read_already_and_what_is_not_are_decoded_in_one_batch(
    measured: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, before = perturbed(measured, tmp_path, 0.1), plain(measured)
    prompts = [other.chat.prompt(prompt) for prompt in PROMPTS]
    expected = sample(other, prompts, n=1, max_new_tokens=TOKENS, temperature=0.0, seed=0)
    batches: list[list[bool]] = []

    def counting(policy: LocalModel, prompts: Sequence[Sequence[int]], **kwargs: object) -> list[list[Sample]]:
        batches.append([bool(blocks) for blocks in kwargs["caches"]])  # type: ignore[attr-defined]
        return sample(policy, prompts, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(drafts_module, "sample", counting)
    for without in ([0], [1, 3], [4], [0, 1, 2, 3]):
        batches.clear()
        drafts = [[] if i in without else [*ids[:3], 5] for i, ids in enumerate(before)]
        replies = greedy_from_drafts(other, prompts, drafts, max_new_tokens=TOKENS)
        assert [r.ids for r in replies] == [row.ids for (row,) in expected]
        for reply, (row,) in zip(replies, expected, strict=True):
            assert reply.logprobs == pytest.approx(row.logprobs, abs=1e-4)
            assert reply.finished == row.finished
        (batch,) = batches
        assert set(batch) == {True, False}  # the control: both kinds are in it


def test_a_reply_ends_where_the_model_stops(measured: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    replies = plain(measured)
    monkeypatch.setattr(measured.chat, "stop_ids", frozenset({replies[0][3], replies[2][0]}))
    stopped = plain(measured)
    assert len(stopped[2]) == 1
    again = from_drafts(measured, replies)
    assert [s.ids for s in again] == stopped
    assert again[2].finished


def test_a_model_with_drafts_generates_the_same_texts(measured: LocalModel, tmp_path: Path, decoded: list[int]) -> None:
    def texts(policy: LocalModel) -> list[str]:
        return [group[0].text for group in policy.generate(PROMPTS, max_new_tokens=TOKENS, temperature=0.0)]

    other, before = perturbed(measured, tmp_path, 0.05), texts(measured)
    expected = texts(other)
    decoded.clear()
    other.drafts = {prompt.id: text for prompt, text in zip(PROMPTS[:4], before, strict=False)}
    assert texts(other) == expected
    assert TOKENS in decoded  # the fifth has no draft
    sampled = other.generate(PROMPTS, n=2, max_new_tokens=4, temperature=0.0)
    assert len(sampled[0]) == 2


def test_each_prompt_may_have_its_own_limit(measured: LocalModel) -> None:
    prompts = [measured.chat.prompt(prompt) for prompt in PROMPTS]
    whole, limits = plain(measured), [1, 24, 7, 3, 12]
    rows = sample(measured, prompts, n=1, max_new_tokens=limits, temperature=0.0, seed=0)
    assert [row.ids for (row,) in rows] == [ids[:limit] for ids, limit in zip(whole, limits, strict=True)]
