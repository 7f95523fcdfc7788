"""How is one HTTP request made that is sure to end: by a deadline for the whole call, with a
bounded body?

A timeout of a socket is a limit on silence: a server that sends a byte a second never meets it.
Here a timer cuts the connection when the call's time is up, wherever it stands (connecting aside,
which has the same limit of its own), and a body is read up to a bound. Redirects are not followed,
since they would carry the key to a place that nobody named; bodies come unpacked. Proxies are those
of the environment.

A connection whose answer was read to its end is taken for the next call of the batch, where the
server leaves it open: over TLS a new one costs more of the processor than all else that we do. One
that the server has closed in between is seen before it is used. The certificates that are trusted
are read once, since reading them takes twenty milliseconds.
"""

from __future__ import annotations

import base64
import http.client
import os
import select
import socket
import ssl
import threading
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote, urlsplit

MOST_BODY = 8 << 20
CHUNK = 1 << 16


@dataclass(frozen=True)
class Response:
    """What came back, whatever its status. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class CallError(Exception):
    """No whole response came. `timed_out`: the call's time was up. `again`: another try may fare
    better."""

    def __init__(self, text: str, *, again: bool = True, timed_out: bool = False, unreachable: bool = False) -> None:
        super().__init__(text)
        self.again, self.timed_out, self.unreachable = again, timed_out, unreachable


class OpenCalls:
    """The calls at work, so that all can be ended at once when nobody waits for them any more."""

    def __init__(self) -> None:
        self._open: dict[http.client.HTTPConnection, socket.socket | None] = {}
        self._idle: list[tuple[str, http.client.HTTPConnection]] = []
        self._closed = False
        self._lock = threading.Lock()

    def end(self) -> None:
        """Cut every open connection; calls that begin later end at once."""
        with self._lock:
            self._closed = True
            for connection in self._open:
                self._cut(connection)
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout: float, most: int = MOST_BODY
    ) -> Response:
        """Send `body` and read the whole response within `timeout` seconds, or raise CallError."""
        connection, target, more = _connection(url, timeout)
        connection = self._used_before(url) or connection
        finished, expired = threading.Event(), threading.Event()

        def watch() -> None:
            if not finished.wait(timeout):
                expired.set()
                while not finished.wait(0.1):  # a connection that is only just made has to be cut as well
                    self._cut(connection)

        with self._lock:
            if self._closed:
                raise CallError("the call was ended, because nobody waits for it", again=False)
            self._open[connection] = None
        threading.Thread(target=watch, daemon=True).start()
        is_whole = False
        try:
            if connection.sock is None:
                connection.connect()
            self._open[connection] = (
                connection.sock
            )  # the connection forgets its socket before the answer has been read
            connection.request("POST", target, body, {**headers, **more, "Accept-Encoding": "identity"})
            with connection.getresponse() as response:
                data = _read(response, most)
                if expired.is_set():  # a body of no known length ends where it was cut
                    raise TimeoutError
                is_whole = not response.will_close
                return Response(response.status, {name.lower(): value for name, value in response.getheaders()}, data)
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            # a connection that is cut in the middle fails in whatever way its reader happens to stand
            if expired.is_set() or isinstance(error, TimeoutError):
                raise CallError(f"no whole answer within {timeout:g} s", timed_out=True) from None
            raise _understood(error) from None
        finally:
            finished.set()
            with self._lock:
                self._open.pop(connection, None)
                is_kept = is_whole and not self._closed and not expired.is_set()
                if is_kept:
                    self._idle.append((url, connection))
            if not is_kept:
                connection.close()

    def _used_before(self, url: str) -> http.client.HTTPConnection | None:
        """A connection to the same place that an earlier call has left open, and the server as well."""
        while True:
            with self._lock:
                place = next((at for at, (other, _) in enumerate(self._idle) if other == url), None)
                if place is None:
                    return None
                _, connection = self._idle.pop(place)
            if connection.sock is not None and not readable(connection.sock):
                return connection
            connection.close()  # something to read where nothing was asked: it was closed, or speaks out of turn

    def _cut(self, connection: http.client.HTTPConnection) -> None:
        if (sock := self._open.get(connection) or connection.sock) is not None:
            try:
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # past TLS, which would wait for the other side
            except OSError:
                return


class _Secure(http.client.HTTPSConnection):
    """HTTPS whose handshake begins when its socket can already be cut."""

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        context = _trusted(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        name = getattr(self, "_tunnel_host", None) or self.host
        self.sock = context.wrap_socket(self.sock, server_hostname=name, do_handshake_on_connect=False)
        self.sock.do_handshake()


def readable(sock: socket.socket) -> bool:
    """Whether there is something to read, or the end."""
    if hasattr(select, "poll"):  # select itself knows no more than 1,024 open files
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([sock], [], [], 0)[0])


def has_ended(sock: socket.socket) -> bool:
    """Whether the other side has closed, or reset, the connection. Where the system says so only
    after everything has been read (not Linux), unread bytes hide it. Raises OSError and ValueError
    for a socket that is no more."""
    if hasattr(select, "POLLRDHUP"):
        poll = select.poll()
        poll.register(sock, select.POLLRDHUP)  # a reset is told unasked
        return bool(poll.poll(0))
    return readable(sock) and not sock.recv(1, socket.MSG_PEEK)


@cache
def _trusted(file: str | None, folder: str | None) -> ssl.SSLContext:  # noqa: ARG001 - what is read depends on them
    """The certificates that are trusted here."""
    return ssl.create_default_context()


def _read(response: http.client.HTTPResponse, most: int) -> bytes:
    parts, size = list[bytes](), 0
    while part := response.read1(CHUNK):
        parts.append(part)
        size += len(part)
        if size > most:
            raise CallError(f"the answer is longer than {most >> 20} MiB, and was not read to its end", again=False)
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    if response.headers.get("content-encoding", "identity").lower() not in ("identity", ""):
        raise CallError("the answer is packed, which was not asked for", again=False)
    return b"".join(parts)


def _connection(url: str, timeout: float) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
    """A connection that is not open yet, what to ask of it, and the headers that its proxy
    wants."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    target = parts.path or "/"
    proxy_url = "" if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get(parts.scheme, "")
    if not proxy_url:
        return _plain(parts.scheme, host, port, timeout), target, {}
    proxy = urlsplit(proxy_url if "://" in proxy_url else f"http://{proxy_url}")
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}" if proxy.username else ""
    allowed = {"Proxy-Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"} if login else {}
    if parts.scheme == "http":
        return _plain(proxy.scheme, proxy.hostname or "", proxy.port, timeout), url, allowed
    tunnel = _Secure(proxy.hostname or "", proxy.port, timeout=timeout)
    tunnel.set_tunnel(host, port, allowed)
    return tunnel, target, {}


def _plain(scheme: str, host: str, port: int | None, timeout: float) -> http.client.HTTPConnection:
    kind = _Secure if scheme == "https" else http.client.HTTPConnection
    return kind(host, port, timeout=timeout)


def _understood(error: Exception) -> CallError:
    match error:
        case ssl.SSLCertVerificationError():
            return CallError(f"its certificate is not trusted: {error.verify_message}", again=False, unreachable=True)
        case ssl.SSLError():
            return CallError(f"no TLS connection: {error.reason or error}", unreachable=True)
        case socket.gaierror():
            return CallError(
                f"its name leads nowhere: {error.strerror}", again=error.errno == socket.EAI_AGAIN, unreachable=True
            )
        case ConnectionRefusedError():
            return CallError("it cannot be reached: connection refused", unreachable=True)
        case http.client.IncompleteRead() | ConnectionError():
            return CallError("the connection broke in the middle of the answer")
        case OSError():
            return CallError(f"it cannot be reached: {error.strerror or error}", unreachable=True)
        case _:
            return CallError(f"what came is no HTTP: {type(error).__name__}: {str(error)[:120]}")
