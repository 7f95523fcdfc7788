"""How much does our client of an OpenAI-compatible server add to a request, at 200 at once?

A server in a process of its own answers at once with one fixed chat completion, so that what is left
is the client: its CPU-seconds (user and system) for each request, and the wall time that one request
takes of the whole, as a served model asks for them, replies kept on disk. The floor beside it is the
same number of requests by bare sockets in as many threads, one connection each: what any client
with threads pays here. One JSON line a case.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from alignwright.core.records import Conversation
from alignwright.job.remote_model import RemoteModel
from alignwright.job.reply_cache import reply_cache
from alignwright.model.endpoint import Endpoint

AT_ONCE, REQUESTS = 200, 4000
TARGET_MS = 2.0


def main() -> None:
    for tls in (False, True):
        print(json.dumps(overhead(tls=tls)))


def measure(requests: int = REQUESTS) -> dict[str, object]:
    """Both, with their targets, for `doors.py`."""
    cases = {"endpoint": overhead(requests=requests), "endpoint_tls": overhead(requests=requests, tls=True)}
    return {**cases, "targets": {name: [case["cpu_ms"], TARGET_MS, case["met"]] for name, case in cases.items()}}


def overhead(at_once: int = AT_ONCE, requests: int = REQUESTS, *, tls: bool = False) -> dict[str, object]:
    """Milliseconds a request, of the processor and by the clock, ours and by bare sockets (which
    speak no TLS)."""
    with tempfile.TemporaryDirectory() as folder, _certificate(Path(folder), tls) as files:
        with instant_server(*files) as port:
            ours = _timed(lambda: _ours(port, at_once, requests, Path(folder), "https" if tls else "http"), requests)
        with instant_server() as port:
            bare = _timed(lambda: _bare(port, at_once, requests), requests)
    return {
        "case": f"endpoint request{' over TLS' * tls}", "at_once": at_once, "requests": requests, "cpu_ms": ours[0],
        "wall_ms": ours[1], "bare_cpu_ms": bare[0], "bare_wall_ms": bare[1], "target_ms": TARGET_MS,
        "met": ours[0] < TARGET_MS,
    }  # fmt: skip


@contextmanager
def _certificate(folder: Path, tls: bool) -> Generator[tuple[str, ...]]:
    """A certificate of our own for 127.0.0.1 with its key, which is trusted meanwhile."""
    if not tls:
        yield ()
        return
    files = str(folder / "cert.pem"), str(folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-out", files[0], "-keyout", files[1], "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*command, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = files[0]
    try:
        yield files
    finally:
        os.environ.pop("SSL_CERT_FILE")
        if before is not None:
            os.environ["SSL_CERT_FILE"] = before


def _ours(port: int, at_once: int, requests: int, run: Path, scheme: str) -> None:
    name = f"{scheme}://127.0.0.1:{port}/v1#instant"
    model = RemoteModel(Endpoint(name, concurrency=at_once), reply_cache(name, run))
    replies = model.generate([Conversation.user(f"prompt {i}") for i in range(requests)], max_new_tokens=16)
    assert [group[0].text for group in replies] == ["An answer."] * requests


def _bare(port: int, at_once: int, requests: int) -> None:
    body = json.dumps({"model": "instant", "messages": [{"role": "user", "content": "prompt"}]}).encode()
    asked = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def work(count: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            for _ in range(count):
                connection.sendall(asked)
                data = b""
                while not data.endswith(b"}}"):
                    data += connection.recv(65536)
                json.loads(data.partition(b"\r\n\r\n")[2])

    threads = [threading.Thread(target=work, args=(requests // at_once,)) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _timed(work: object, requests: int) -> tuple[float, float]:
    assert callable(work)
    before, began = os.times(), time.perf_counter()
    work()
    after, ended = os.times(), time.perf_counter()
    seconds = after.user - before.user + after.system - before.system
    return round(1e3 * seconds / requests, 3), round(1e3 * (ended - began) / requests, 3)


@contextmanager
def instant_server(*certificate: str) -> Generator[int]:
    """A chat completions server in a process of its own, over TLS with a certificate and its key;
    yields its port."""
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER, *certificate], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()  # it serves until its input ends


_SERVER = r"""
import asyncio, json, ssl, sys
BODY = json.dumps({"id": "x", "object": "chat.completion", "created": 0, "model": "instant", "choices": [{"index": 0,
    "finish_reason": "stop", "message": {"role": "assistant", "content": "An answer."}}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}}).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
            await reader.readexactly(int(fields[b"content-length"]))
            writer.write(ANSWER)
            if fields.get(b"connection", b"").strip() == b"close":
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()
async def main():
    context = None
    if sys.argv[1:]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*sys.argv[1:])
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
asyncio.run(main())
"""


if __name__ == "__main__":
    main()
