"""Are two models compared by a spec's questions, each audited once, and is a name that means nothing said?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from chat_server import server
from run_case import make_project
from tiny import make_tiny

import alignwright as aw
from alignwright import cli
from alignwright.run.comparison.log_comparison import LogComparison


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    make_project(folder)
    make_tiny(folder / "other", seed=5)
    return folder


@pytest.fixture(scope="module")
def comparison(project: Path) -> LogComparison:
    return compare(project, project / "model", project / "other")


def compare(project: Path, a: str | Path, b: str | Path, **more: object) -> LogComparison:
    more = {"spec": project / "spec.yaml", "runs": project / "runs", "quiet": True, **more}
    return aw.compare(a, b, **more)  # type: ignore[arg-type]


def compare_words(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["alignwright", "compare", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


def test_two_models_are_compared_by_the_spec_as_their_audits_are(project: Path, comparison: LogComparison) -> None:
    audits = [
        aw.audit(project / "spec.yaml", model=project / name, runs=project / "runs", quiet=True)
        for name in ("model", "other")
    ]
    of_runs = aw.compare(*(run.path for run in audits), quiet=True)
    assert comparison.changes == of_runs.changes
    assert [Path(side).name for side in (comparison.a, comparison.b)] == ["model", "other"]
    bits = {run.path: next(f for f in run.findings if f.claim == "tax.bits_per_byte") for run in audits}
    change = next(change for change in comparison.changes if change.claim == "tax.bits_per_byte")
    assert [change.a, change.b] == pytest.approx([finding.value for finding in bits.values()])
    assert change.value
    assert change.n == 12


def test_an_audit_that_was_done_is_not_done_again(
    project: Path, comparison: LogComparison, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (project / "model", project / "other", "--spec", project / "spec.yaml", "--runs", project / "runs")
    assert compare_words(monkeypatch, *words) == 0
    screen = capsys.readouterr().out
    assert screen.count("cached") == 8  # four stages of either
    assert "\u2713" not in screen
    assert compare_words(monkeypatch, *words, "--set", "measure.2.limit=4") == 0
    assert capsys.readouterr().out.count("\u2713") == 2  # the control: one stage of either is another now


def test_a_model_and_a_run_are_compared_where_the_questions_are_the_same(
    project: Path, comparison: LogComparison
) -> None:
    run = aw.audit(project / "spec.yaml", model=project / "other", runs=project / "runs", quiet=True)
    assert compare(project, project / "model", run.path).changes == comparison.changes


def test_what_a_server_does_not_give_leaves_the_comparison_undecided(project: Path) -> None:
    with server(lambda body, times: "I will not.") as (name, _):
        mixed = compare(project, project / "model", name, margin=0.9)
    assert set(mixed.unanswered) == {"value.pairs", "tax.bits_per_byte"}
    assert mixed.exit_code == 3
    assert any("tax.bits_per_byte has no scores" in note for note in mixed.notes)


@pytest.mark.parametrize(
    ("a", "spec", "message"),
    [
        ("model", False, "is a model: name the spec whose questions are put to it, --spec SPEC"),
        ("http://localhost:1/v1#m", False, "is a model: name the spec"),
        ("nobody/model-7b", False, "if it is a model of the Hub, name the spec"),
        ("none.eval", True, "there is no such log"),
        ("spec.yaml", True, "is none of what can be compared"),
        ("nothing here", True, "there is no such run, log or model"),
        ("http://me:s3cret@host/v1#m", True, "holds no user and no password"),
        ("~nobody-here/x", True, "there is no such run, log or model"),
    ],
)
def test_a_name_that_leads_nowhere_is_said_before_anything_is_measured(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], a: str, spec: bool, message: str
) -> None:
    monkeypatch.chdir(project)
    options = ("--spec", "spec.yaml", "--runs", "none") if spec else ()
    assert compare_words(monkeypatch, a, "other", *options) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "s3cret" not in err
    assert not (project / "none").exists()


def test_a_spec_without_a_model_and_overrides_without_a_spec_are_errors(
    project: Path, comparison: LogComparison
) -> None:
    run = aw.audit(project / "spec.yaml", model=project / "other", runs=project / "runs", quiet=True).path
    with pytest.raises(ValueError, match="--spec has no effect"):
        compare(project, run, run)
    with pytest.raises(ValueError, match="overrides have no effect"):
        aw.compare(run, run, overrides=["seed=2"], quiet=True)
    with pytest.raises(ValueError, match="a margin is above 0"):
        compare(project, project / "model", project / "other", margin=0, runs=project / "none")
    assert not (project / "none").exists()
