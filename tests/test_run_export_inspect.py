"""Does Inspect's own reader find a run's numbers in the logs that are written for it?"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from stored_run import HOSTILE, stored_run

from alignwright.run.export.inspect_logs import write_inspect

READER = """
import json, math, sys
from inspect_ai.log import list_eval_logs, read_eval_log
from inspect_ai.scorer import value_to_float
number = value_to_float()
logs = []
for info in list_eval_logs(sys.argv[1]):
    header, log = read_eval_log(info, header_only=True), read_eval_log(info)
    assert header.samples is None
    (score,) = header.results.scores
    logs.append({
        "task": header.eval.task, "model": header.eval.model, "epochs": header.eval.config.epochs,
        "metrics": {name: metric.value for name, metric in score.metrics.items()},
        "unscored": score.unscored_samples, "findings": header.eval.metadata["findings"],
        "samples": [[s.id, s.epoch, s.input if isinstance(s.input, str) else s.input[-1].text, s.output.completion,
                     str(s.scores["alignwright"].value), s.scores["alignwright"].explanation, bool(s.error)]
                    for s in log.samples or []],
        "scored": [number(s.scores["alignwright"].value) for s in log.samples or []
                   if not math.isnan(number(s.scores["alignwright"].value))],
    })
print("LOGS" + json.dumps(logs))
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return stored_run(tmp_path / "run")


def _header(path: Path) -> dict[str, Any]:
    with ZipFile(path) as archive:
        return json.loads(archive.read("header.json"))


def test_every_finding_lies_in_a_log_whole(run: Path, tmp_path: Path):
    headers = [_header(path) for path in write_inspect(run, tmp_path / "logs")]
    written = [finding for header in headers for finding in header["eval"]["metadata"]["findings"]]
    stored = [json.loads(line) for line in (run / "findings.jsonl").read_text().splitlines()]
    for finding in stored:
        finding.pop("exhibits")
    assert sorted(written, key=json.dumps) == sorted(stored, key=json.dumps)


def test_accuracy_is_the_share_that_the_claim_counts(run: Path, tmp_path: Path):
    scores = {h["eval"]["task"]: h["results"]["scores"][0] for h in map(_header, write_inspect(run, tmp_path / "logs"))
              if h["results"]["total_samples"]}  # fmt: skip
    metrics = {task: {name: m["value"] for name, m in score["metrics"].items()} for task, score in scores.items()}
    assert metrics["value.refusal"]["accuracy"] == metrics["value.refusal"]["value"] == 1 / 3
    assert metrics["attack.success"]["accuracy"] == metrics["attack.success"]["value"] == 2 / 3
    assert metrics["tax.bits_per_byte"]["mean"] == 2.0
    assert "accuracy" not in metrics["tax.bits_per_byte"]
    assert scores["value.refusal"]["unscored_samples"] == 2


def test_the_same_run_gives_the_same_bytes_and_no_log_is_mixed_in(run: Path, tmp_path: Path):
    one, two = write_inspect(run, tmp_path / "one"), write_inspect(run, tmp_path / "two")
    assert [(p.name, p.read_bytes()) for p in one] == [(p.name, p.read_bytes()) for p in two]
    with pytest.raises(ValueError, match="not an empty folder"):
        write_inspect(run, tmp_path / "one")


def test_an_export_made_again_takes_the_place_of_the_runs_own(run: Path):
    """As those of the other forms do; a log that the run no longer has does not stay behind."""
    once = write_inspect(run)
    (once[0].parent / "old.eval").write_bytes(b"")
    assert [path.parent for path in once] == [run / "export" / "inspect"] * len(once)
    assert write_inspect(run) == once
    assert sorted((run / "export" / "inspect").iterdir()) == sorted(once)


def test_inspects_own_reader_opens_the_logs(run: Path, tmp_path: Path):
    beside = Path(__file__).parents[1] / ".venv-inspect" / "bin" / "inspect"
    program = shutil.which(os.environ.get("ALIGNWRIGHT_INSPECT") or str(beside))
    if program is None:
        pytest.skip("Inspect is not there; name its command in ALIGNWRIGHT_INSPECT, or: make inspect")
    write_inspect(run, tmp_path / "logs")
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        [str(Path(program).with_name("python")), "-c", READER, str(tmp_path / "logs")],
        env=kept | {"HOME": str(tmp_path)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    logs = json.loads(done.stdout.partition("LOGS")[2])
    assert len(logs) == 5
    refusal = next(log for log in logs if log["task"] == "value.refusal" and log["samples"])
    assert (refusal["model"], refusal["epochs"], refusal["unscored"]) == ("m@baseline", 2, 2)
    for log in (log for log in logs if log["samples"]):
        assert sum(log["scored"]) / len(log["scored"]) == log["metrics"]["value"]
    assert refusal["metrics"]["low"] == 0.1
    assert refusal["findings"][0]["method"] == "exact 95%"
    assert sorted(refusal["samples"]) == [
        ["a", 1, "ask a", HOSTILE, "C", "because a", False], ["a", 2, "ask a", "no", "I", "because a", False],
        ["b", 1, "ask b", "no", "I", "because b", False], ["c", 1, "ask c", "no", "nan", "because c", False],
        ["d", 1, "ask d", "no", "nan", "because d", True],
    ]  # fmt: skip
