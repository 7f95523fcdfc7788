"""How often does a run load a model, and how many does it hold at once?"""

from __future__ import annotations

import gc
import io
import shutil
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from run_case import make_project
from tiny import make_tiny

from alignwright.job import model_store
from alignwright.run.align import Request, align
from alignwright.run.progress import View

JUDGED = """
name: judged
seed: 2
model: ./model
intent: {prompts: [prompts.jsonl], pairs: [pairs.jsonl]}
feedback:
- {by: written}
train:
- {by: reward, no_signal: use, rank: 2, batch_tokens: 120}
- {by: rloo, reward: reward, rank: 2, batch_tokens: 120, prompts: 2, samples: 3, max_new_tokens: 4, epochs: 1}
measure:
- {by: tax, text: [text.jsonl], limit: 4}
"""
EXAMPLES = Path(__file__).parents[1] / "examples"


@dataclass
class Loads:
    """The loads of a run: the job and the precision of each, and how many models in
    float32 were held after it."""

    job: str = ""
    of: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    held: list[int] = field(default_factory=list[int])
    judges: dict[str, tuple[str | None, str | None]] = field(default_factory=dict[str, Any])
    """The judge in memory when a job began, and when it ended."""


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    from alignwright.run import execute

    counts, models = Loads(), weakref.WeakSet[Any]()
    load, run = model_store.load, execute.run

    def counted(name: Any, *, dtype: str, **options: Any) -> Any:
        counts.of.append((counts.job, dtype))
        policy = load(name, dtype=dtype, **options)
        models.add(policy)
        gc.collect()
        counts.held.append(sum(str(each.dtype) == "torch.float32" for each in models))
        return policy

    def job(context: Any) -> Any:
        counts.job = context.name
        before = context.models._judge
        result = run(context)
        after = context.models._judge
        counts.judges[context.name] = (before and before[0], after and after[0])
        return result

    monkeypatch.setattr(model_store, "load", counted)
    monkeypatch.setattr(model_store, "training_dtype", lambda: "bfloat16")
    monkeypatch.setattr(execute, "run", job)
    return counts


@pytest.fixture
def tiny_example(tmp_path: Path) -> Path:
    """The tiny example, with 16 rows of each training file."""
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("tiny-model", "runs"))
    make_tiny(tmp_path / "examples" / "tiny-model")
    for path in (tmp_path / "examples" / "quickstart" / "train").glob("*.jsonl"):
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:16]))
    return tmp_path / "examples" / "tiny.yaml"


def aligned(spec: Path) -> Path:
    return align(Request(spec, runs=spec.parent / "runs"), View(Console(file=io.StringIO())))


LOADS = [
    ("measure.0.instruction@baseline", "float32"),
    ("collect", "bfloat16"),  # and judges, critics and fine-tuning take the same
    ("measure.0.instruction@train.0.sft", "float32"),
    ("train.1.dpo", "bfloat16"),
    ("measure.0.instruction@train.1.dpo", "float32"),
    ("train.2.reward", "bfloat16"),  # its trunk was lent, and RLOO trains it
    ("train.3.rloo", "bfloat16"),  # the reward model
    ("measure.0.instruction@train.3.rloo", "float32"),
    ("measure.3.reward@baseline", "float32"),  # and stays, for what the other models said
    ("measure.3.reward@train.0.sft", "float32"),
    ("measure.3.reward@train.1.dpo", "float32"),
    ("measure.3.reward@train.3.rloo", "float32"),  # and it is saved
]


def test_the_tiny_example_loads_a_model_twelve_times_and_a_large_one_is_alone(
    tiny_example: Path, loads: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = aligned(tiny_example)
    assert (folder / "model").is_dir()
    assert (folder / "reward").is_dir()
    assert loads.of == LOADS
    assert max(loads.held) == 2, "the start model beside the one that is compared with it"
    findings = (folder / "findings.jsonl").read_bytes()

    loads.of.clear()
    loads.held.clear()
    monkeypatch.setattr(model_store, "SMALL", 0)
    for stage in (folder / "stages").glob("*-measure.3.reward@*"):
        shutil.rmtree(stage)
    shutil.rmtree(folder / "reward")
    assert aligned(tiny_example) == folder
    measured = [job for job, dtype in loads.of if dtype == "float32"]
    after = [f"measure.3.reward@{model}" for model in ("train.0.sft", "train.1.dpo", "train.3.rloo")]
    assert measured == ["measure.3.reward@baseline", *(job for job in after for _ in "ab")]
    assert max(loads.held) == 1
    assert (folder / "findings.jsonl").read_bytes() == findings


def test_a_judge_goes_when_no_job_to_come_needs_it(tmp_path: Path, loads: Loads) -> None:
    spec = make_project(tmp_path)
    spec.write_text(JUDGED)
    aligned(spec)
    assert loads.judges == {
        "measure.0.tax@baseline": (None, None),
        "feedback.0.written": (None, None),
        "aggregate.pooled": (None, None),
        "train.0.reward": (None, None),
        "train.1.rloo": (None, "train.0.reward"),
        "measure.0.tax@train.1.rloo": (None, None),
    }
