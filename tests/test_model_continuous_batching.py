"""Is a reply the same whatever shares its batch, wherever it joined, and the same as `generate`
gives; is text given out whole, and cut at a stop string; are the given tokens' log-probabilities the
model's own?"""

from __future__ import annotations

import math
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from model_families import make
from tiny import make_tiny, make_tokenizer
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from alignwright.core.records import Conversation
from alignwright.model import continuous_batching
from alignwright.model.continuous_batching import ContinuousBatching, ServerFull
from alignwright.model.generation import Drawn, Event, Generation, PromptRead
from alignwright.model.joined_rows import AlignedRows, join
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.nucleus import nucleus
from alignwright.model.prompt_logprobs import prompt_logprobs
from alignwright.model.sampling import sample
from alignwright.model.token_text import GrowingText, TokenText
from alignwright.model.tokens import Chat

QUESTIONS = ["What is the capital of France?", "Yes or no?", "the model says that this is " * 6, "I cannot."]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(make_tiny(tmp_path_factory.mktemp("llama")))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """A model whose rows are transformers' own, which cannot join others."""
    folder, tokenizer = tmp_path_factory.mktemp("other"), make_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = GPTNeoXConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=512, eos_token_id=2, initializer_range=0.2,
        )  # fmt: skip
        GPTNeoXForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load(folder)


@pytest.fixture(scope="module", params=["lfm2", "gemma2"])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """Models with a row a reply (convolutions), and with a cap on their logits."""
    return load(make(request.param, tmp_path_factory.mktemp(request.param)))


