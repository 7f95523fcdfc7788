"""Is a reward function called by TRL's own GRPOTrainer with what it is called with here?

TRL runs in a process of its own, on the CPU, for one step over a tiny random model: the Python of an
environment that has it is named in ALIGNWRIGHT_TRL, such as that of `python -m venv trl && trl/bin/pip
install trl`. What the trainer handed to the function is written down there, and the same function is
called here with the same completions.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tiny import make_tiny

from alignwright.feedback.reward_function import batch_scores
from alignwright.files.data_file import DataFile
from alignwright.files.rule_references import kept_columns
from alignwright.files.sources import read_prompts

INSIDE = {"completion_ids", "trainer_state"}
"""Arguments that belong to a trainer's inside and are not given here."""
FUNCTION = """
def reward(prompts, completions, answer, log_extra=None, log_metric=None, **columns):
    calls.append({"prompts": prompts, "completions": completions, "answer": answer, "columns": columns})
    given.append(log_extra is not None and log_metric is not None)
    return [None if place == 0 else float(len(str(each))) for place, each in enumerate(completions)]
"""
TRAIN = """
import json, sys
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

calls, given, words = [], [], sys.argv[1:]
exec(words[3])
trainer = GRPOTrainer(
    model=words[0], reward_funcs=reward, train_dataset=Dataset.from_list(json.loads(words[1])),
    args=GRPOConfig(
        output_dir=words[2], max_steps=1, per_device_train_batch_size=2, num_generations=2, max_completion_length=4,
        use_cpu=True, bf16=False, report_to=[], save_strategy="no", disable_tqdm=True, gradient_checkpointing=False,
    ),
)
trainer.train()
call = calls[0]
columns, inside = call.pop("columns"), ("completion_ids", "trainer_state")
there = [name for name in inside if columns.pop(name, None) is not None]
print("CALL", json.dumps({**call, **columns, "given": given[0], "inside": there}))
"""
TEXTS = [{"prompt": "The sky is", "answer": "blue", "n": 1}, {"prompt": "The sun is", "answer": "up", "n": 2}]
TALKS = [{**row, "prompt": [{"role": "user", "content": row["prompt"]}]} for row in TEXTS]


@pytest.mark.parametrize("rows", [TEXTS, TALKS], ids=["texts", "messages"])
def test_trl_calls_it_with_the_same_arguments(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    program = shutil.which(os.environ.get("ALIGNWRIGHT_TRL", ""))
    if program is None:
        pytest.skip("TRL is not there; name the Python of an environment that has it in ALIGNWRIGHT_TRL")
    make_tiny(tmp_path / "model")
    words = [str(tmp_path / "model"), json.dumps(rows), str(tmp_path / "out"), FUNCTION]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run([program, "-c", TRAIN, *words], capture_output=True, text=True, env=clean, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    theirs = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("CALL")).removeprefix("CALL"))
    assert theirs.pop("given")  # both loggers are there
    assert set(theirs.pop("inside")) == INSIDE

    # the same rows and completions, here
    space: dict[str, Any] = {"calls": [], "given": []}
    exec(FUNCTION, space)
    (tmp_path / "f.py").write_text(FUNCTION)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    keep = kept_columns([f"{tmp_path / 'f.py'}:reward"], Path)
    prompts = list(read_prompts(str(DataFile(file=str(tmp_path / "rows.jsonl"))), keep=keep).rows)
    asked = theirs["prompts"][0]  # a step's batch: one prompt and its two completions
    prompt = prompts[[row["prompt"] for row in rows].index(asked)]
    texts = [each if isinstance(each, str) else each[0]["content"] for each in theirs["completions"]]
    scores = batch_scores(space["reward"], "f.py:reward", [prompt], [texts])
    (ours,) = space["calls"]
    assert space["given"] == [True]
    assert {**{k: v for k, v in ours.items() if k != "columns"}, **ours["columns"]} == theirs
    assert scores[0][0] is None  # None is no score, as there
    assert scores[0][1] is not None
