"""Is the place of a client that goes away free again, whenever it goes, and is nobody else's reply
another one for it?"""

from __future__ import annotations

import http.client
import json
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pytest
import torch
from tiny import make_tiny

from alignwright.core.records import Conversation
from alignwright.model.generation import Generation
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.run import serve_model
from alignwright.run.serve import ServeOptions, serving
from alignwright.run.serve_http import ModelServer

LONG = 1900  # tokens: no reply comes to its end before it is seen that nobody waits for it


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(make_tiny(tmp_path_factory.mktemp("leaving") / "tiny"))


@pytest.fixture(params=["fresh", "asked"])
def server(
    policy: LocalModel, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Generator[ModelServer]:
    """One that nobody has asked anything, and one that has answered others, on a connection that stays."""
    with listening(policy, monkeypatch) as server:
        if request.param == "fresh":
            yield server
            return
        with closing(http.client.HTTPConnection(*server.server_address[:2], timeout=20)) as kept:
            for stream in (False, True, False):
                kept.request("POST", "/v1/chat/completions", body(4, stream=stream))
                assert kept.getresponse().read()
            yield server


@contextmanager
def listening(policy: LocalModel, monkeypatch: pytest.MonkeyPatch, rows: int = 64) -> Generator[ModelServer]:
    """A server that draws slowly and looks often whether its clients are there."""
    monkeypatch.setattr(serve_model, "_PATIENCE", 0.05)
    with serving(policy, ServeOptions(port=0, rows=rows, cache_tokens=8192)) as server:
        batching, draw = server.model.batching, server.model.batching._draw

        def draw_slowly(batch: Any) -> torch.Tensor:
            time.sleep(0.002)
            return draw(batch)

        monkeypatch.setattr(batching, "_draw", draw_slowly)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def body(count: int, **more: Any) -> bytes:
    messages = [{"role": "user", "content": "hi"}]
    return json.dumps({"messages": messages, "max_tokens": count, "ignore_eos": True, "seed": 1, **more}).encode()


def post(data: bytes) -> bytes:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(data)}\r\n\r\n"
    return head.encode() + data


def connect(server: ModelServer, *data: bytes) -> socket.socket:
    connection = socket.create_connection(server.server_address[:2], timeout=20)
    connection.sendall(b"".join(data))
    return connection


