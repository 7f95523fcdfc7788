"""How is a GGUF file put behind llama.cpp's own server?

The server is that of xllamacpp, a wheel with llama.cpp built in, in a process of its own on a free
port of this machine; it ends with the block that asked for it, and with us if we are killed.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

Engine = Literal["auto", "llama.cpp", "transformers"]
"""What opens a GGUF file: llama.cpp's server or transformers' reader; auto: the first that is installed."""
ENGINES: tuple[Engine, ...] = get_args(Engine)


def has_llama_cpp() -> bool:
    return importlib.util.find_spec("xllamacpp") is not None


@contextmanager
def serving(model: Path, *, slots: int, context: int, threads: int) -> Generator[tuple[str, int]]:
    """llama.cpp's server on a GGUF file, for `slots` conversations of `context` tokens at once.
    Yields its address without `/v1` and its process's id. Raises RuntimeError where it cannot open the file."""
    command = [sys.executable, "-c", _SERVE, str(model), str(slots), str(slots * context), str(threads)]
    pipe = subprocess.PIPE
    with subprocess.Popen(  # noqa: S603 - this Python, with a program of ours and no shell
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("llama.cpp's server cannot be spoken to: no pipe")
        address = next((line.split()[1] for line in process.stdout if line.startswith("listening ")), None)
        if address is None:
            raise RuntimeError(
                f"llama.cpp's server ended with {process.wait()} before it listened: it cannot open {model}"
            )
        try:
            yield address, process.pid
        finally:
            process.stdin.close()  # it serves until its input ends, so it ends with us even if we are killed
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


_SERVE = """
import sys
import xllamacpp
model, slots, context, threads = sys.argv[1], *map(int, sys.argv[2:])
params = xllamacpp.CommonParams()
params.model.path, params.n_parallel, params.n_ctx = model, slots, context
params.hostnames, params.port = ["127.0.0.1"], 0
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
params.n_threads_http = slots + 2
params.warmup = False
server = xllamacpp.Server(params)
print("listening", server.listening_address, flush=True)
sys.stdin.read()
"""
