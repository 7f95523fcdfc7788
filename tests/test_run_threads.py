from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from alignwright.experiment.experiment import Experiment
from alignwright.run import threads
from alignwright.run.threads import SMALL, is_small, set_num_threads


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def model(folder: Path, hidden: int, layers: int, **other: object) -> str:
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps({"hidden_size": hidden, "num_hidden_layers": layers} | other), encoding="utf-8"
    )
    return f"./{folder.name}"


def spec(folder: Path, name: str, **parts: object) -> Experiment:
    return Experiment.model_validate_json(json.dumps({"name": "t", "model": name, **parts})).at(folder)


def test_a_small_model_takes_one_thread_and_a_larger_one_all_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set_num_threads(spec(tmp_path, model(tmp_path / "toy", 32, 2))) == 1
    assert os.environ["OMP_NUM_THREADS"] == "1"
    assert set_num_threads(spec(tmp_path, model(tmp_path / "smol", 576, 30))) == 1, "settled once"
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert set_num_threads(spec(tmp_path, "./smol")) == 4
    assert os.environ["OMP_NUM_THREADS"] == "4"


@pytest.mark.parametrize("asked", ["1", "3"])
def test_what_the_user_set_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert set_num_threads(spec(tmp_path, model(tmp_path / "toy", 32, 2))) == int(asked)
    assert set_num_threads(spec(tmp_path, model(tmp_path / "smol", 576, 30))) == int(asked)


def test_the_line(tmp_path: Path) -> None:
    model(tmp_path / "on", SMALL // 8, 8)
    model(tmp_path / "over", SMALL // 8, 9)
    (tmp_path / "gpt2").mkdir()
    (tmp_path / "gpt2" / "config.json").write_text('{"n_embd": 32, "n_layer": 2}', encoding="utf-8")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.json").write_text('{"hidden_size": "32"}', encoding="utf-8")
    assert [is_small(tmp_path / name) for name in ("on", "over", "gpt2", "odd", "none")] == [
        True,
        False,
        True,
        False,
        False,
    ]


def test_a_large_judge_keeps_its_cores_beside_a_small_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = model(tmp_path / "toy", 32, 2)
    large = model(tmp_path / "large", 2048, 16, architectures=["LlamaForSequenceClassification"])
    small_votes = spec(tmp_path, toy, feedback=[{"by": "judge", "judge": toy}])
    assert set_num_threads(small_votes) == 1
    for part in (
        {"feedback": [{"by": "judge", "judge": large}]},
        {"measure": [{"by": "reward", "reward": large, "prompts": ["held.jsonl"]}]},
    ):
        monkeypatch.delenv("OMP_NUM_THREADS")
        assert set_num_threads(spec(tmp_path, toy, **part)) == 4


def test_what_cannot_be_read_takes_all_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("owner/name", "./model.gguf", "smollm2-135m-instruct"):
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        assert set_num_threads(spec(tmp_path, name)) == 4


def test_it_is_settled_before_torch_is_there(tmp_path: Path) -> None:
    """A dry run of a small model's spec sets the number, and torch was not imported yet."""
    model(tmp_path / "toy", 32, 2)
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from alignwright.experiment.experiment import Experiment\n"
        "from alignwright.run.threads import set_num_threads\n"
        "set_num_threads(Experiment(name='t', model='./toy').at(Path(sys.argv[1])))\n"
        "assert 'torch' not in sys.modules\n"
        "import torch\n"
        "print(torch.get_num_threads())"
    )
    world = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], env=world, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"
