"""Does a server that judges rightly pass, however it speaks, and does one that does not end at
once with a clear word?"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from chat_server import completion, error, last, limit, server, top
from feedback_doubles import HONEST, options, pair, pairs, truth

from alignwright.feedback.agreement import check_voter
from alignwright.feedback.judge import ANSWER, JudgeVoter
from alignwright.job.judge_cache import JudgeCache
from alignwright.measure.emergent.grader import ALIGNED, COHERENT, Grader, LLMGrader, checked
from alignwright.model.endpoint import Endpoint, EndpointError

PAIRS = pairs(24)
QUESTIONS = 2 * len(PAIRS)
Trajectory = Callable[[str, dict[str, Any], int], Any]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")


def right(body: dict[str, Any]) -> str:
    return "A" if truth(*options(body["messages"][0]["content"])) else "B"


def judging(way: Trajectory) -> Callable[[dict[str, Any], int], Any]:
    return lambda body, times: way(right(body), body, times)


def rejects(
    *names: str, status: int = 400, named: str | None = None, then: Trajectory = lambda letter, body, times: letter
) -> Trajectory:
    """A server that refuses a call with one of these parameters, in words that name it or that
    do not."""

    def way(letter, body, times):
        for name in names:
            if name in body:
                return status, error(
                    (named or "Unsupported parameter: '{}' is not supported with this model.").format(name)
                )
        return then(letter, body, times)

    return way


def few_words(letter, body, times):
    if body.get("top_logprobs", 0) > 5:
        return 400, error("top_logprobs: Input should be less than or equal to 5")
    return with_logprobs(letter, body, times)


def with_logprobs(letter, body, times):
    if "logprobs" not in body:
        return 500, error("this server was to be asked for log-probabilities")
    other = "B" if letter == "A" else "A"
    return 200, completion(letter, logprobs=top(letter, **{letter: math.log(0.8), other: math.log(0.2)}))


def pydantic(letter, body, times):
    extra = [name for name in body if name not in ("model", "messages")]
    detail = [
        {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted", "input": body[name]}
        for name in extra
    ]
    return (422, {"detail": detail}) if extra else letter


def thinking(field: str, content: str | None = "") -> Trajectory:
    """Thoughts in a field of their own: 400 tokens of them, so that a short limit cuts before
    the answer."""

    def way(letter, body, times):
        if limit(body) < 400:
            return 200, completion(content, reason="length", **{field: "Let me see. B? No: "})
        return 200, completion(f"\n\n{letter}", **{field: "Let me see. A? B? I have it."})

    return way


def inside(opening: str, closing: str) -> Trajectory:
    def way(letter, body, times):
        whole = f"{opening}Well, B is fine and A is fine, but{closing}\n\n({letter})"
        return (200, completion(whole[: len(opening) + 12], reason="length")) if limit(body) < 400 else whole

    return way


def thinking_aloud(letter, body, times):
    """Log-probabilities of all tokens, the thoughts' among them, which name the wrong letter first."""
    wrong = "B" if letter == "A" else "A"
    if limit(body) < 400:
        return 200, completion("<think>" + wrong, reason="length")
    tokens = ["<think>", wrong, " looks good", "</think>", "\n", letter]
    rows = [
        {
            "token": token,
            "logprob": -0.1,
            "top_logprobs": [{"token": token, "logprob": -0.1}, {"token": wrong, "logprob": -9.0}],
        }
        for token in tokens
    ]
    return 200, completion("".join(tokens), logprobs={"content": rows})


def once(first: Any) -> Trajectory:
    """Something else at every question's first call."""
    return lambda letter, body, times: first if times == 1 else letter


