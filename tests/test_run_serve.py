"""Does the server say what the model says, to the real OpenAI client; does it refuse what it cannot
do and name it; and does nothing that a client sends, or leaves unsent, end it?"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
from tiny import make_tiny

from alignwright.core.records import Conversation
from alignwright.model.endpoint import Endpoint
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.sampling import sample
from alignwright.run.serve import ServeOptions, _until_a_signal, greeting, serve, serving
from alignwright.run.serve_http import LARGEST_BODY, ModelServer, check_address
from alignwright.run.serve_model import ServedModel

QUESTION = "What is the capital of France?"
MESSAGES: Any = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("serve") / "tiny")


@pytest.fixture(scope="module")
def policy(folder: Path) -> LocalModel:
    return load(folder)


@pytest.fixture(scope="module")
def server(policy: LocalModel) -> Generator[ModelServer]:
    with serving(policy, ServeOptions(port=0, name="small", cache_tokens=8192)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def client(server: ModelServer) -> Generator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.address, api_key="none", max_retries=0, timeout=30) as client:
        yield client


def chat(client: openai.OpenAI, **more: Any) -> Any:
    return client.chat.completions.create(**({"model": "small", "messages": MESSAGES, "max_tokens": 16} | more))


# ---- what it says ---------------------------------------------------------------------------------
def test_the_client_finds_the_model(client: openai.OpenAI):
    assert [model.id for model in client.models.list()] == ["small"]
    assert client.models.retrieve("small").owned_by == "alignwright"


def test_a_chat_with_a_seed_is_what_the_model_generates_and_usage_counts_every_choice(
    client: openai.OpenAI, policy: LocalModel
):
    answer = chat(client, n=3, seed=11, temperature=1.2)
    (own,) = policy.generate([Conversation.user(QUESTION)], n=3, max_new_tokens=16, temperature=1.2, seed=11)
    assert [choice.message.content for choice in answer.choices] == [reply.text for reply in own]
    assert [choice.finish_reason for choice in answer.choices] == ["stop" if r.finished else "length" for r in own]
    assert answer.usage.completion_tokens == sum(reply.tokens or 0 for reply in own)
    assert answer.usage.prompt_tokens == len(policy.chat.prompt(Conversation.user(QUESTION)))
    assert chat(client, n=3, seed=11, temperature=1.2).choices == answer.choices
    assert chat(client, n=3, seed=12, temperature=1.2).choices != answer.choices
    assert chat(client).choices != chat(client).choices  # without a seed each request has its own


def test_many_at_once_say_what_each_says_alone(client: openai.OpenAI):
    questions = [f"{QUESTION} {'yes, no ' * i}" for i in range(12)]

    def one(place: int) -> str:
        asked: Any = [{"role": "user", "content": questions[place]}]
        return chat(client, messages=asked, seed=place, max_tokens=24).choices[0].message.content

    alone = [one(place) for place in range(12)]
    together: dict[int, str] = {}
    threads = [threading.Thread(target=lambda p=place: together.update({p: one(p)})) for place in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[place] for place in range(12)] == alone


@torch.inference_mode()
def test_logprobs_are_the_models_own_at_temperature_1(client: openai.OpenAI, policy: LocalModel):
    answer = chat(client, seed=3, temperature=1.7, logprobs=True, top_logprobs=2, max_tokens=6)
    tokens = answer.choices[0].logprobs.content
    prompt = policy.chat.prompt(Conversation.user(QUESTION))
    (own,) = policy.generate([Conversation.user(QUESTION)], max_new_tokens=6, temperature=1.7, seed=3)
    assert sum(token.logprob for token in tokens) == pytest.approx(own[0].logprob, abs=1e-3)
    assert b"".join(bytes(token.bytes) for token in tokens).decode("utf-8", "replace") == own[0].text
    first_V = policy.model(torch.tensor([prompt])).logits[0, -1].log_softmax(-1)
    assert [top.logprob for top in tokens[0].top_logprobs] == pytest.approx(first_V.topk(2).values.tolist(), abs=1e-4)
    assert chat(client, seed=3).choices[0].logprobs is None


def test_a_stream_gives_the_same_text_and_the_count_at_its_end(client: openai.OpenAI):
    whole = chat(client, seed=5, n=2, max_tokens=24, logprobs=True)
    parts = list(
        chat(client, seed=5, n=2, max_tokens=24, logprobs=True, stream=True, stream_options={"include_usage": True})
    )
    assert len(parts) > 10
    for place in range(2):
        own = [part.choices[0] for part in parts if part.choices and part.choices[0].index == place]
        assert own[0].delta.role == "assistant"
        assert "".join(part.delta.content or "" for part in own) == whole.choices[place].message.content
        assert [part.finish_reason for part in own if part.finish_reason] == [whole.choices[place].finish_reason]
        tokens = [token for part in own if part.logprobs for token in part.logprobs.content]
        assert [token.token for token in tokens] == [t.token for t in whole.choices[place].logprobs.content]
    assert parts[-1].choices == []
    assert parts[-1].usage == whole.usage
    assert all(part.usage is None for part in chat(client, seed=5, max_tokens=4, stream=True))


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_string_ends_the_text_before_it(client: openai.OpenAI, stream: bool):
    text = chat(client, seed=7, max_tokens=40).choices[0].message.content
    windows = (text[place : place + 3] for place in range(4, len(text) - 3))
    stop = next(window for window in windows if window.isascii() and window.isprintable())
    expected = text[: text.index(stop)]
    if stream:
        parts = list(chat(client, seed=7, max_tokens=40, stop=[stop, "never said"], stream=True, logprobs=True))
        assert "".join(part.choices[0].delta.content or "" for part in parts) == expected
        assert parts[-1].choices[0].finish_reason == "stop"
        return
    answer = chat(client, seed=7, max_tokens=40, stop=[stop, "never said"], logprobs=True)
    assert answer.choices[0].message.content == expected
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens < 40  # it was not written to its end
    written = "".join(token.token for token in answer.choices[0].logprobs.content)
    assert written.startswith(expected)
    assert len(written) < len(expected) + 8


def test_a_final_assistant_message_is_continued_and_not_repeated(client: openai.OpenAI, policy: LocalModel):
    given = "The capital of France is"
    answer = chat(client, messages=[*MESSAGES, {"role": "assistant", "content": given}], temperature=0)
    ids = policy.chat.prompt(Conversation.user(QUESTION), given)
    expected = policy.chat.decode(greedy(policy, ids, 16))
    assert answer.choices[0].message.content == expected
    assert answer.usage.prompt_tokens == len(ids)


def test_only_the_likeliest_of_a_small_nucleus_are_drawn(client: openai.OpenAI):
    likeliest = chat(client, temperature=0).choices[0].message.content
    assert chat(client, temperature=5, top_p=1e-9, seed=1).choices[0].message.content == likeliest
    assert chat(client, temperature=5, seed=1).choices[0].message.content != likeliest


@torch.inference_mode()
def test_a_given_text_is_scored_as_evaluation_harnesses_ask_for_it(client: openai.OpenAI, policy: LocalModel):
    """`echo` with `logprobs`, as text and as token ids, without a token of its own and with one."""
    text = "the capital of France is what?"
    ids = list(policy.chat.text(text).replies[0])
    own = policy.text_logprobs([text])[0]
    answer = client.completions.create(model="small", prompt=text, echo=True, logprobs=1, max_tokens=0)
    scores = answer.choices[0].logprobs
    assert answer.choices[0].text == text
    assert sum(scores.token_logprobs) == pytest.approx(own.total, abs=1e-3)
    assert [text[place:].startswith(token) for place, token in zip(scores.text_offset, scores.tokens, strict=True)]
    assert answer.usage.completion_tokens == 0
    two = client.completions.create(
        model="small", prompt=[ids, ids[:5]], echo=True, logprobs=1, max_tokens=1, temperature=0
    )
    logits_TV = policy.model(torch.tensor([ids])).logits[0].log_softmax(-1)
    expected = logits_TV[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()
    scores = two.choices[0].logprobs
    assert scores.token_logprobs[0] is None
    assert scores.token_logprobs[1:-1] == pytest.approx(expected, abs=1e-3)
    assert [max(top.values()) for top in scores.top_logprobs[1:-1]] == pytest.approx(
        logits_TV[:-1].amax(1).tolist(), abs=1e-3
    )
    assert len(two.choices[1].logprobs.tokens) == 6
    assert two.choices[1].text.startswith(policy.chat.decode(ids[:5]))


def test_parts_of_text_and_the_developers_role_are_read(client: openai.OpenAI):
    parts: Any = [{"type": "text", "text": QUESTION[:10]}, {"type": "text", "text": QUESTION[10:]}]
    split = chat(
        client, messages=[{"role": "developer", "content": "Be kind."}, {"role": "user", "content": parts}], seed=1
    )
    plain = chat(client, messages=[{"role": "system", "content": "Be kind."}, *MESSAGES], seed=1)
    assert split.choices == plain.choices


def test_our_own_client_takes_it_for_a_server_and_counts_the_same(server: ModelServer):
    endpoint = Endpoint(f"{server.address}#small")
    conversation = Conversation.user(QUESTION)
    ((first, second),) = endpoint.generate([conversation], n=2, max_new_tokens=10, seed=4)
    assert first.text != second.text
    assert endpoint.usage.completion_tokens == (first.tokens or 0) + (second.tokens or 0)
    assert endpoint.generate([conversation], n=2, max_new_tokens=10, seed=4)[0][0].text == first.text


# ---- what it refuses ------------------------------------------------------------------------------
BAD: list[tuple[dict[str, Any], str]] = [
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"top_p": 1.5}, "top_p"),
    ({"n": 0}, "n"),
    ({"n": 129}, "n"),
    ({"n": True}, "n"),
    ({"n": 65}, "n"),  # more than the batch has rows
    ({"n": 8, "max_tokens": 1900}, "n"),  # more than the cache holds
    ({"seed": -1}, "seed"),
    ({"seed": 1.5}, "seed"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": None, "max_completion_tokens": "many"}, "max_completion_tokens"),
    ({"stop": 5}, "stop"),
    ({"stop": ["x"] * 17}, "stop"),
    ({"logprobs": 3}, "logprobs"),
    ({"top_logprobs": 3}, "top_logprobs"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"frequency_penalty": 0.5}, "frequency_penalty"),
    ({"logit_bias": {"5": 1}}, "logit_bias"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"extra_body": {"top_k": 5}}, "top_k"),
    ({"extra_body": {"stream_options": 5}}, "stream_options"),
    ({"extra_body": {"no_such_field": 1}}, "no_such_field"),
    ({"messages": []}, "messages"),
    ({"messages": "hello"}, "messages"),
    ({"messages": [{"role": "assistant", "content": "alone"}]}, "messages"),
    ({"messages": [5]}, "messages[0]"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": "x", "name": "Bob"}]}, "messages[0]"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "param"), BAD, ids=[f"{i}-{param}" for i, (_, param) in enumerate(BAD)])
def test_what_it_cannot_do_is_a_400_that_names_the_field(client: openai.OpenAI, change: dict[str, Any], param: str):
    with pytest.raises(openai.BadRequestError) as error:
        chat(client, **change)
    assert error.value.param == param
    assert error.value.type == "invalid_request_error"


def test_what_means_off_is_no_error(client: openai.OpenAI):
    off: Any = {
        "frequency_penalty": 0, "presence_penalty": 0.0, "top_p": 1, "logit_bias": {}, "tools": [], "stop": None,
        "tool_choice": "none", "response_format": {"type": "text"}, "user": "me", "metadata": {"a": "b"},
        "store": False,
    }  # fmt: skip
    assert chat(client, seed=2, **off).choices == chat(client, seed=2).choices


def test_another_model_and_a_conversation_beyond_the_context_have_openais_codes(client: openai.OpenAI):
    with pytest.raises(openai.NotFoundError) as error:
        chat(client, model="large")
    assert error.value.code == "model_not_found"
    for change in ({"max_tokens": 3000}, {"messages": [{"role": "user", "content": "long " * 2048}]}):
        with pytest.raises(openai.BadRequestError) as too_long:
            chat(client, **change)
        assert too_long.value.code == "context_length_exceeded"
        assert "2048 tokens" in str(too_long.value)


def test_a_base_model_completes_text_and_says_that_it_cannot_chat(tmp_path: Path):
    base = load(make_tiny(tmp_path / "base", template=None))
    with serving(base, ServeOptions(port=0)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with openai.OpenAI(base_url=server.address, api_key="none", max_retries=0, timeout=30) as client:
                with pytest.raises(openai.BadRequestError, match="no chat template"):
                    chat(client, model=base.name)
                text = client.completions.create(model=base.name, prompt=QUESTION, max_tokens=5, temperature=0)
        finally:
            server.shutdown()
            thread.join()
    ids = base.chat.text(QUESTION)
    assert text.choices[0].text == base.chat.decode(greedy(base, [*ids.prompt, *ids.replies[0]], 5))


# ---- what ends nothing ----------------------------------------------------------------------------
def raw(server: ModelServer, data: bytes) -> tuple[int, Any]:
    """The status and the JSON of what the server says to these bytes."""
    with socket.create_connection(server.server_address[:2], timeout=20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, json.loads(response.read())


def post(body: bytes, path: str = "/v1/chat/completions", headers: str = "host: localhost\r\n") -> bytes:
    return f"POST {path} HTTP/1.1\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body


LONG = b'{"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4, "seed": %s}' % (b"9" * 4000)
HOSTILE: list[tuple[bytes, int]] = [
    (post(b"not json"), 400),
    (post(b"\xff\xfe"), 400),
    (post(b"[" * 100_000), 400),
    (post(b"[]"), 400),
    (post(b'{"temperature": NaN, "messages": []}'), 400),
    (post(LONG), 400),
    (post(rb'{"messages": [{"role": "user", "content": "\ud800"}]}'), 400),
    (post(b'{"prompt": [5, 99999999]}', "/v1/completions"), 400),
    (post(b'{"prompt": [-1]}', "/v1/completions"), 400),
    (post(b'{"prompt": [[1], "x"]}', "/v1/completions"), 400),
    (post(b'{"prompt": "x", "max_tokens": 0}', "/v1/completions"), 400),
    (post(b'{"prompt": "x", "echo": true, "stream": true}', "/v1/completions"), 400),
    (post(b"{}", "/v1/embeddings"), 404),
    (post(b"{}", "/v1/../../etc/passwd"), 404),
    (b"GET /v1/nothing HTTP/1.1\r\nhost: localhost\r\n\r\n", 404),
    (b"DELETE /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n", 501),
    (b"GET /v1/models HTTP/9.9\r\nhost: localhost\r\n\r\n", 505),
    (b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n\r\n", 411),
    (b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 411),
    (b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: -5\r\n\r\n", 411),
    (b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % (LARGEST_BODY + 1), 413),
    (post(b"{}", headers="host: evil.example\r\n"), 403),
    (b"GET /v1/models HTTP/1.1\r\nhost: evil.example:80\r\n\r\n", 403),
]


@pytest.mark.parametrize(("data", "status"), HOSTILE, ids=[f"{i}-{s}" for i, (_, s) in enumerate(HOSTILE)])
def test_hostile_bytes_are_refused_in_openais_form_and_the_next_is_answered(
    server: ModelServer, client: openai.OpenAI, data: bytes, status: int
):
    seen, body = raw(server, data)
    assert seen == status
    assert isinstance(body["error"]["message"], str)
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert chat(client, max_tokens=2).choices


def test_hosts_of_this_machine_are_served(server: ModelServer):
    for host in ("localhost", "127.0.0.1:80", "[::1]:80", "LOCALHOST"):
        status, body = raw(server, f"GET /health HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
        assert (status, body) == (200, {"status": "ok"})


def test_a_model_that_fails_is_a_500_and_the_server_goes_on(
    server: ModelServer, client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def broken(*_: Any) -> None:
        raise ArithmeticError("a fault \x1b[31mof ours")

    with monkeypatch.context() as patch:
        patch.setattr(ServedModel, "begin", broken)
        with pytest.raises(openai.InternalServerError, match="a fault"):
            chat(client)
    assert "\x1b" not in capsys.readouterr().err
    assert chat(client, max_tokens=2).choices


# ---- the command ----------------------------------------------------------------------------------
@contextmanager
def command(*words: str, before: str = "") -> Generator[subprocess.Popen[str]]:
    """`alignwright serve` as a process, `before` run in it first."""
    code, pipe = f"{before}\nfrom alignwright.cli import main; main()", subprocess.PIPE
    words = (sys.executable, "-c", code, "serve", *words, "--port", "0")
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, env={**os.environ}) as process:
        try:
            yield process
        finally:
            process.kill()


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().split(" at ")[1].split(" ")[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_a_runs_model_under_its_name_until_it_is_interrupted(
    tmp_path: Path, folder: Path, number: signal.Signals
):
    (tmp_path / "my-run").mkdir()
    (tmp_path / "my-run" / "model").symlink_to(folder)
    with command(str(tmp_path / "my-run")) as process:
        with openai.OpenAI(base_url=address_of(process), api_key="none", max_retries=0, timeout=30) as client:
            assert [model.id for model in client.models.list()] == ["my-run"]
            assert chat(client, model="my-run", max_tokens=2).choices
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 0
        assert error.endswith("stopped\n")


SWALLOWED = """
import os, signal
from alignwright.run.serve_http import ModelServer
plain, sent = ModelServer.service_actions, []
def actions(server):
    plain(server)
    if not sent:
        sent.append(True)
        try:
            os.kill(os.getpid(), signal.SIGINT)
            sum(range(1000))
        except BaseException:
            pass
