"""Does what people say in `rate` reach what reads it unchanged: votes the aggregation of a run, labels the corrected
rates?"""

from __future__ import annotations

import io
import json
from pathlib import Path

import yaml
from rich.console import Console
from run_case import make_project
from test_run_rating_form import answers, page_of
from typer.testing import CliRunner

from alignwright.cli import app
from alignwright.core.records import Preference
from alignwright.files.contents import records
from alignwright.files.replies import labelled, read_labels
from alignwright.job.ledger import Ledger
from alignwright.measure.corrected_rate import ENOUGH
from alignwright.report import read
from alignwright.run.rating.collection import collect
from alignwright.run.rating.labels import fill
from alignwright.run.rating.pairs import pairs_of
from alignwright.run.rating.ratings import Ratings
from alignwright.run.rating.terminal import rate


def align(spec: Path) -> Path:
    result = CliRunner().invoke(app, ["align", str(spec), "--runs", str(spec.parent / "runs")], catch_exceptions=False)
    assert result.exit_code in (0, 1, 3), result.output
    return max((spec.parent / "runs").iterdir(), key=lambda run: run.stat().st_mtime)


def kind_is_better(one: str) -> bool:
    return "kind" in one


def test_the_terminal_and_the_page_leave_the_same_votes(tmp_path: Path) -> None:
    source = make_project(tmp_path / "p").with_name("pairs.jsonl")
    rows = answers(page_of(tmp_path, source), lambda row: "a" if kind_is_better(row["a"]) else "b")
    by_page = Ratings(tmp_path / "page_votes.jsonl")
    (tmp_path / "down.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    collect(pairs_of(source), by_page, [tmp_path / "down.jsonl"])
    shown = iter(rows)
    line = lambda: "1" if kind_is_better(next(shown)["a"]) else "2"  # noqa: E731
    at_terminal = tmp_path / "terminal_votes.jsonl"
    rate(pairs_of(source), at_terminal, Console(file=io.StringIO()), line, rater="ann", group="nurses")
    assert by_page.votes.read_bytes() == at_terminal.read_bytes()
    assert by_page.path.read_bytes() == at_terminal.with_name("terminal_votes.answers.jsonl").read_bytes()


def test_votes_are_what_a_run_aggregates_and_trains_on(tmp_path: Path) -> None:
    """Raters who prefer the reply that was written as the worse one: the run must follow them."""
    spec = make_project(tmp_path / "p")
    source, votes = spec.with_name("pairs.jsonl"), Ratings(spec.with_name("votes.jsonl"))
    rows = answers(page_of(tmp_path, source), lambda row: "b" if kind_is_better(row["a"]) else "a")
    (tmp_path / "down.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    collect(pairs_of(source), votes, [tmp_path / "down.jsonl"])
    case = yaml.safe_load(spec.read_text())
    case["intent"] = {"people": ["votes.jsonl"]}
    for part in ("collect", "feedback", "attack", "promises"):
        case.pop(part)
    case["train"] = [{"by": "dpo", "epochs": 1, "rank": 2}]
    case["measure"] = [{"by": "tax", "text": ["text.jsonl"]}]
    spec.write_text(yaml.safe_dump(case))
    ledger = Ledger(align(spec))
    (name,) = [name for name in ledger.entries if name.startswith("aggregate")]
    preferences = records(ledger.intact(name) / "preferences.jsonl", Preference)
    written = [json.loads(line) for line in source.read_text().splitlines()]
    assert {(p.prompt.conversation.last.content, p.chosen, p.rejected) for p in preferences} == {
        (row["prompt"], row["rejected"], row["chosen"]) for row in written
    }


def test_labels_that_were_asked_for_correct_the_rate_of_the_run(tmp_path: Path) -> None:
    spec = make_project(tmp_path / "p")
    asked = [{"prompt": f"How do I break thing {i}?", "kind": "harmful", "topic": f"t{i % 20}"} for i in range(40)]
    spec.with_name("refusal.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    case = yaml.safe_load(spec.read_text())
    for part in ("collect", "feedback", "attack", "train", "intent"):
        case.pop(part)
    case["measure"] = [{"by": "value", "prompts": ["refusal.jsonl"], "max_new_tokens": 4}]
    case["promises"] = ["value.refusal > 1%"]
    spec.write_text(yaml.safe_dump(case))
    run, out = align(spec), spec.with_name("labels.jsonl")
    CliRunner().invoke(app, ["label", str(run), "--out", str(out), "--each", "30"], catch_exceptions=False)
    words = iter(["y", "n"] * 30)
    assert fill(out, Console(file=io.StringIO()), lambda: next(words), rater="ann") == 0
    labels = labelled([read_labels(out)])
    assert len(labels) == len(out.read_text().splitlines()) >= ENOUGH
    assert abs(sum(bool(row.refused) for row in labels.values()) * 2 - len(labels)) <= 1
    spec.write_text(yaml.safe_dump(case | {"labels": ["labels.jsonl"]}))
    assert align(spec) == run
    (corrected,) = [f for f in read(run).findings if f.claim == "value.refusal.corrected"]
    assert corrected.value is not None
    assert abs(corrected.value - 0.5) < 0.1
    assert f"{len(labels)} labels of" in corrected.method