def reset(connection: socket.socket) -> None:
    """Leave as a client that is killed leaves: at once, whatever lies unread."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def reply(connection: socket.socket) -> tuple[int, Any]:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, json.loads(response.read())


def text(connection: socket.socket) -> str:
    status, answer = reply(connection)
    assert status == 200, answer
    return answer["choices"][0]["message"]["content"]


def wait(is_so: Callable[[], Any]) -> Any:
    end = time.monotonic() + 60
    while not (value := is_so()):
        assert time.monotonic() < end
        time.sleep(0.001)
    return value


def rows(server: ModelServer) -> list[Any]:
    return [row for batch in list(server.model.batching._batches) for row in batch.rows]


def assert_left(server: ModelServer, row: Any) -> None:
    """The row ends before its reply does: nobody else is told of it."""
    wait(lambda: row.done and row not in rows(server))
    assert row.generation.is_left
    assert 0 < row.count < LONG


WAYS: dict[str, dict[str, Any]] = {
    "stream": {"stream": True},
    "whole": {"stream": False},
    "whole that ends at a word": {"stop": "never said"},
    "several choices": {"n": 2},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("leave", [socket.socket.close, reset])
def test_in_the_middle_of_a_reply(server: ModelServer, way: str, leave: Callable[[socket.socket], None]):
    connection = connect(server, post(body(LONG, **WAYS[way])))
    row = wait(lambda: rows(server))[-1]
    wait(lambda: row.count > 2)
    leave(connection)
    assert_left(server, row)
    with connect(server, post(body(3))) as other:
        assert text(other)


def test_in_the_middle_of_a_stream_whose_text_does_not_come(server: ModelServer, monkeypatch: pytest.MonkeyPatch):
    """The bytes of a character that is never finished: nothing is written that could fail."""
    monkeypatch.setattr(server.model.texts, "decode", lambda ids: "\ufffd")
    connection = connect(server, post(body(LONG, stream=True)))
    row = wait(lambda: rows(server))[-1]
    connection.close()
    assert_left(server, row)


@pytest.mark.parametrize("stream", [True, False])
def test_before_the_first_byte_of_the_answer(server: ModelServer, stream: bool, monkeypatch: pytest.MonkeyPatch):
    """What writes the head of a stream fails, and the pieces of its text were never begun."""
    batching, submit = server.model.batching, server.model.batching.submit
    connections: list[socket.socket] = []
    begun: list[Any] = []

    def submit_and_lose(generations: Sequence[Generation]) -> None:
        submit(generations)
        wait(lambda: connections)
        begun.extend(wait(lambda: rows(server)))
        reset(connections.pop())

    monkeypatch.setattr(batching, "submit", submit_and_lose)
    connections.append(connect(server, post(body(LONG, stream=stream))))
    assert_left(server, wait(lambda: begun)[-1])


def test_on_a_connection_that_has_had_an_answer(server: ModelServer):
    with connect(server, post(body(3))) as connection:
        assert text(connection)
        connection.sendall(post(body(LONG)))
        row = wait(lambda: rows(server))[-1]
    assert_left(server, row)


@pytest.mark.skipif(not hasattr(select, "POLLRDHUP"), reason="this system tells of an end only when all has been read")
def test_with_the_next_request_sent_ahead(server: ModelServer):
    with connect(server, post(body(LONG))) as connection:
        row = wait(lambda: rows(server))[-1]
        connection.sendall(post(body(3)))
        time.sleep(0.2)  # more than the patience: what it sent is no leaving
        assert not row.generation.is_left
    assert_left(server, row)


def test_in_the_line(policy: LocalModel, monkeypatch: pytest.MonkeyPatch):
    """Behind one that takes the only row: its place in the line is free for the next at once, and its prompt is
    never read."""
    with listening(policy, monkeypatch, rows=1) as server:
        batching = server.model.batching
        batching.most_waiting = 1
        with connect(server, post(body(LONG))) as first:
            row = wait(lambda: rows(server))[-1]
            second = connect(server, post(body(LONG)))
            gone = wait(lambda: list(batching._waiting))[0]
            with connect(server, post(body(3))) as control:  # the line is full
                assert reply(control)[0] == 503
            second.close()
            wait(lambda: gone.is_left)
            third = connect(server, post(body(3)))
            wait(lambda: gone not in batching._waiting and batching._waiting)
            first.close()
            with third:
                assert text(third) == policy.generate(
                    [Conversation.user("hi")], max_new_tokens=3, temperature=1.0, seed=1
                )[0][0].text  # fmt: skip
            assert_left(server, row)


def test_beside_another_whose_reply_is_what_it_is_alone(server: ModelServer):
    with connect(server, post(body(60, seed=5))) as alone:
        expected = text(alone)
    leaver = connect(server, post(body(LONG, seed=6)))
    row = wait(lambda: rows(server))[-1]
    with connect(server, post(body(60, seed=5))) as stayer:
        wait(lambda: len(rows(server)) == 2)
        leaver.close()
        assert_left(server, row)
        assert text(stayer) == expected


def test_while_the_server_is_stopped(policy: LocalModel, monkeypatch: pytest.MonkeyPatch):
    """It comes to its end, and whoever stays is told why there is no more."""
    with listening(policy, monkeypatch) as server:
        leaver = connect(server, post(body(LONG)))
        whole, stream = connect(server, post(body(LONG))), connect(server, post(body(LONG, stream=True)))
        wait(lambda: len(rows(server)) == 3)
        leaver.close()
    with whole, stream:
        status, answer = reply(whole)
        assert (status, "the server is ending" in answer["error"]["message"]) == (500, True)
        response = http.client.HTTPResponse(stream)
        response.begin()
        assert "the server is ending" in response.read().decode()
    assert not server.model.batching._batches
