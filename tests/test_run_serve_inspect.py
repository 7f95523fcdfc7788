"""Can Inspect be pointed at a served model? Its own `openai-api` provider, in a process of its own.

inspect-ai does not resolve together with our pins, so it lies in an environment of its own, without
torch: `.venv-inspect`, or wherever ALIGNWRIGHT_INSPECT names its command. Without one the test
skips and says so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from tiny import make_tiny

from alignwright.core.records import Conversation
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.run.serve import ServeOptions, serving

INSTALL = "python -m venv .venv-inspect && .venv-inspect/bin/pip install inspect-ai openai"
TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, system_message

@task
def capital():
    questions = [Sample(input=f"What is the capital of France? {i}", target="Paris", id=i) for i in range(6)]
    return Task(dataset=questions, solver=[system_message("Be kind."), generate()], scorer=includes())
"""


@pytest.fixture(scope="module")
def inspect() -> str:
    beside = Path(__file__).parents[1] / ".venv-inspect" / "bin" / "inspect"
    program = os.environ.get("ALIGNWRIGHT_INSPECT") or (str(beside) if beside.exists() else None)
    if program is None or shutil.which(program) is None:
        pytest.skip(f"Inspect is not there; name its command in ALIGNWRIGHT_INSPECT, or: {INSTALL}")
    return program


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(make_tiny(tmp_path_factory.mktemp("inspect") / "tiny"))


@pytest.fixture
def address(policy: LocalModel) -> Generator[str]:
    with serving(policy, ServeOptions(port=0, name="small")) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.address
        server.shutdown()
        thread.join()


def test_inspect_evaluates_a_served_model(inspect: str, policy: LocalModel, address: str, tmp_path: Path):
    (tmp_path / "capital.py").write_text(TASK)
    options = {"--seed": "3", "--temperature": "1.0", "--max-tokens": "12", "--num-choices": "2", "--top-logprobs": "2"}
    command = [inspect, "eval", "capital.py", "--model", "openai-api/alignwright/small", "--logprobs"]
    command += [word for option in options.items() for word in option]
    command += ["--log-format", "json", "--log-dir", "logs", "--display", "plain"]
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")},
        "ALIGNWRIGHT_BASE_URL": address, "ALIGNWRIGHT_API_KEY": "none", "HOME": str(tmp_path),
    }  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (log,) = (tmp_path / "logs").glob("*.json")
    evaluation: dict[str, Any] = json.loads(log.read_text())
    assert evaluation["status"] == "success"
    assert len(evaluation["samples"]) == 6
    for sample in evaluation["samples"]:
        prompt = Conversation.user(sample["input"], system="Be kind.")
        (own,) = policy.generate([prompt], n=2, max_new_tokens=12, temperature=1.0, seed=3)
        output = sample["output"]
        assert [choice["message"]["content"] for choice in output["choices"]] == [reply.text for reply in own]
        assert output["usage"]["output_tokens"] == sum(reply.tokens or 0 for reply in own)
        tokens = output["choices"][0]["logprobs"]["content"]
        assert sum(token["logprob"] for token in tokens) == pytest.approx(own[0].logprob, abs=1e-3)
        assert all(len(token["top_logprobs"]) == 2 for token in tokens)
