"""Is a connection taken again where that is sure, and never where the server has closed it?"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from alignwright.model.http_call import CallError, OpenCalls

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def server(answers: int | None, answer: bytes = ANSWER) -> Iterator[tuple[str, list[int]]]:
    """Closes each connection after so many answers, without saying so (None: never); yields its
    address and the number of requests on each connection."""
    requests: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(connection: socket.socket, at: int) -> None:
            with connection:
                while answers is None or requests[at] < answers:
                    data = b""
                    while b"\r\n\r\nbody" not in data:
                        if not (part := connection.recv(65536)):
                            return
                        data += part
                    requests[at] += 1
                    connection.sendall(answer)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                requests.append(0)
                threading.Thread(target=serve, args=(connection, len(requests) - 1), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", requests
        listener.shutdown(socket.SHUT_RDWR)


def ask(calls: OpenCalls, url: str, times: int) -> list[bytes]:
    replies = []
    for _ in range(times):
        replies.append(calls.post(url, b"body", {}, timeout=5.0).data)
        time.sleep(0.05)  # the end of a connection takes a moment to arrive
    return replies


def test_calls_one_after_another_share_a_connection_and_the_end_closes_it():
    calls = OpenCalls()
    with server(None) as (url, requests):
        assert ask(calls, url, 5) == [b"ok"] * 5
        assert requests == [5]
        (_, idle), *_ = calls._idle
        calls.end()
        assert idle.sock is None
        with pytest.raises(CallError, match="nobody waits"):
            ask(calls, url, 1)


def test_a_connection_that_the_server_closed_is_not_taken_again():
    calls = OpenCalls()
    with server(2) as (url, requests):
        assert ask(calls, url, 5) == [b"ok"] * 5
        calls.end()
    assert requests == [2, 2, 1]


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.0 200 OK\r\n\r\nok", b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"],
    ids=["HTTP/1.0", "says so"],
)
def test_a_connection_that_ends_with_its_answer_is_not_kept(answer: bytes):
    calls = OpenCalls()
    with server(1, answer) as (url, requests):
        assert ask(calls, url, 3) == [b"ok"] * 3
        assert calls._idle == []
    assert requests == [1, 1, 1]


def test_an_answer_that_is_cut_short_leaves_no_connection_behind():
    calls = OpenCalls()
    with server(1, ANSWER[:-1]) as (url, _), pytest.raises(CallError, match="broke in the middle"):
        ask(calls, url, 1)
    assert calls._idle == []