ModelServer.service_actions = actions
"""


def test_an_interrupt_ends_the_server_where_an_exception_would_have_been_swallowed(folder: Path):
    with command(str(folder), before=SWALLOWED) as process:
        address_of(process)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 0
        assert error.endswith("stopped\n")


def test_a_second_interrupt_ends_a_server_that_does_not_come_to_its_end(folder: Path):
    stuck = "from alignwright.model.continuous_batching import ContinuousBatching as C; C.end = lambda self: None"
    with command(str(folder), before=stuck) as process:
        address_of(process)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "stopping" in process.stderr.readline()
        with pytest.raises(subprocess.TimeoutExpired):  # the control: the model's thread never ends
            process.wait(timeout=0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == -signal.SIGINT


def test_who_serves_in_a_program_has_its_own_handlers_back(server: ModelServer):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with _until_a_signal(server):
        during = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert during != before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def greedy(policy: LocalModel, ids: list[int], count: int) -> list[int]:
    return sample(policy, [ids], n=1, max_new_tokens=count, temperature=0, seed=0)[0][0].ids


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_an_address_that_cannot_be_had_is_said_before_a_model_is_loaded(host: str, server: ModelServer, tmp_path: Path):
    """No model lies in the folder, and it is not what the error is about."""
    port = server.server_address[1]
    with pytest.raises(ValueError, match=f"nothing can listen at {host} port {port}.*--port"):
        serve(str(tmp_path), ServeOptions(host=host, port=port))
    check_address("127.0.0.1", 0)


def test_the_greeting_of_a_base_model_asks_for_a_completion(tmp_path: Path, server: ModelServer):
    with serving(load(make_tiny(tmp_path / "base", template=None)), ServeOptions(port=0)) as base:
        assert "/v1/completions" in greeting(base)
    assert "/v1/chat/completions" in greeting(server)
