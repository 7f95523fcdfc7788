"""Do models on the way back to the start become a front, from the spec to the report and the
command?"""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import report_case
from rich.console import Console
from run_case import make_project
from typer.testing import CliRunner

from alignwright.cli import app
from alignwright.experiment.spec_file import read_spec
from alignwright.files.contents import contents
from alignwright.files.fingerprint import model_fingerprint
from alignwright.files.models import resolve
from alignwright.report import read
from alignwright.report.page import html
from alignwright.run.align import Request, align
from alignwright.run.compare import read_findings
from alignwright.run.pareto_table import table
from alignwright.run.progress import View
from alignwright.run.run_folder import run_date
from alignwright.run.saved_models import stale
from alignwright.stats.pareto import axes, points

SPEC = """
name: small
model: ./model
intent: {pairs: [pairs.jsonl]}
feedback: [{by: written}]
train:
- {by: dpo, epochs: 3, lr: 0.02, rank: 2, batch_tokens: 200}
- {by: average, share: 0.5}
- {by: average, share: 0.0}
measure:
- {by: value, pairs: [held.jsonl]}
- {by: tax, text: [text.jsonl], prompts: [prompts.jsonl], margin: 0.5, max_new_tokens: 4}
promises: [tax.generation.loops < 0.9]
"""


def test_shares_of_a_training_are_points_between_it_and_the_start(tmp_path: Path) -> None:
    make_project(tmp_path)
    (tmp_path / "spec.yaml").write_text(SPEC)
    run = align(Request(tmp_path / "spec.yaml", runs=tmp_path / "runs"), View(Console(file=io.StringIO())))
    findings = read_findings(run)
    over = axes(findings)
    assert over == ("value.pairs", "tax.bits_per_byte")
    found = {p.name: p for p in points(findings, *over)}
    dpo, half, none = (found[name] for name in ("train.0.dpo", "train.1.average", "train.2.average"))
    assert len({dpo.tax, half.tax, none.tax}) == 3
    assert (none.tax, none.gain) == (0.0, 0.0)  # all the way back is the start model
    (tax,) = [f for f in findings if f.claim == "tax.bits_per_byte" and f.stage == "train.0.dpo" and f.against]
    assert "margin 0.5" in tax.method
    assert tax.note.startswith("no tax beyond 0.5 bits/byte")  # a random model has nothing to lose
    page = html(read(run))
    assert "Gain against cost" in page
    assert "no tax beyond 0.5 bits/byte" in page
    shown = CliRunner().invoke(app, ["front", str(run)])
    assert shown.exit_code == 0, shown.output
    assert "train.1.average" in shown.output
    assert "below 0.5" in " ".join(shown.output.split())  # the margin that the spec gave, not one of the command's own
    noted = json.loads((run / "spec" / "provenance.json").read_text())
    assert noted["weights"] == model_fingerprint(resolve("./model", tmp_path))


def test_the_example_of_the_front_is_a_spec() -> None:
    experiment, _ = read_spec(Path(__file__).parents[1] / "examples" / "tax_front.yaml")
    assert [stage.by for stage in experiment.train] == ["dpo", "average", "average", "average"]


def test_a_run_whose_own_notes_are_damaged_is_told_with_the_file(tmp_path: Path) -> None:
    """Each was an error of Python's own, without a file."""
    runs = [report_case.write(tmp_path / name, *report_case.case()) for name in ("a", "b")]
    for run in runs:
        (run / "spec").mkdir()
        (run / "spec" / "resolved.json").write_text('{"model": "m", "date": "2024-01-02"}')
        (run / "spec" / "provenance.json").write_text('{"weights": "w"}')
    assert table(runs, None, None, None).row_count == 4
    assert run_date(runs[0]) == "2024-01-02"
    for name, damaged in (
        ("resolved", ("[]", "{", "{}", '{"model": 3}', "\xff")),
        ("provenance", ('"x"', '{"weights": []}', "")),
    ):
        path = runs[1] / "spec" / f"{name}.json"
        right = path.read_text()
        for content in damaged:
            path.write_bytes(content.encode("latin-1"))
            with pytest.raises(ValueError, match=rf"^{path}: .*run the same spec again"):
                table(runs, None, None, None)
            if name == "resolved" and "{}" not in content and "model" not in content:
                with pytest.raises(ValueError, match=rf"^{path}: damaged"):
                    run_date(runs[1])
        path.write_text(right)


def test_a_saved_models_mark_that_is_damaged_has_the_model_written_again(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    for files in ({"config.json": 3}, {"config.json": "3"}, [], {}):
        (tmp_path / ".key").write_text(json.dumps({"key": "k", "files": files}))
        assert stale(tmp_path, "k") == ""
    (tmp_path / ".key").write_text(json.dumps({"key": "k", "files": contents(tmp_path)}))
    assert stale(tmp_path, "k") is None
