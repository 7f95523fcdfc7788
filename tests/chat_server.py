"""A chat completions server on loopback whose way of speaking is the test's: right, late,
broken, in parts, thinking."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any], int], Any]
MOST = 2000  # requests: a client that never ends is a failure, not a hang


@contextmanager
def server(answer: Answer) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """`answer(body, times)` gives a text, (status, body), (status, body, headers) or a function
    that writes to the handler by itself.

    `times` counts this prompt's calls. Yields the name and the requests so far, each with the key
    it came with.
    """
    seen: list[dict[str, Any]] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                seen.append({**body, "key": self.headers["authorization"]})
                times = sum(one["messages"] == body["messages"] and one.get("seed") == body.get("seed") for one in seen)
                if len(seen) > MOST:
                    self.send_error(410)
                    return
            given = answer(body, times)
            if callable(given):
                try:
                    given(self)
                except OSError:
                    return
            elif isinstance(given, tuple):
                self.reply(*given)
            else:
                self.reply(200, completion(given))

        def reply(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
            data = (
                content
                if isinstance(content, bytes)
                else content.encode()
                if isinstance(content, str)
                else json.dumps(content).encode()
            )
            try:
                self.send_response(status)
                for name, value in {
                    "content-type": "application/json",
                    "content-length": str(len(data)),
                    **(headers or {}),
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                return

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads, block_on_close, request_queue_size = True, False, 128

    http = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/v1#small", seen
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def completion(
    content: Any, reason: Any = "stop", logprobs: Any = None, usage: Any = True, **message: Any
) -> dict[str, Any]:
    choice = {
        "index": 0,
        "finish_reason": reason,
        "message": {"role": "assistant", "content": content, **message},
        "logprobs": logprobs,
    }
    counts = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15} if usage is True else usage
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "small",
        "choices": [choice],
        "usage": counts,
    }


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


def top(first: str, **logprobs: float) -> dict[str, Any]:
    """The log-probabilities of an answer of one token."""
    words = [{"token": token, "logprob": value, "bytes": None} for token, value in logprobs.items()]
    return {"content": [{"token": first, "logprob": 0.0, "bytes": None, "top_logprobs": words}]}


def limit(body: dict[str, Any]) -> int:
    """The tokens that a request allows; a server without a word on it writes as long as it likes."""
    return body.get("max_tokens", body.get("max_completion_tokens", 10**6))


def last(body: dict[str, Any]) -> str:
    return body["messages"][-1]["content"]
