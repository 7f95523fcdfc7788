"""Does a program get by `import alignwright` what the command line shows, and nothing loaded that it
did not ask for?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from run_case import make_project

import alignwright as aw
from alignwright import cli


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def run(spec: Path) -> aw.Run:
    return aw.align(spec, runs=spec.parent / "runs", quiet=True)


def test_importing_loads_nothing_and_using_it_no_torch() -> None:
    code = (
        "import sys; before = set(sys.modules); import alignwright as aw\n"
        "print(sorted(m for m in set(sys.modules) - before if 'alignwright' in m))\n"
        "print(len([getattr(aw, name) for name in dir(aw)]), 'torch' in sys.modules)\n"
        "try: aw.nothing\nexcept AttributeError as error: print(error)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.splitlines() == [
        "['alignwright', 'alignwright.core', 'alignwright.core.version']",
        f"{len(aw.__all__)} False",
        "module 'alignwright' has no attribute 'nothing'",
    ]


def test_all_that_is_offered_is_documented() -> None:
    undocumented = [name for name in aw.__all__ if name != "__version__" and not getattr(aw, name).__doc__]
    members = [name for name in vars(aw.Run) if not name.startswith("_") and not getattr(aw.Run, name).__doc__]
    assert undocumented == members == []


def test_quiet_is_quiet_and_otherwise_the_same_is_printed_as_by_the_command(
    spec: Path, run: aw.Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, options = spec.parent / "runs", ["--runs", str(spec.parent / "runs")]
    calls = [
        (lambda quiet: aw.check(spec, quiet=quiet), ["check", spec]),
        (lambda quiet: aw.check(spec, quick=True, quiet=quiet), ["check", spec, "--quick"]),
        (lambda quiet: aw.estimate(spec, runs=runs, quiet=quiet), ["align", spec, "--dry-run", *options]),
        (
            lambda quiet: aw.estimate(spec, model=spec.parent / "model", runs=runs, quiet=quiet),
            ["audit", spec, "--dry-run", "--model", spec.parent / "model", *options],
        ),
    ]
    capsys.readouterr()
    for call, command in calls:
        call(True)
        assert capsys.readouterr() == ("", "")
        call(False)
        here = capsys.readouterr().out
        monkeypatch.setattr(sys, "argv", ["alignwright", *map(str, command)])
        with pytest.raises(SystemExit):
            cli.main()
        assert capsys.readouterr().out == here != ""


def test_a_run_is_what_its_files_say(run: aw.Run) -> None:
    lines = (run.path / "findings.jsonl").read_text().splitlines()
    verdicts = json.loads((run.path / "promises.json").read_text())["verdicts"]
    assert [finding.claim for finding in run.findings] == [json.loads(line)["claim"] for line in lines]
    assert [(v.promise, v.answer) for v in run.promises] == [(v["promise"], v["answer"]) for v in verdicts]
    assert run.stages == ("baseline", "train.0.sft", "train.1.dpo")
    assert run.report.read_text().startswith("<!")
    of_one = run.findings.of("value.pairs", "baseline")
    assert {(f.claim, f.stage) for f in of_one} == {("value.pairs", "baseline")}
    assert 0 < len(of_one) < len(run.findings.of("value.pairs")) < len(run.findings)
    answers = {v.answer for v in run.promises}
    assert run.verdict == next(a for a in ("broken", "untested", "kept") if a in answers)
    assert str(run.path) in repr(run)
    assert all(verdict.promise in str(run) for verdict in run.promises)


def test_the_findings_are_a_table_with_pandas_and_without(run: aw.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = run.findings.to_dicts()
    frame = run.findings.to_pandas()
    assert list(frame.columns) == list(rows[0])
    assert frame["claim"].tolist() == [row["claim"] for row in rows]
    assert frame["value"].dropna().tolist() == [row["value"] for row in rows if row["value"] is not None]
    assert list(aw.Findings().to_pandas().columns) == list(rows[0])  # an empty table has its columns too
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'alignwright\[pandas\]'"):
        run.findings.to_pandas()


def test_the_model_is_the_one_that_was_measured(run: aw.Run, spec: Path) -> None:
    prompts, words = [aw.Conversation.user("tell about sun?")], [["kind sun"]]
    model, start = run.model(), aw.load_model(spec.parent / "model")
    (replies,) = model.generate(prompts, n=2, max_new_tokens=4, seed=1)
    assert len(replies) == 2
    after, before = (m.logprobs(prompts, words)[0][0].total for m in (model, start))
    assert after != before  # it was trained
    assert aw.load_model(run.path).logprobs(prompts, words)[0][0].total == after


def test_the_same_call_resumes_and_a_mapping_is_the_same_run(
    spec: Path, run: aw.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mapping's paths are those of the working directory; tuples and paths are as good as lists and texts."""
    monkeypatch.chdir(spec.parent)
    mapping = yaml.safe_load(spec.read_text())
    mapping["intent"]["prompts"] = (Path("prompts.jsonl"),)
    made = (run.path / "ledger.json").stat().st_mtime_ns
    again = aw.align(mapping, runs="runs", quiet=True)
    assert again.path.resolve() == run.path.resolve()
    assert again.findings == run.findings
    assert (run.path / "ledger.json").stat().st_mtime_ns == made  # nothing was done again
    assert yaml.safe_load((run.path / "spec" / "spec.yaml").read_text()) == yaml.safe_load(spec.read_text())
    assert mapping["intent"]["prompts"] == (Path("prompts.jsonl"),)  # what was given is left as it was


def test_overrides_are_a_mapping_or_lines(spec: Path, run: aw.Run) -> None:
    lines, mapping = (
        aw.estimate(spec, overrides=overrides, runs=spec.parent / "runs", quiet=True)
        for overrides in (["train.1.beta=0.3"], {"train.1.beta": 0.3})
    )
    assert lines == mapping
    assert lines.folder != run.path
    with pytest.raises(TypeError, match="a mapping or a list"):
        aw.check(spec, overrides="train.1.beta=0.3", quiet=True)


def test_an_audit_measures_and_has_no_model(spec: Path) -> None:
    audit = aw.audit(spec, model=spec.parent / "model", runs=spec.parent / "audits", quiet=True)
    assert audit.stages == ("baseline",)
    assert audit.findings.of("tax.bits_per_byte")
    with pytest.raises(FileNotFoundError, match=r"measured .*model and trained nothing"):
        audit.model()


def test_what_is_wrong_is_an_exception_with_all_of_it(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(spec.parent)
    mapping = yaml.safe_load(spec.read_text())
    mapping["train"][1]["betta"] = 0.1
    mapping["seeed"] = 1
    with pytest.raises(aw.SpecError) as caught:
        aw.align(mapping, quiet=True)
    assert caught.value.problems == (
        "spec: train.1.dpo.betta: no such field; did you mean 'beta'?",
        "spec: seeed: no such field; did you mean 'seed'?",
    )
    with pytest.raises(aw.SpecError, match=r"spec: cannot be written as YAML: .*is a set"):
        aw.check({"name": "x", "intent": {"pairs": {1, 2}}}, quiet=True)
    with pytest.raises(aw.SpecError, match="no such file"):
        aw.check(tmp_path / "absent.yaml", quiet=True)
    with pytest.raises(aw.ModelError):
        aw.load_model("./nowhere")
    with pytest.raises(FileNotFoundError, match="promises"):
        aw.Run(tmp_path)
