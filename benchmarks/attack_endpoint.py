"""What does an attack on a server cost beside the server, and what does it lose when the server does its worst?

`smooth` is `endpoint_overhead`: CPU-seconds of our client for each request, 200 at once, at a server that answers at
once. `rough` puts an attack of so many conversations through what every attack asks through, to a server that tells
one request in ten to come again in a second (429), fails another (503), and is killed with SIGKILL while it answers
and started again. Then every conversation must have its own reply and be one try, and the same attack anew must send
nothing. A request that the server had answered when it was killed, and whose answer never came, is asked again: those
are counted as `again`, and no other may be.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import endpoint_overhead

from alignwright.attack.target import Attempt, Target
from alignwright.core.records import Conversation
from alignwright.files.items import RefusalItem
from alignwright.job.remote_model import RemoteModel
from alignwright.job.reply_cache import reply_cache
from alignwright.model.endpoint import Endpoint

AT_ONCE, REQUESTS = 200, 2000


def measure(quick: bool) -> dict[str, Any]:
    """Both, with their targets."""
    smooth = endpoint_overhead.overhead(requests=1000 if quick else endpoint_overhead.REQUESTS)
    rough_run = rough(500 if quick else REQUESTS)
    aim = endpoint_overhead.TARGET_MS
    return {
        "smooth": smooth,
        "rough": rough_run,
        "targets": {
            "endpoint_cpu_ms": [smooth["cpu_ms"], aim, smooth["met"]],
            "endpoint_lost_or_doubled": [rough_run["wrong"], 0, rough_run["wrong"] == 0],
        },
    }


def rough(requests: int, at_once: int = AT_ONCE) -> dict[str, Any]:
    """What an attack on such a server comes to; `wrong`: what was lost, doubled or asked without need."""
    behaviour = RefusalItem(prompt="Say the word.", kind="harmful")
    attempts = [Attempt(behaviour, Conversation.user(f"Say the word. {i}")) for i in range(requests)]
    with tempfile.TemporaryDirectory() as folder, _Restarted(Path(folder), requests // 3) as server:
        name = f"http://127.0.0.1:{server.port}/v1#rough"

        def attack() -> tuple[list[str | None], int]:
            model = RemoteModel(Endpoint(name, concurrency=at_once), reply_cache(name, Path(folder)))
            target = Target(model, "suite", max_new_tokens=16)
            replies = [each.reply if each else None for each in target.attempt(attempts)]
            return replies, len(target.tries)

        before = time.process_time()
        replies, tries = attack()
        milliseconds = 1e3 * (time.process_time() - before) / requests
        answered = server.answered()
        again, tries_again = attack()
        sent_again = len(server.answered()) - len(answered)
    right = [f"An answer to: {attempt.conversation.last.content}" for attempt in attempts]
    doubled = len(answered) - len(set(answered))
    in_flight = sum(answered[: server.answered_before_kill].count(each) > 0 for each in _twice(answered))
    wrong = sum(a != b for a, b in zip(replies, right, strict=True)) + (tries != requests)
    wrong += sent_again + (again != replies) + (tries_again != requests) + (doubled - in_flight)
    return {
        "requests": requests, "at_once": at_once, "cpu_ms": round(milliseconds, 3), "kills": server.kills,
        "again": doubled, "sent_by_a_second_run": sent_again, "wrong": wrong + (server.kills != 1),
    }  # fmt: skip


def _twice(answered: list[str]) -> list[str]:
    """What was answered once more, each time that it was."""
    seen, twice = set[str](), list[str]()
    for each in answered:
        (twice if each in seen else []).append(each)
        seen.add(each)
    return twice


class _Restarted:
    """A server in a process of its own that is killed after so many answers, and started again where it was."""

    def __init__(self, folder: Path, after: int) -> None:
        self.log, self.after, self.kills, self.answered_before_kill = folder / "answered.txt", after, 0, 0
        self.log.touch()
        self.port = 0
        self._start()
        self.over = threading.Event()
        self.killer = threading.Thread(target=self._kill)

    def answered(self) -> list[str]:
        """The prompts that were answered, in order; a last line that a kill tore is none."""
        return self.log.read_text().splitlines()

    def __enter__(self) -> _Restarted:
        self.killer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.killer.join()
        self.process.kill()
        self.process.wait()

    def _start(self) -> None:
        command = [sys.executable, "-c", _SERVER, str(self.port), str(self.log)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        with self.process.stdout as line:
            self.port = int(line.readline())

    def _kill(self) -> None:
        while not self.over.wait(0.01):
            if len(self.answered()) >= self.after:
                self.process.kill()
                self.process.wait()
                self.kills, self.answered_before_kill = 1, len(self.answered())
                time.sleep(0.5)
                self._start()
                return


_SERVER = r"""
import asyncio, json, sys
log, seen = open(sys.argv[2], "a", buffering=1), set()
def answer(status, content, more=b""):
    body = json.dumps(content).encode()
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n" % (
        status, more, len(body)) + body
def completion(prompt):
    return {"id": "x", "object": "chat.completion", "created": 0, "model": "rough", "choices": [{"index": 0,
        "finish_reason": "stop", "message": {"role": "assistant", "content": "An answer to: " + prompt}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}}
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
            prompt = json.loads(await reader.readexactly(int(fields[b"content-length"])))["messages"][-1]["content"]
            number, first = int(prompt.split()[-1]), prompt not in seen
            seen.add(prompt)
            if first and number % 10 == 3:
                writer.write(answer(b"429 Too Many Requests", {"error": {"message": "slower"}}, b"Retry-After: 1\r\n"))
            elif first and number % 10 == 7:
                writer.write(answer(b"503 Service Unavailable", {"error": {"message": "busy"}}))
            else:
                await asyncio.sleep(0.005)
                log.write(prompt + "\n")
                writer.write(answer(b"200 OK", completion(prompt)))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


if __name__ == "__main__":
    print(json.dumps(measure(quick=False)))
