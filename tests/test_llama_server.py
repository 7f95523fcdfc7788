"""What does llama.cpp's own server do that one would not expect of an OpenAI-compatible one? The
facts that our client is built on, each asked of the real thing: a test that fails here means that
the client's reason has gone."""

from __future__ import annotations

import math
from typing import Any

import pytest
from llama_server import ask, llama_server

pytestmark = pytest.mark.model
__all__ = ["llama_server"]
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
GREEDY = {"temperature": 0, "messages": QUESTION}


def chat(server: str, **body: Any) -> dict[str, Any]:
    status, answer = ask(f"{server}/chat/completions", {**GREEDY, **body})
    assert status == 200, answer
    return answer


def content(answer: dict[str, Any]) -> str:
    return answer["choices"][0]["message"]["content"]


def first(answer: dict[str, Any]) -> dict[str, Any]:
    return answer["choices"][0]["logprobs"]["content"][0]


def test_a_final_assistant_message_is_continued_and_its_words_stand_in_the_content(llama_server: str):
    given = "The capital of France is"
    answer = chat(llama_server, messages=[*QUESTION, {"role": "assistant", "content": given}], max_tokens=4)
    assert content(answer).startswith(given)
    assert len(content(answer)) > len(given)
    assert answer["usage"]["completion_tokens"] <= 4  # the given words are no completion tokens all the same
    assert not content(chat(llama_server, max_tokens=4)).startswith(given)  # nor what it would have said anyway


def test_of_n_choices_the_usage_counts_one(llama_server: str):
    answer = chat(llama_server, max_tokens=6, n=3, temperature=1.0, seed=1, ignore_eos=True)
    assert [choice["finish_reason"] for choice in answer["choices"]] == ["length"] * 3  # 6 tokens each
    assert answer["usage"]["completion_tokens"] == 6


def test_echo_is_ignored_without_an_error(llama_server: str):
    body = {"prompt": "The capital of France is", "max_tokens": 2, "echo": True, "logprobs": 1, "temperature": 0}
    status, answer = ask(f"{llama_server}/completions", body)
    assert status == 200
    choice = answer["choices"][0]
    assert "capital" not in choice["text"]
    assert len(choice["logprobs"]["content"]) == 2  # those it wrote, none of the prompt's
    assert "token_logprobs" not in choice["logprobs"]  # nor the shape that OpenAI's completions have


@pytest.mark.parametrize("body", [{"messages": QUESTION}, {"prompt": "The capital of France is"}], ids=["chat", "text"])
def test_at_no_tokens_it_writes_one(llama_server: str, body: dict[str, Any]):
    path = "chat/completions" if "messages" in body else "completions"
    status, answer = ask(f"{llama_server}/{path}", {**body, "max_tokens": 0, "temperature": 0})
    assert status == 200
    assert answer["usage"]["completion_tokens"] == 1
    assert answer["choices"][0]["text"] if "prompt" in body else content(answer)


def test_logprobs_are_those_before_temperature_and_bias(llama_server: str):
    asked = {"max_tokens": 1, "logprobs": True, "top_logprobs": 5}
    plain = first(chat(llama_server, **asked))
    for change in ({"temperature": 0.2, "seed": 1}, {"temperature": 3.0, "seed": 1}):
        for mine, theirs in zip(
            first(chat(llama_server, **asked, **change))["top_logprobs"], plain["top_logprobs"], strict=True
        ):
            assert mine["id"] == theirs["id"]
            assert math.isclose(mine["logprob"], theirs["logprob"], abs_tol=0.02)
    barred = chat(llama_server, **asked, logit_bias={str(plain["id"]): -100})
    assert content(barred) != plain["token"]  # the bias works
    assert first(barred)["top_logprobs"][0]["id"] == plain["id"]  # and what it barred is still the likeliest
    assert math.isclose(first(barred)["top_logprobs"][0]["logprob"], plain["logprob"], abs_tol=0.02)


def test_a_prompt_that_is_too_long_is_refused_with_both_numbers(llama_server: str):
    status, answer = ask(
        f"{llama_server}/chat/completions", {"messages": [{"role": "user", "content": "word " * 800}], "max_tokens": 1}
    )
    assert status == 400
    assert answer["error"]["type"] == "exceed_context_size_error"
    assert answer["error"]["n_prompt_tokens"] > 800 > answer["error"]["n_ctx"]
