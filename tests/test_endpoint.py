"""Does a client that speaks to a faulty server lose nothing, invent nothing and tell nothing it
should not?"""

from __future__ import annotations

import math
import time

import pytest
from chat_server import completion, last, server, top
from feedback_doubles import HONEST, options, pair

from alignwright.core.protocols import ChatModel, Policy, ShortAnswerer
from alignwright.core.records import Conversation
from alignwright.feedback.judge import JudgeVoter
from alignwright.model.endpoint import Endpoint, EndpointError
from alignwright.model.http_call import CallError, OpenCalls

SECRET = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)


def asks(n: int) -> list[Conversation]:
    return [Conversation.user(f"prompt {i}") for i in range(n)]


def test_replies_come_in_order_whatever_the_server_does_first():
    def answer(body, times):
        if last(body) == "prompt 0":
            time.sleep(0.1)
        return f"reply to {last(body)}"

    with server(answer) as (name, seen):
        endpoint = Endpoint(name, prices=(1.0, 2.0), backoff=0.01)
        got = endpoint.generate(asks(6), n=2, max_new_tokens=7, temperature=0.5, seed=3)
        again = [body["seed"] for body in seen]
        endpoint.generate(asks(6)[::-1], n=2, seed=3)
    assert [[reply.text for reply in replies] for replies in got] == [[f"reply to prompt {i}"] * 2 for i in range(6)]
    assert [replies[0].parent for replies in got] == [conversation.id for conversation in asks(6)]
    assert (got[0][0].speaker, got[0][0].tokens, got[0][0].finished) == (name, 5, True)
    assert {(body["model"], body["max_tokens"], body["temperature"]) for body in seen[:12]} == {("small", 7, 0.5)}
    assert len(set(again)) == 12  # every sample has its own seed, and it does not depend on the other prompts
    assert sorted(again) == sorted(body["seed"] for body in seen[12:])
    assert endpoint.cost == pytest.approx(24 * (10 * 1.0 + 5 * 2.0) / 1e6)
    assert isinstance(endpoint, ChatModel)
    assert isinstance(endpoint, ShortAnswerer)
    assert not isinstance(endpoint, Policy)


@pytest.mark.parametrize(
    "trouble",
    [
        (429, {"error": {"message": "slow down"}}),
        (503, "busy"),
        (200, '{"choices": [tru'),
        (200, "[]"),
        (200, {"choices": []}),
    ],
    ids=["429", "503", "malformed", "wrong type", "no choice"],
)
def test_what_may_pass_is_tried_again(trouble):
    with server(lambda body, times: trouble if times < 3 else "at last") as (name, seen):
        endpoint = Endpoint(name, backoff=0.001)
        assert endpoint.generate(asks(1))[0][0].text == "at last"
    assert len(seen) == endpoint.usage.requests == 3
    assert endpoint.usage.retries == 2


def test_a_slow_answer_times_out_and_is_tried_again():
    def answer(body, times):
        if times == 1:
            time.sleep(0.5)
        return "in time"

    with server(answer) as (name, seen):
        assert Endpoint(name, backoff=0.001, timeout=0.15).generate(asks(1))[0][0].text == "in time"
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("trouble", "why", "calls"),
    [
        ((400, {"error": {"message": "too long"}}), "too long", 1),
        ((500, "broken"), "HTTP 500 .Internal Server Error.: broken", 3),
        ((200, completion(None)), "holds no text", 1),
        ((200, completion("", reason="content_filter")), "content filter withheld", 1),
        ((200, "nonsense"), "no JSON: b'nonsense'", 3),
    ],
    ids=["400", "500", "no text", "withheld", "malformed"],
)
def test_no_reply_is_ever_invented(trouble, why, calls):
    def answer(body, times):
        return trouble if last(body) == "prompt 2" else "fine"

    said = rf"1 of 4 prompts got no answer; the first is prompt 2 .*{why}"
    with server(answer) as (name, seen), pytest.raises(EndpointError, match=said) as caught:
        Endpoint(name, backoff=0.001, retries=2).generate(asks(4))
    assert set(caught.value.failed) == {2}
    assert {number: reply.text for number, reply in caught.value.answers.items()} == {0: "fine", 1: "fine", 3: "fine"}
    assert sum(last(body) == "prompt 2" for body in seen) == calls


