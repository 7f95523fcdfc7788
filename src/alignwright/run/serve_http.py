"""How does a model answer over HTTP? A thin server with OpenAI's routes, of the standard library.

`GET /v1/models`, `POST /v1/chat/completions`, `POST /v1/completions`, `GET /health`; errors have
OpenAI's form. Each connection has a thread that reads, waits and writes; the model has its own.
What a client sends is hostile: a body has a largest size and a connection a time, a request for
another host's name is refused where only this machine is served (a page in a browser could ask
through a name of its own), and no fault of one request ends the server.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from alignwright import __version__
from alignwright.model.http_call import has_ended
from alignwright.report.text import one_line
from alignwright.run.serve_answer import chunks, whole
from alignwright.run.serve_model import ClientGone, ServedModel
from alignwright.run.serve_request import CompletionRequest, RequestError, chat_request, read_body, text_request

LARGEST_BODY = 8 * 1024 * 1024
MOST_CONNECTIONS = 512
IDLE = 60.0  # seconds that a connection may be silent between requests, or within one
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_READERS: dict[str, Callable[[dict[str, Any]], CompletionRequest]] = {
    "/v1/chat/completions": chat_request,
    "/v1/completions": text_request,
}


def check_address(host: str, port: int) -> None:
    """Raise ValueError where nothing can listen there: said before a model is loaded, which takes
    minutes."""
    try:
        with socket.socket(_family(host), socket.SOCK_STREAM) as trial:
            if os.name == "posix":  # as the server itself: a port whose last connections linger is free
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))
    except OSError as error:
        raise ValueError(
            f"nothing can listen at {host} port {port}: {error.strerror}; name another with --port (0 is any free one)"
            " or --host"
        ) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class ServerEnded(Exception):
    """The server was asked to end."""


class ModelServer(ThreadingHTTPServer):
    """The server of one model; port 0 is any free one."""

    daemon_threads, block_on_close, request_queue_size = True, False, 256

    def __init__(self, host: str, port: int, model: ServedModel) -> None:
        self.address_family = _family(host)
        self.model, self.host = model, host
        self.failure: BaseException | None = None
        self.is_to_end = False
        """Set it to end `serve_forever`, by `ServerEnded`, before the next request is taken."""
        self.places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__((host, port), _Handler)

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.server_address[1]}/v1"

    def serves(self, host_header: str | None) -> bool:
        """Whether a request for this host is for us."""
        if self.host not in _LOOPBACK or host_header is None:
            return True
        name = host_header.strip().rsplit(":", 1)[0] if not host_header.endswith("]") else host_header
        return name.strip("[]").lower() in _LOOPBACK

    def fail(self, error: BaseException) -> None:
        """The model's thread has ended: so does the server."""
        self.failure = error

    def service_actions(self) -> None:
        if self.is_to_end:
            raise ServerEnded
        if self.failure is not None:
            raise RuntimeError(f"the model cannot be asked any more: {self.failure}") from self.failure

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.places.acquire(blocking=False):
            request.close()  # there is no thread to say so
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):  # a client that has gone is no fault
            _tell("a connection ended", error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version, server_version, sys_version = "HTTP/1.1", f"alignwright/{__version__}", ""
    timeout = IDLE
    disable_nagle_algorithm = True

    @property
    def http(self) -> ModelServer:
        return cast("ModelServer", self.server)

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _get(self) -> None:
        model, path = self.http.model, self.path.partition("?")[0]
        card = {"id": model.name, "object": "model", "created": model.created, "owned_by": "alignwright"}
        if path == "/v1/models":
            self._json(200, {"object": "list", "data": [card]})
        elif path == f"/v1/models/{model.name}":
            self._json(200, card)
        elif path == "/health":
            self._json(200, {"status": "ok"})
        else:
            raise RequestError(f"there is nothing at GET {path[:80]}", status=404, code="not_found")

    def _post(self) -> None:
        data, path = self._body(), self.path.partition("?")[0]
        if path not in _READERS:
            raise RequestError(f"there is nothing at POST {path[:80]}", status=404, code="not_found")
        # The replies are closed and not their pieces: a generator that was never asked for its first, as when the head
        # of a stream cannot be written, does nothing when it is closed.
        with closing(self.http.model.begin(_READERS[path](read_body(data)))) as replies:
            pieces = replies.pieces(self._is_there)
            if replies.request.stream:
                self._stream(chunks(replies, pieces, self.http.model.name))
            else:
                self._json(200, whole(replies, pieces, self.http.model.name))

    def _answer(self, answer: Callable[[], None]) -> None:
        self.has_begun = False
        try:
            if not self.http.serves(self.headers.get("host")):
                self.close_connection = True
                raise RequestError("this server is for its own machine: ask for 127.0.0.1 or localhost", status=403)
            answer()
        except RequestError as error:
            self._error(error.status, error.message, error.param, error.code)
        except (ClientGone, OSError):
            self.close_connection = True
        except Exception as error:  # a fault of ours, or of the model: this request's alone
            _tell("a request failed", error)
            self._error(500, f"the server failed: {error}", None, "server_error")

    def _body(self) -> bytes:
        length = self.headers.get("content-length", "")
        if self.headers.get("transfer-encoding") or not (length.isascii() and length.isdecimal()):
            self.close_connection = True  # what follows cannot be told from a request
            raise RequestError("a request needs a content-length", status=411)
        if len(length) > 12 or int(length) > LARGEST_BODY:
            self.close_connection = True
            raise RequestError(f"the body is larger than {LARGEST_BODY} bytes", status=413)
        data = self.rfile.read(int(length))
        if len(data) < int(length):
            raise ClientGone
        return data

    def _is_there(self) -> bool:
        """Whether the client has not closed its side. What it sent ahead, such as its next request,
        hides the end from a look at the next byte."""
        try:
            return not has_ended(self.connection)
        except (OSError, ValueError):  # ValueError: a connection that was closed
            return False

    # ---- what is written -------------------------------------------------------------------------
    def _json(self, status: int, content: Any, headers: Iterable[tuple[str, str]] = ()) -> None:
        data = json.dumps(content, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
        self.has_begun = True
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("connection", "close")
        self._headers_buffer.append(b"\r\n")  # headers and body in one packet
        self._headers_buffer.append(data)
        self.flush_headers()

    def _error(self, status: int, message: str, param: str | None, code: str | None) -> None:
        kind = "invalid_request_error" if status < 500 else "server_error"
        error = {"error": {"message": message, "type": kind, "param": param, "code": code}}
        try:
            if self.has_begun:  # a stream that is under way can only end
                self.close_connection = True
                self._event(json.dumps(error))
                self.wfile.write(b"0\r\n\r\n")
            else:
                self._json(status, error, [("retry-after", "1")] if status == 503 else [])
        except OSError:
            self.close_connection = True

    def _stream(self, parts: Iterable[Any]) -> None:
        self.has_begun = True
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("cache-control", "no-cache")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for part in parts:
            self._event(json.dumps(part, allow_nan=False))
        self._event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, text: str) -> None:
        data = f"data: {text}\n\n".encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library refuses by itself (a method, a malformed line), in OpenAI's form."""
        self.close_connection, self.has_begun = True, False
        self.request_version = self.protocol_version  # else a line that was not understood is answered without a head
        if not hasattr(self, "_headers_buffer"):
            self._headers_buffer: list[bytes] = []
        self._error(code, message or explain or HTTPStatus(code).phrase, None, None)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a line a request would drown what matters."""


def _tell(what: str, error: BaseException | None) -> None:
    print(f"alignwright: {what}: {one_line(f'{type(error).__name__}: {error}')[:500]}", file=sys.stderr)
