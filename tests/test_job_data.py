"""Does a stage get the rows that its spec says, and does a run read back what it wrote, whatever
the texts hold?"""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from run_case import make_project

from alignwright.core.records import Conversation, Prompt, Record, SampleResult
from alignwright.experiment.cache_key import cache_keys
from alignwright.experiment.load import check, load
from alignwright.experiment.plan import plan
from alignwright.files.contents import records
from alignwright.files.errors import SpecError
from alignwright.files.lines import lines_of
from alignwright.job.data import subsample_evenly
from alignwright.job.records import write_records
from alignwright.run.align import Request, align
from alignwright.run.compare import compare
from alignwright.run.doctor import KnownData
from alignwright.run.progress import View
from alignwright.train.knobs import Pretrain, Sft

ENDS = "\u2028\u2029\u0085\x0b\x0c\x1c\x1d\x1e"
"""What Python's `splitlines` takes for an end of a line."""
SPEC = """
name: lines
model: ./model
intent:
  prompts: [prompts.jsonl]
  pairs: [pairs.jsonl]
collect: {samples: 2, limit: 2, max_new_tokens: 4}
feedback:
- {by: written}
train:
- {by: sft, data: [chosen, talk.jsonl], limit: 5, epochs: 1, rank: 2, batch_tokens: 200}
- {by: dpo, epochs: 1, rank: 2, batch_tokens: 200}
attack:
- {by: suite, name: jailbreaks, prompts: [refusal.jsonl], limit: 1, max_new_tokens: 4}
measure:
- {by: value, prompts: [refusal.jsonl], pairs: [held.jsonl], limit: 2, max_new_tokens: 4}
- {by: tax, text: [text.jsonl], limit: 2}
promises:
- tax.bits_per_byte < 9
"""


def talk(folder: Path, name: str, rows: range) -> None:
    said = [
        {"messages": [{"role": "user", "content": f"say {n}"}, {"role": "assistant", "content": f"number {n}"}]}
        for n in rows
    ]
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in said))


def test_a_line_of_a_file_of_records_ends_at_its_line_feed(tmp_path: Path) -> None:
    said = Prompt(conversation=Conversation.user(f"a{ENDS}b\r\nc\rd"))
    write_records(tmp_path / "r.jsonl", [said, said])
    assert len((tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()) > 2  # why it matters
    assert records(tmp_path / "r.jsonl", Prompt) == [said, said]
    assert lines_of("a\r\nb\n\nc") == ["a", "b", "", "c"]
    assert lines_of("") == []


def test_a_run_whose_texts_hold_every_end_of_a_line_comes_to_its_end(tmp_path: Path) -> None:
    make_project(tmp_path)
    for name in ("prompts", "pairs", "held", "refusal", "text"):
        rows = [json.loads(line) for line in lines_of((tmp_path / f"{name}.jsonl").read_text())]
        named = ("topic", "kind", "principle")
        odd = [
            {key: value if key in named else value.replace(" ", f"{ENDS} ") for key, value in row.items()}
            for row in rows
        ]
        (tmp_path / f"{name}.jsonl").write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in odd), encoding="utf-8"
        )
    talk(tmp_path, "talk.jsonl", range(9))
    (tmp_path / "lines.yaml").write_text(SPEC)
    check(tmp_path / "lines.yaml")

    def run() -> tuple[Path, str]:
        console = Console(file=io.StringIO(), width=200)
        return align(
            Request(tmp_path / "lines.yaml", (), runs=tmp_path / "runs"), View(console)
        ), console.file.getvalue()  # type: ignore[attr-defined]

    folder, _ = run()
    kept = (folder / "findings.jsonl").read_bytes()
    again, told = run()
    assert (again, (again / "findings.jsonl").read_bytes()) == (folder, kept)
    assert "cached" in told
    assert compare(folder, again).row_count > 0
    held = [outcome for path in sorted(folder.rglob("outcomes.jsonl")) for outcome in records(path, SampleResult)]
    assert any(ENDS in outcome.prompt.last.content for outcome in held if outcome.prompt)  # the texts were those
    (chosen,) = folder.rglob("preferences.jsonl")
    assert ENDS[:3] in chosen.read_text(encoding="utf-8")


# ---- a limit on what is trained on ---------------------------------------------------------------
def limited(folder: Path, stage: str) -> Path:
    make_project(folder)
    talk(folder, "a.jsonl", range(90))
    talk(folder, "b.jsonl", range(90, 100))
    path = folder / "limit.yaml"
    path.write_text(
        "name: limit\nmodel: ./model\nintent: {pairs: [pairs.jsonl]}\nfeedback: [{by: written}]\ntrain:\n-"
        f" {stage}\n"
    )
    return path


def test_a_stage_takes_at_most_its_limit_spread_over_its_files(tmp_path: Path) -> None:
    path = limited(tmp_path, "{by: sft, data: [a.jsonl, b.jsonl], limit: 10}")
    experiment = load(path)
    stage = experiment.train[0]
    assert isinstance(stage, Sft)
    said = [
        conversation.messages[0].content
        for conversation in experiment.data.conversations(stage.conversations, stage.limit)
    ]
    assert said == [f"say {10 * n}" for n in range(10)]
    sources, _ = KnownData(experiment).sources(stage)
    assert len(sources) == 10  # what is shown before the run is what is trained on
    whole = load(path, ["train.0.limit=1000"])
    assert len(whole.data.conversations(whole.train[0].conversations, whole.train[0].limit)) == 100  # type: ignore[arg-type]
    texts = load(limited(tmp_path, "{by: pretrain, text: [text.jsonl], limit: 3}"))
    pretrain = texts.train[0]
    assert isinstance(pretrain, Pretrain)
    assert len(KnownData(texts).sources(pretrain)[0]) == 3


def test_the_limit_is_part_of_the_key_of_its_stage(tmp_path: Path) -> None:
    path = limited(tmp_path, "{by: sft, data: [a.jsonl, b.jsonl], limit: 10}")

    def key(*overrides: str) -> str:
        experiment = load(path, overrides)
        return cache_keys(experiment, plan(experiment))["train.0.sft"]

    assert key() == key("train.0.limit=10")
    assert len({key(), key("train.0.limit=11"), key("train.0.limit=null")}) == 3


def test_a_limit_without_files_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"limit\.yaml:6: train\.0\.sft\.limit: has no effect"):
        load(limited(tmp_path, "{by: sft, limit: 10}"))


def test_rows_are_spread_over_all_that_there_are() -> None:
    rows = [Record() for _ in range(7)]
    assert [next(i for i, row in enumerate(rows) if row is kept) for kept in subsample_evenly(rows, 3)] == [0, 2, 4]