def test_an_empty_reply_and_a_cut_one_are_replies_and_say_what_they_are():
    with server(
        lambda body, times: (200, completion("") if last(body) == "prompt 0" else completion("cut", reason="length"))
    ) as (name, _):
        (empty,), (cut,) = Endpoint(name).generate(asks(2))
    assert (empty.text, empty.finished) == ("", True)
    assert (cut.text, cut.finished) == ("cut", False)


def test_a_server_that_refuses_the_key_is_not_asked_a_thousand_times_and_the_key_is_not_told(caplog):
    caplog.set_level("DEBUG")
    with server(lambda body, times: (401, {"error": {"message": f"Incorrect API key provided: {SECRET}"}})) as (
        name,
        seen,
    ):
        endpoint = Endpoint(name, concurrency=2)
        with pytest.raises(EndpointError, match=r"Incorrect API key provided: \[key\]") as caught:
            endpoint.generate(asks(50))
    assert len(seen) <= 2
    assert len(caught.value.failed) == 50
    assert seen[0]["key"] == f"Bearer {SECRET}"
    logged = [record.getMessage() for record in caplog.records]
    assert not [
        text for text in (repr(endpoint), str(caught.value), repr(caught.value.failed), *logged) if SECRET in text
    ]


def test_a_server_that_is_not_there_is_said_so():
    with server(lambda body, times: "x") as (name, _):
        pass
    with pytest.raises(EndpointError, match="it cannot be reached: connection refused; Is the server running"):
        Endpoint(name, retries=1, backoff=0.001).generate(asks(3))


@pytest.mark.parametrize(("answers", "calls"), [(0, 3), (1, 7)])
def test_a_server_that_never_answered_is_given_up_soon_and_one_that_did_is_waited_for(monkeypatch, answers, calls):
    real, seen = OpenCalls.post, []

    def post(self, *arguments, **options):
        seen.append(1)
        if len(seen) <= answers:
            return real(self, *arguments, **options)
        raise CallError("it cannot be reached: connection refused", unreachable=True)

    monkeypatch.setattr(OpenCalls, "post", post)
    with server(lambda body, times: "x") as (name, _), pytest.raises(EndpointError, match="cannot be reached"):
        Endpoint(name, retries=5, backoff=0.001, concurrency=1).generate(asks(2))
    assert len(seen) == calls


def test_cost_is_unknown_where_the_server_does_not_count():
    with server(lambda body, times: (200, completion("x", usage=None))) as (name, _):
        endpoint = Endpoint(name, prices=(1.0, 1.0))
        assert endpoint.cost == 0.0
        endpoint.generate(asks(1))
        assert endpoint.cost is None


@pytest.mark.parametrize(
    "name",
    [
        *(
            "localhost:8000/v1#m",
            "http://localhost:8000/v1",
            "http://localhost#",
            "http://h:99999/v1#m",
            "http:///v1#m",
            "http://h/ v1#m",
        ),
        *(
            "http://me:s3cret@host/v1#m",
            "http://host/v1?key=s3cret#m",
            "http://me:s3cret@host/v1?key=s3cret#m",
            "https://s3cret@host#m",
        ),
    ],
)
def test_a_name_that_is_none_is_refused_and_a_secret_in_it_not_repeated(name):
    with pytest.raises(ValueError, match="address") as caught:
        Endpoint(name)
    assert "s3cret" not in str(caught.value)


def test_the_judge_reads_log_probabilities_and_only_the_letter_where_there_are_none():
    def answer(body, times):
        a, b = options(last(body))
        if "mute" in (a, b):
            return "A" if a == "mute" else "B"
        if "vague" in (a, b):
            return "That is hard to say"
        p = 0.9 if a == "true" else 0.3
        return 200, completion(
            "A", logprobs=top("A", A=math.log(p * 0.75), B=math.log(1 - p), **{" A": math.log(p * 0.25)})
        )

    with server(answer) as (name, _):
        soft, hard, unread = JudgeVoter(Endpoint(name), (HONEST,))(
            [pair("true", "false"), pair("mute", "loud"), pair("vague", "x")]
        )
    assert soft[0].strength == pytest.approx((0.9 + 0.7) / 2)
    assert hard[0].strength == 1.0
    assert unread == ()


def test_a_server_that_refuses_log_probabilities_is_asked_in_words():
    def answer(body, times):
        return (400, {"error": {"message": "logprobs are not supported"}}) if "logprobs" in body else "A"

    with server(answer) as (name, _):
        assert Endpoint(name).choose(asks(2), ["A", "B"]) == [("A", None), ("A", None)]
