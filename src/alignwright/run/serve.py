"""How is a run's model, or any other, put behind an OpenAI-compatible server, for tools that audit
models over HTTP?

Opens the model, starts the thread that decodes, and serves until it is interrupted. Nothing but
this machine is served unless another address is named, and then there is no key: whoever reaches it
can use it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from alignwright.report.text import visible
from alignwright.run.run_folder import load_model
from alignwright.run.threads import is_small, set_num_threads

if TYPE_CHECKING:
    from alignwright.model.local_model import LocalModel
    from alignwright.run.serve_http import ModelServer


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class ServeOptions:
    """`dtype`: "auto" is bfloat16 where this machine multiplies it faster. `rows`: replies under
    way at once; `cache_tokens`: tokens that their cache may hold; `longest_reply`: of a request
    that does not say."""

    host: str = "127.0.0.1"
    port: int = 8000
    name: str | None = None
    dtype: str = "auto"
    rows: int = 64
    cache_tokens: int = 65_536
    longest_reply: int = 1024


def serve(run: str, options: ServeOptions) -> None:
    """Serve until Ctrl-C or SIGTERM; a second one ends the program at once."""
    from alignwright.run.serve_http import ServerEnded, check_address

    check_address(options.host, options.port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with serving(_open(run, options.dtype), options, _name(run)) as server, _until_a_signal(server):
            print(visible(greeting(server)), flush=True)
            server.serve_forever(poll_interval=0.1)
    except (KeyboardInterrupt, ServerEnded):
        print("stopped", file=sys.stderr)


@contextmanager
def _until_a_signal(server: ModelServer) -> Generator[None]:
    """Meanwhile a signal is a mark on the server, which it looks at before each request. An exception
    could be lost: whatever runs at that moment may swallow it, as Python does in a destructor. A thread
    that ends the server cannot be started here, as the program may be starting one itself and hold the lock."""

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - what `signal` gives
        server.is_to_end = True
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)  # the next one needs nothing of Python

    before = {each: signal.signal(each, end) for each in _SIGNALS}
    try:
        yield
    except BaseException:
        print("stopping; Ctrl-C ends it at once", file=sys.stderr, flush=True)
        raise
    finally:
        if not server.is_to_end:
            for each, handler in before.items():
                signal.signal(each, handler)


@contextmanager
def serving(policy: LocalModel, options: ServeOptions, name: str | None = None) -> Generator[ModelServer]:
    """A server that is bound, its model's thread at work; whoever is given it serves."""
    from alignwright.run.serve_http import ModelServer
    from alignwright.run.serve_model import ServedModel, model_thread

    model = ServedModel(
        policy,
        options.name or name or policy.name,
        rows=options.rows,
        cache_tokens=options.cache_tokens,
        longest_reply=options.longest_reply,
    )
    with ModelServer(options.host, options.port, model) as server:
        thread = model_thread(model, server.fail)
        model.batching.ready.wait()
        try:
            yield server
        finally:
            model.batching.end()
            thread.join()


def _open(run: str, dtype: str) -> LocalModel:
    if "OMP_NUM_THREADS" not in os.environ and (is_small(Path(run)) or is_small(Path(run) / "model")):
        os.environ["OMP_NUM_THREADS"] = "1"
    set_num_threads()
    from alignwright.model.training_dtype import training_dtype

    return load_model(run, dtype=training_dtype() if dtype == "auto" else dtype)


def _name(run: str) -> str | None:
    """A run's model is called as its run is."""
    return Path(run).resolve().name if (Path(run) / "model").is_dir() else None


def greeting(server: ModelServer) -> str:
    """Where the server is, what requests call its model, and a call to try."""
    name, dtype = server.model.name, str(server.model.policy.dtype).removeprefix("torch.")
    route, example = "chat/completions", '{"messages": [{"role": "user", "content": "Hello"}]}'
    if not server.model.policy.chat.writes:  # a base model completes texts alone
        route, example = "completions", '{"prompt": "Once upon a time"}'
    call = f"curl {server.address}/{route} -H 'content-type: application/json' -d '{example}'"
    return f"{name} in {dtype} at {server.address} (Ctrl-C ends it); try: {call}"