class Listener:
    """What one generation is told."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.has_begun = threading.Event()

    def __call__(self, event: Event) -> None:
        self.events.put(event)
        self.has_begun.set()

    def replies(self, n: int) -> list[list[int]]:
        ids: dict[int, list[int]] = {choice: [] for choice in range(n)}
        unfinished = set(ids)
        while unfinished:
            event = self.events.get(timeout=30)
            assert isinstance(event, Drawn)
            assert event.error is None, event.error
            ids[event.choice] += [token.id for token in event.tokens]
            unfinished -= {event.choice} if event.finish else set()
        return [ids[choice] for choice in range(n)]

    def error(self) -> str:
        while True:
            event = self.events.get(timeout=30)
            if isinstance(event, Drawn) and event.error:
                return event.error


@contextmanager
def running(policy: LocalModel, **options: int) -> Iterator[ContinuousBatching]:
    batching = ContinuousBatching(policy, **options)
    thread = threading.Thread(target=batching.run)
    thread.start()
    assert batching.ready.wait(timeout=30)
    try:
        yield batching
    finally:
        batching.end()
        thread.join(timeout=30)
        assert not thread.is_alive()


def ask(batching: ContinuousBatching, policy: LocalModel, text: str, **options: Any) -> Listener:
    listener = Listener()
    prompt = tuple(policy.chat.prompt(Conversation.user(text)))
    options = {"max_new_tokens": 24, "stop_ids": policy.chat.stop_ids} | options
    batching.submit([Generation(prompt, listener, **options)])
    return listener


@pytest.mark.parametrize("kind", ["llama", "other"])
def test_a_seed_gives_what_generate_gives_whoever_shares_the_batch(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
):
    policy: LocalModel = request.getfixturevalue(kind)
    joins: list[int] = []

    def counted_join(running_rows: AlignedRows, new: AlignedRows, room: int) -> None:
        joins.append(len(running_rows.position_R))
        join(running_rows, new, room)

    monkeypatch.setattr(continuous_batching, "join", counted_join)
    sampling = [
        {"n": 3, "seed": place, "temperature": 1.0 + place / 10, "max_new_tokens": 20 + 20 * place}
        for place in range(len(QUESTIONS))
    ]
    with running(policy) as batching:
        listeners: list[Listener] = []
        for text, each in zip(QUESTIONS, sampling, strict=True):
            listeners.append(ask(batching, policy, text, each=True, stop_ids=frozenset(), **each))
            assert listeners[-1].has_begun.wait(timeout=30)  # so the next joins rows that are under way
        together = [listener.replies(3) for listener in listeners]
    assert bool(joins) == (kind == "llama")
    for text, each, replies in zip(QUESTIONS, sampling, together, strict=True):
        prompt = policy.chat.prompt(Conversation.user(text))
        alone = sample(policy, [prompt], stop_ids=frozenset(), **each)[0]
        assert replies == [one.ids for one in alone]
    assert together[0][0] != together[0][1]  # samples of one prompt are not one sample


@torch.inference_mode()
def test_its_logprobs_are_the_models_own_and_those_of_the_likeliest_come_with_them(llama: LocalModel):
    with running(llama) as batching:
        listener = ask(batching, llama, QUESTIONS[0], max_new_tokens=6, temperature=2.0, seed=4, top=3)
        event = listener.events.get(timeout=30)
    assert isinstance(event, Drawn)
    prompt, ids = llama.chat.prompt(Conversation.user(QUESTIONS[0])), [token.id for token in event.tokens]
    own_TV = llama.model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    for token, own_V in zip(event.tokens, own_TV, strict=True):
        assert math.isclose(token.logprob or 0.0, float(own_V[token.id]), abs_tol=1e-4)
        assert [id for id, _ in token.top] == own_V.topk(3).indices.tolist()
        assert torch.allclose(torch.tensor([logp for _, logp in token.top]), own_V.topk(3).values, atol=1e-4)


def test_rows_of_any_family_are_drawn_as_sample_draws_them(family: LocalModel):
    prompts = [tuple(range(3, 22)), (5, 9, 11), tuple(range(30, 64))]
    with running(family) as batching:
        listeners: list[Listener] = []
        for seed, prompt in enumerate(prompts):
            listeners.append(Listener())
            batching.submit([Generation(prompt, listeners[-1], n=2, max_new_tokens=12, seed=seed, each=True)])
            assert listeners[-1].has_begun.wait(timeout=30)
        together = [listener.replies(2) for listener in listeners]
    for seed, (prompt, replies) in enumerate(zip(prompts, together, strict=True)):
        alone = sample(family, [prompt], n=2, max_new_tokens=12, temperature=1.0, seed=seed, stop_ids=frozenset())[0]
        assert replies == [one.ids for one in alone]


@torch.inference_mode()
def test_a_given_texts_logprobs_are_the_models_own_in_any_family(family: LocalModel):
    ids = list(range(3, 60))
    own_TV = family.model(torch.tensor([ids])).logits[0, :-1].float().log_softmax(-1)
    own_T = own_TV.gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    tokens = prompt_logprobs(family, ids, 1)[1:]
    assert torch.allclose(torch.tensor([token.logprob for token in tokens]), own_T, atol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["llama", "other"])
def test_a_given_texts_logprobs_are_the_models_own(kind: str, request: pytest.FixtureRequest):
    policy: LocalModel = request.getfixturevalue(kind)
    ids = policy.chat.prompt(Conversation.user(QUESTIONS[2] * 4))
    assert len(ids) > 128  # more than one chunk
    own_TV = policy.model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    first, *tokens = prompt_logprobs(policy, ids, 2)
    assert (first.id, first.logprob, first.top) == (ids[0], None, ())
    assert [token.id for token in tokens] == ids[1:]
    own_T = own_TV.gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    assert torch.allclose(torch.tensor([token.logprob for token in tokens]), own_T, atol=1e-4)
    assert [token.top[0][0] for token in tokens] == own_TV.argmax(1).tolist()


def test_the_nucleus_is_the_smallest_set_of_that_mass_and_keeps_its_proportions():
    probs_V = torch.tensor([0.1, 0.4, 0.05, 0.3, 0.15])
    uniform_R = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    logits_RV = probs_V.log().expand(1000, -1).contiguous()
    token_R, logp_R = nucleus(logits_RV, uniform_R, 1.0, 0.75)  # 0.4 and 0.3 are not enough, so 0.15 is in
    share_V = torch.bincount(token_R, minlength=5) / 1000
    assert torch.allclose(share_V, torch.tensor([0.0, 0.4, 0.0, 0.3, 0.15]) / 0.85, atol=2e-3)
    assert torch.allclose(logp_R, probs_V.log()[token_R], atol=1e-6)  # among all, not within the nucleus
    assert set(nucleus(logits_RV, uniform_R, 1.0, 0.0)[0].tolist()) == {1}
    hot_R, _ = nucleus(logits_RV, uniform_R, 0.5, 0.75)  # at temperature 1/2 the mass is 0.16 and 0.09 of 0.285
    assert set(hot_R.tolist()) == {1, 3}


def test_of_a_row_without_numbers_the_client_is_told_and_the_server_goes_on(llama: LocalModel):
    embedding = llama.model.get_input_embeddings().weight
    with running(llama) as batching:
        bad = int(embedding.shape[0]) - 1
        listener = Listener()
        with torch.no_grad():
            row = embedding[bad].clone()
            embedding[bad] = torch.nan
        try:
            batching.submit([Generation((bad,), listener, max_new_tokens=4)])
            assert "no numbers" in listener.error()
        finally:
            with torch.no_grad():
                embedding[bad] = row
        assert ask(batching, llama, QUESTIONS[1], seed=1).replies(1)[0]


def test_a_failure_of_a_batch_is_told_to_those_in_it_and_the_next_is_answered(
    llama: LocalModel, monkeypatch: pytest.MonkeyPatch
):
    with running(llama) as batching:
        with monkeypatch.context() as patch:
            patch.setattr(continuous_batching, "_tokens", lambda batch: 1 / 0)
            assert "ZeroDivisionError" in ask(batching, llama, QUESTIONS[0]).error()
        assert ask(batching, llama, QUESTIONS[1], seed=1).replies(1)[0]


def test_what_can_never_fit_is_refused_and_what_waits_is_bounded(llama: LocalModel):
    batching = ContinuousBatching(llama, rows=4, cache_tokens=400, waiting=5)  # nobody runs it
    with pytest.raises(ValueError, match="the server's cache holds 400"):
        ask(batching, llama, QUESTIONS[0], n=4, max_new_tokens=100)
    with pytest.raises(ValueError, match="batch of 4 rows"):
        ask(batching, llama, QUESTIONS[1], n=5, max_new_tokens=4)
    first = ask(batching, llama, QUESTIONS[1], n=4, max_new_tokens=8)
    with pytest.raises(ServerFull, match="5 replies are waiting"):
        ask(batching, llama, QUESTIONS[1], n=2, max_new_tokens=8)
    batching.end()
    batching.run()
    assert "ending" in first.error()


def test_rows_beyond_the_batch_and_its_cache_wait_and_are_answered_too(llama: LocalModel):
    with running(llama, rows=3, cache_tokens=300) as batching:
        listeners = [
            ask(batching, llama, QUESTIONS[i % 2], n=2, seed=i, max_new_tokens=16, stop_ids=frozenset())
            for i in range(8)
        ]
        assert all(len(ids) == 16 for listener in listeners for ids in listener.replies(2))


def test_a_choice_that_nobody_waits_for_leaves(llama: LocalModel):
    with running(llama) as batching:
        listener, prompt = Listener(), tuple(llama.chat.prompt(Conversation.user(QUESTIONS[0])))
        generation = Generation(prompt, listener, max_new_tokens=1900, each=True)  # no stop token: it would go on
        batching.submit([generation])
        assert listener.has_begun.wait(timeout=30)
        generation.leavers.add(0)
        assert 0 < len(listener.replies(1)[0]) < 1900


def scoring(listener: Listener, place: int) -> Generation:
    return Generation(tuple(range(3, 9)), listener, place=place, scores_prompt=True)


def test_a_prompt_that_nobody_waits_for_is_not_read(llama: LocalModel, monkeypatch: pytest.MonkeyPatch):
    prompts, listener = [scoring(Listener(), 0), scoring(gone := Listener(), 1)], Listener()
    read = continuous_batching.prompt_logprobs

    def read_and_lose(*given: Any) -> Any:  # while the first is read, whoever waits for the second leaves
        prompts[1].leave()
        return read(*given)

    monkeypatch.setattr(continuous_batching, "prompt_logprobs", read_and_lose)
    with running(llama) as batching:
        batching.submit(prompts)
        batching.submit([scoring(listener, 2)])
        assert isinstance(event := listener.events.get(timeout=30), PromptRead)
        assert event.prompt == 2
    assert gone.events.empty()


def test_a_prompt_that_cannot_be_read_takes_no_other_with_it(llama: LocalModel, monkeypatch: pytest.MonkeyPatch):
    """Those that were admitted with it have left the line, and would be told nothing."""
    listeners, read = [Listener(), Listener()], continuous_batching.prompt_logprobs

    def read_the_second(*given: Any) -> Any:
        monkeypatch.setattr(continuous_batching, "prompt_logprobs", read)
        raise TypeError("a fault")

    monkeypatch.setattr(continuous_batching, "prompt_logprobs", read_the_second)
    with running(llama) as batching:
        batching.submit([scoring(listener, place) for place, listener in enumerate(listeners)])
        assert listeners[0].error() == "TypeError: a fault"
        assert isinstance(listeners[1].events.get(timeout=30), PromptRead)


def test_those_who_have_left_the_line_take_no_place_in_it(llama: LocalModel):
    batching = ContinuousBatching(llama, rows=4, cache_tokens=400, waiting=2)  # nobody runs it
    left = [Generation((5, 6), Listener(), max_new_tokens=4) for _ in range(2)]
    batching.submit(left)
    with pytest.raises(ServerFull, match="2 replies are waiting"):
        ask(batching, llama, QUESTIONS[1], max_new_tokens=8)
    for each in left:
        each.leave()
    ask(batching, llama, QUESTIONS[1], max_new_tokens=8)


@pytest.mark.parametrize(
    "text", ["Zażółć gęślą jaźń", "日本語 and 😀👍🏽 emoji", " leading  spaces\n\n\tend ", "plain"]
)
def test_text_comes_whole_however_the_tokens_cut_its_characters(text: str):
    chat = Chat(make_tokenizer())
    ids = chat.reply(text, end=False)
    growing = GrowingText(TokenText(chat))
    parts = [growing.add([token]) for token in ids]
    assert all("\ufffd" not in part for part in parts)
    assert "".join([*parts, growing.rest()]) == text
    assert b"".join(TokenText(chat).token(token)[1] for token in ids) == text.encode()


@pytest.mark.parametrize(
    ("stops", "expected"),
    [
        (["capital of"], "What is the "),
        (["of France", "is the"], "What "),  # whichever comes first in the text
        (["?\n\nHuman:"], "What is the capital of France?"),  # begun, and never whole: nothing is lost
        (["France?"], "What is the capital of "),
        ([""], "What is the capital of France?"),
        (["nowhere"], "What is the capital of France?"),
    ],
)
def test_a_stop_string_cuts_the_text_before_it_and_none_of_it_is_given_out(stops: list[str], expected: str):
    chat = Chat(make_tokenizer())
    growing = GrowingText(TokenText(chat), stops)
    parts = [growing.add([token]) for token in chat.reply(QUESTIONS[0], end=False)]
    assert "".join([*parts, growing.rest()]) == expected
    assert growing.stopped == (expected != QUESTIONS[0])