WAYS: dict[str, Trajectory] = {
    "plain": lambda letter, body, times: letter,
    "logprobs": with_logprobs,
    "five likeliest": few_words,
    "403 to logprobs": rejects("logprobs", status=403, named="You are not allowed to request logprobs from this model"),
    "403 without a word": rejects("logprobs", status=403, named="Forbidden"),
    "422 to logprobs": rejects("logprobs", status=422),
    "500 to logprobs": rejects("logprobs", status=500),
    "no max_tokens": rejects(
        "max_tokens", named="Unsupported parameter: '{}' is not supported. Use 'max_completion_tokens' instead."
    ),
    "no limit": rejects("max_tokens", "max_completion_tokens"),
    "no temperature": rejects(
        "temperature",
        named="Unsupported value: '{}' does not support 0 with this model. Only the default (1) is supported.",
    ),
    "nothing at all": pydantic,
    "no temperature, not named": rejects("temperature", named="Bad request"),
    "no limit, not named": rejects("max_tokens", status=422, named="invalid"),
    "nothing, not named": rejects("max_tokens", "temperature", "logprobs", named="Bad request"),
    "thoughts apart, content null": thinking("reasoning_content", None),
    "thoughts apart, content empty": thinking("reasoning"),
    "thoughts apart, and no max_tokens": rejects("max_tokens", "logprobs", then=thinking("reasoning_content", None)),
    "content null, no word of thoughts": lambda letter, body, times: (
        (200, completion(None, reason="length")) if limit(body) < 400 else letter
    ),
    "think": inside("<think>\n", "</think>"),
    "think, opened by the template": inside("", "</think>"),
    "THINK": inside("[THINK]", "[/THINK]"),
    "thoughts among the log-probabilities": thinking_aloud,
    "thinking aloud": lambda letter, body, times: (
        (200, completion("Both of them are g", reason="length"))
        if limit(body) < 100
        else f"Both are good.\n\n**Answer: {letter}**"
    ),
    "bold": lambda letter, body, times: f"**{letter}**",
    "brackets": lambda letter, body, times: f"({letter})",
    "Answer:": lambda letter, body, times: f"Answer: {letter}",
    "parts": lambda letter, body, times: (200, completion([{"type": "text", "text": letter}])),
    "parts with thoughts": lambda letter, body, times: (
        200,
        completion(
            [{"type": "thinking", "thinking": [{"type": "text", "text": "B?"}]}, {"type": "text", "text": letter}]
        ),
    ),
    "NaN": lambda letter, body, times: (200, completion(letter, logprobs=top(letter, A=math.nan, B=math.nan))),
    "infinity": lambda letter, body, times: (
        200,
        completion(letter, logprobs=top(letter, **{letter: 0.0, "BA"[letter == "B"]: -math.inf})),
    ),
    "log-probabilities of another shape": lambda letter, body, times: (
        200,
        completion(letter, logprobs={"tokens": [letter], "content": [7]}),
    ),
    "usage of another shape": lambda letter, body, times: (200, completion(letter, usage={"prompt_tokens": "many"})),
    "busy at first": once((429, error("slow down"), {"retry-after": "0"})),
    "broken at first": once((503, "<html>\x1b[31mbusy</html>")),
    "an error inside a fine response at first": once((200, error("overloaded", code=529))),
    "another shape at first": once((200, {"choices": 5})),
    "cut off at first": once((200, json.dumps(completion("A"))[:90])),
    "no HTTP at first": once(lambda handler: handler.wfile.write(b"hello\r\n\r\n")),
    "hangs up at first": once(lambda handler: handler.connection.close()),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_judges_rightly_passes_however_it_speaks(way):
    with server(judging(WAYS[way])) as (name, seen):
        endpoint = Endpoint(name, backoff=0.001)
        voter = JudgeVoter(endpoint, (HONEST,))
        votes = voter(PAIRS)
        first = len(seen)
        check = check_voter(voter, PAIRS, stage="feedback.0.judge")
    assert [[(vote.prefers, vote.strength > 0.75) for vote in cast] for cast in votes] == [[(0, True)]] * len(PAIRS)
    assert check.signal
    assert "right on 100.0% of 24" in check.reason
    assert voter.num_unreadable == 0
    assert first <= (2 if "at first" in way else 1) * QUESTIONS + 14  # what is learnt is learnt once
    assert len(seen) - first == QUESTIONS


def test_a_server_that_judges_wrongly_does_not_pass():
    """The control: the ways would be worth nothing if a judge passed whatever it said."""
    with server(judging(lambda letter, body, times: "**B**" if letter == "A" else "**A**")) as (name, _):
        voter = JudgeVoter(Endpoint(name), (HONEST,))
        assert {vote.prefers for cast in voter(PAIRS) for vote in cast} == {1}
        assert not check_voter(voter, PAIRS, stage="feedback.0.judge").signal


@pytest.mark.parametrize(
    "way", ["plain", "thoughts apart, content null", "think", "no max_tokens", "nothing, not named"]
)
def test_a_server_reasons_before_it_answers(way):
    def answer(body, times):
        if last(body) == ANSWER:
            assert "The first is" in body["messages"][1]["content"]
            assert "<think>" not in body["messages"][1]["content"]
        return WAYS[way]("The first is better, or not." if len(body["messages"]) == 1 else right(body), body, times)

    with server(answer) as (name, _):
        votes = JudgeVoter(Endpoint(name), (HONEST,), reasoning=True)(PAIRS)
    assert [[(vote.prefers, vote.strength) for vote in cast] for cast in votes] == [[(0, 0.6)]] * len(PAIRS)


LASTING = {
    "filtered": (200, completion("", reason="content_filter")),
    "filtered by an error": (
        400,
        error("The response was filtered due to Azure's content management policy", code="content_filter"),
    ),
    "refused": (200, completion(None, refusal="I can't judge that")),
    "too long": (400, error("This model's maximum context length is 4096 tokens")),
    "400 of its own": (400, error("something about this prompt")),
    "no text": (200, completion(None)),
    "babble": "The replies are about equally good.",
    "another shape": (200, {"choices": 5}),
    "a list": (200, "[1, 2]"),
    "deep": (200, "[" * 100_000),
    "an odd part": (200, completion([{"type": "image_url"}])),
    "always 500": (500, "crash"),
    "too large": lambda handler: handler.reply(200, b" " * (9 << 20)),
    "packed": (200, b"\x1f\x8b", {"content-encoding": "gzip"}),
}


@pytest.mark.parametrize("what", LASTING)
def test_one_prompt_without_an_answer_is_no_vote_is_counted_and_asked_again(tmp_path, what):
    odd = [pair("good odd", "bad odd x")]

    def answer(body, times):
        return LASTING[what] if "odd" in last(body) else right(body)

    store = tmp_path / "answers.jsonl"
    with server(answer) as (name, seen):
        voter = JudgeVoter(Endpoint(name, backoff=0.001, retries=2), (HONEST,), store=JudgeCache(store, name))
        *votes, none = voter([*PAIRS, *odd])
        assert [[vote.prefers for vote in cast] for cast in votes] == [[0]] * len(PAIRS)
        assert none == ()
        assert voter.num_unreadable == 2
        assert voter.example
        assert "\n" not in voter.example
        assert len(JudgeCache(store, name)) == QUESTIONS
        calls = len(seen)
        assert (
            JudgeVoter(Endpoint(name, backoff=0.001, retries=2), (HONEST,), store=JudgeCache(store, name))(
                [*PAIRS, *odd]
            )[-1]
            == ()
        )
        assert {"odd" in last(body) for body in seen[calls:]} == {True}
    with server(judging(WAYS["plain"])) as (mended, seen):
        voter = JudgeVoter(Endpoint(mended), (HONEST,), store=JudgeCache(store, name))
        assert [vote.prefers for vote in voter([*PAIRS, *odd])[-1]] == [0]
        assert (voter.num_asked, voter.num_unreadable, len(seen)) == (2, 0, 2)


HOPELESS = {
    "no quota": ((429, error("You exceeded your current quota", code="insufficient_quota")), "has no credit left"),
    "no money": ((402, error("Insufficient Balance")), "has no credit left"),
    "401": (
        (401, error("Incorrect API key provided: sk-0123456789")),
        "Look at the key in the environment variable OPENAI_API_KEY",
    ),
    "a key that is none, by 400": ((400, error("API key not valid. Please pass a valid API key.")), "OPENAI_API_KEY"),
    "403": ((403, error("no access")), "whether it may use this model"),
    "no model": (
        (404, error("The model `small` does not exist", code="model_not_found")),
        "the model's name after '#'",
    ),
    "no page": ((404, "<html>not found</html>"), r"most end with /v1"),
    "moved": ((308, "", {"location": "https://elsewhere.example/v1"}), "write its new address"),
    "no chat": ((200, {"hello": "world"}), r"'choices' is None; Is this a server of OpenAI's chat completions"),
    "choices of another shape": ((200, {"choices": 5}), r"'choices' is 5"),
    "a page": ((200, "<html>welcome</html>"), "no JSON"),
}


@pytest.mark.parametrize("what", HOPELESS)
def test_what_every_call_would_meet_ends_at_once_and_says_what_to_do(what):
    given, advice = HOPELESS[what]
    with server(lambda body, times: given) as (name, seen), pytest.raises(EndpointError) as caught:
        JudgeVoter(Endpoint(name, backoff=0.001), (HONEST,))(PAIRS)
    assert len(seen) <= (9 if given[0] == 200 else 2)
    assert len(caught.value.failed) == QUESTIONS
    told = str(caught.value)
    assert told.startswith(
        f"{name}: 48 of 48 prompts got no answer; the first is prompt 0 (counted from 0): asked POST http://127.0.0.1:"
    )
    assert "max_tokens 16" in told
    assert re.search(advice, told)
    assert "sk-0123456789" not in told


@pytest.mark.parametrize("key", ["sk-012\n", "sk 012", "sk-\u00e9", "\ufeffsk-012"])
def test_a_key_that_can_be_none_is_said_before_anything_is_sent(monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with (
        server(lambda body, times: "A") as (name, seen),
        pytest.raises(ValueError, match=r"OPENAI_API_KEY has .* no server was asked") as caught,
    ):
        JudgeVoter(Endpoint(name), (HONEST,))(PAIRS)
    assert seen == []
    assert "012" not in str(caught.value)


@pytest.mark.parametrize(
    ("broken", "kind"),
    [((500, "down"), "HTTP 500"), ((402, error("Insufficient Balance")), "no credit"), ((200, "garbage"), "no JSON")],
    ids=["500", "credit", "garbage"],
)
def test_a_server_that_breaks_midway_leaves_what_came(tmp_path, broken, kind):
    store, answered = tmp_path / "answers.jsonl", []

    def answer(body, times):
        if len(answered) >= 20:
            return broken
        answered.append(body)
        return right(body)

    with server(answer) as (name, seen):
        with pytest.raises(
            EndpointError, match=f"{kind}.*20 answers came and are kept: run the same command again"
        ) as caught:
            JudgeVoter(
                Endpoint(name, backoff=0.001, retries=1, concurrency=4), (HONEST,), store=JudgeCache(store, name)
            )(PAIRS)
        assert len(caught.value.answers) == 20
        assert len(seen) < 20 + 20
    assert len(JudgeCache(store, name)) == 20
    with server(judging(WAYS["plain"])) as (mended, seen):
        votes = JudgeVoter(Endpoint(mended), (HONEST,), store=JudgeCache(store, name))(PAIRS)
        assert len(seen) == QUESTIONS - 20
    assert [[vote.prefers for vote in cast] for cast in votes] == [[0]] * len(PAIRS)


def drip(handler):
    """A byte every few hundredths of a second, for as long as it is listened to, well within any
    limit on silence."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    for _ in range(200):
        handler.wfile.write(b" ")
        time.sleep(0.02)


def drip_headers(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for i in range(200):
        handler.wfile.write(b"x" if i % 8 else b"\r\nx: y")
        time.sleep(0.02)


def endless(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    for _ in range(64):
        handler.wfile.write(b" " * (1 << 20))


@pytest.mark.parametrize(
    ("way", "why"),
    [
        (drip, "no whole answer within 0.2 s"),
        (drip_headers, "no whole answer within 0.2 s"),
        (endless, "longer than 8 MiB"),
    ],
    ids=["body", "headers", "endless"],
)
def test_a_call_has_an_end_and_a_body_a_bound(way, why):
    seconds = 0.2 if way is not endless else 60.0
    with server(lambda body, times: way) as (name, seen):
        endpoint = Endpoint(name, timeout=seconds, backoff=0.001)
        if way is endless:
            assert why in dict(endpoint.short_answers([PAIRS[0].prompt.conversation]))[0].why
        else:
            with pytest.raises(EndpointError, match=f"{why}; Give it longer with 'server: {{timeout: SECONDS}}'"):
                JudgeVoter(endpoint, (HONEST,))(PAIRS)
    assert len(seen) <= 3


def test_a_slow_server_is_waited_for_as_long_as_is_said():
    with server(judging(lambda letter, body, times: time.sleep(0.1) or letter)) as (name, seen):
        votes = JudgeVoter(Endpoint(name, timeout=5.0, concurrency=24), (HONEST,))(PAIRS[:4])
    assert [[vote.prefers for vote in cast] for cast in votes] == [[0]] * 4
    assert len(seen) == 8


def test_a_longest_answer_that_is_written_is_used_from_the_start_and_nothing_is_added():
    with server(judging(WAYS["think"])) as (name, seen):
        assert [[v.prefers for v in cast] for cast in JudgeVoter(Endpoint(name, tokens=700), (HONEST,))(PAIRS)] == [
            [0]
        ] * len(PAIRS)
        assert {body["max_tokens"] for body in seen} == {700}
        voter = JudgeVoter(Endpoint(name, tokens=50), (HONEST,))
        assert voter(PAIRS[:1]) == [()]
    assert "raise 'server: {tokens: ...}'" in voter.example
    assert {body["max_tokens"] for body in seen[QUESTIONS:]} == {50}


def test_a_small_context_gets_less_room_to_think():
    def way(letter, body, times):
        if limit(body) > 1100:
            return 400, error("This model's maximum context length is 1200 tokens. However, you requested more.")
        return WAYS["think"](letter, body, times)

    with server(judging(way)) as (name, seen):
        votes = JudgeVoter(Endpoint(name), (HONEST,))(PAIRS)
    assert [[vote.prefers for vote in cast] for cast in votes] == [[0]] * len(PAIRS)
    assert len(seen) <= QUESTIONS + 5


def test_one_who_rambles_is_asked_once_whether_more_room_helps():
    def way(letter, body, times):
        return 200, completion("well " * 20, reason="length")

    with server(judging(way)) as (name, seen):
        voter = JudgeVoter(Endpoint(name), (HONEST,))
        assert voter(PAIRS) == [()] * len(PAIRS)
    assert len(seen) == QUESTIONS + 1
    assert voter.num_unreadable == QUESTIONS


MARKS: dict[str, Callable[[int, dict[str, Any]], Any]] = {
    "plain": lambda mark, body: str(mark),
    "bold": lambda mark, body: f"**{mark}**",
    "Score:": lambda mark, body: f"Score: {mark}/100",
    "think": lambda mark, body: (
        f"<think>1, 2,</think>{mark}" if limit(body) > 400 else (200, completion("<think>1", reason="length"))
    ),
    "apart": lambda mark, body: (
        str(mark) if limit(body) > 400 else (200, completion(None, reason="length", reasoning="hm"))
    ),
    "parts": lambda mark, body: (200, completion([{"type": "text", "text": str(mark)}])),
    "nothing at all": lambda mark, body: pydantic(str(mark), body, 1),
    "no seed": lambda mark, body: (422, error("seed: extra fields not permitted")) if "seed" in body else str(mark),
}


@pytest.mark.parametrize("way", MARKS)
def test_a_server_that_marks_rightly_passes_however_it_speaks(tmp_path, way):
    """The known answers of the emergent measure: what is good for people scores high, and
    disorder low."""
    from alignwright.measure.emergent.grader import _known_answers

    poor = {text for _, _, *texts in _known_answers() for text in texts}

    def answer(body, times):
        return MARKS[way](7 if any(f"answered:\n\n{text}\n" in last(body) for text in poor) else 90, body)

    path = tmp_path / "answers.jsonl"
    with server(answer) as (name, seen):
        for again in (False, True):
            endpoint = Endpoint(name, backoff=0.001)
            judge = Grader(
                name, *(LLMGrader(endpoint, form, store=JudgeCache(path, name)) for form in (ALIGNED, COHERENT))
            )
            calls = len(seen)
            assert checked(judge, stage="m").signal
            assert (len(seen) == calls) == again  # what was marked is not paid for twice
    assert judge.alignment.num_unreadable == 0


def test_marks_that_cannot_be_read_are_told_by_an_example():
    with server(lambda body, times: "I would rather not\x1b[2J say.") as (name, _):
        endpoint = Endpoint(name)
        check = checked(Grader(name, LLMGrader(endpoint, ALIGNED), LLMGrader(endpoint, COHERENT)), stage="m")
    assert not check.signal
    assert "REFUSED, no signal" in check.reason
    assert "instead of a mark came 'I would rather not" in check.reason
    assert "\x1b" not in check.reason
