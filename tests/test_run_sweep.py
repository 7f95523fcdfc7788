"""Is a spec of several seeds or of a grid the runs that it says, each stage done once, told together,
and gone on with after a kill?"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from run_case import make_project

import alignwright as aw
from alignwright.core.claims import Claim
from alignwright.core.records import Finding
from alignwright.core.section import Section, Table
from alignwright.experiment.cache_key import job_keys
from alignwright.experiment.experiment import resolve_effort
from alignwright.experiment.load import load
from alignwright.experiment.plan import plan
from alignwright.job.ledger import Ledger
from alignwright.run import execute
from alignwright.run.align import Request, align
from alignwright.run.pareto_table import table as front_table
from alignwright.run.progress import View
from alignwright.run.run_list import run_list, show_runs
from alignwright.run.sweep import align as sweep
from alignwright.run.sweep.align import align_all
from alignwright.run.sweep.members import members_of
from alignwright.run.sweep.seeds import pooled

SPEC = """
name: small
seed: 1
model: ./model
intent: {pairs: [pairs.jsonl]}
feedback:
- {by: written}
train:
- {by: sft, data: chosen, epochs: 1, rank: 2, batch_tokens: 200}
- {by: dpo, epochs: 1, rank: 2, batch_tokens: 200}
measure:
- {by: value, pairs: [held.jsonl]}
- {by: tax, text: [text.jsonl]}
promises:
- value.pairs.gain > -1
- tax.bits_per_byte < 0.00001
"""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_project(tmp_path_factory.mktemp("project"))
    path.write_text(SPEC)
    return path


@pytest.fixture(scope="module")
def seeds(spec: Path) -> aw.Run:
    return aw.align(spec, overrides={"seeds": 2}, runs=spec.parent / "runs", quiet=True)


@pytest.fixture(scope="module")
def grid(seeds: aw.Run, spec: Path) -> aw.Run:
    """Beside the runs over seeds, with which it shares its second point."""
    return aw.align(spec, overrides={"grid": {"train.1.beta": [0.4, 0.1]}}, runs=spec.parent / "runs", quiet=True)


def request(spec: Path, runs: Path, *overrides: str) -> Request:
    return Request(spec, overrides, runs=runs)


def quiet() -> View:
    return View(Console(file=io.StringIO(), width=500))


def runs_of(folder: Path) -> list[Path]:
    members = members_of(folder)
    assert members is not None
    return [folder.parent / member.folder for member in members.runs]


def test_each_seed_is_the_run_that_set_would_be_and_what_no_seed_changes_is_done_once(
    seeds: aw.Run, spec: Path, tmp_path: Path
) -> None:
    one, two = runs_of(seeds.path)
    plain = align(request(spec, tmp_path, "seed=2"), quiet())
    assert plain.name == two.name
    assert (plain / "findings.jsonl").read_bytes() == (two / "findings.jsonl").read_bytes()
    ledgers = [Ledger(run).entries for run in (one, two)]
    shared = {name for name in ledgers[0] if ledgers[0][name].key == ledgers[1][name].key}
    assert shared == {"measure.0.value@baseline", "measure.1.tax@baseline"}
    outcomes = [
        run / ledger["measure.0.value@baseline"].folder / "outcomes.jsonl"
        for run, ledger in zip((one, two), ledgers, strict=True)
    ]
    assert outcomes[0].samefile(outcomes[1])


def test_a_model_behind_a_server_shares_nothing_over_seeds_as_it_is_told_the_seed(spec: Path) -> None:
    only = (
        "train=[]",
        "feedback=[]",
        "intent.pairs=[]",
        "promises=[]",
        "measure.0.pairs=[]",
        "measure.0.prompts=[refusal.jsonl]",
    )
    keys: list[dict[str, str]] = []
    for model in ("./model", "http://127.0.0.1:1/v1#m"):
        for seed in (1, 2):
            experiment = resolve_effort(load(spec, (*only, f"model={model}", f"seed={seed}")))
            keys.append({name: key.key for name, key in job_keys(experiment, plan(experiment)).items()})
    local, other, served, served_other = keys
    assert local == other
    assert all(served[name] != served_other[name] for name in served)


def test_findings_over_seeds_are_means_with_intervals_and_promises_are_answered_by_them(seeds: aw.Run) -> None:
    cases = [aw.Run(run) for run in runs_of(seeds.path)]
    for finding in seeds.findings:
        same = [case.findings.of(finding.claim, finding.stage) for case in cases]
        values = [next(f.value for f in found if f.against == finding.against) for found in same]
        assert finding.value == pytest.approx(sum(values) / 2)
        assert "seed 1 " in finding.note
        assert "seed 2 " in finding.note
    (start,) = seeds.findings.of("tax.bits_per_byte", "baseline")
    (one,) = cases[0].findings.of("tax.bits_per_byte", "baseline")
    assert (start.low, start.high) == (pytest.approx(one.low), pytest.approx(one.high))  # it has no seed
    changes = [f for f in seeds.findings.of("tax.bits_per_byte", "train.1.dpo") if f.against]
    each = [[f for f in case.findings.of("tax.bits_per_byte", "train.1.dpo") if f.against] for case in cases]
    assert changes[0].high - changes[0].low > max(f.high - f.low for (f,) in each)
    assert changes[0].p is not None
    sections = [Section.model_validate_json(line) for line in (seeds.path / "sections.jsonl").read_text().splitlines()]
    promises = next(block for block in sections[0].blocks if isinstance(block, Table))
    words = [[cell.text for cell in row] for row in promises.rows]
    assert words == [
        [verdict.promise, *(case.promises[place].answer for case in cases), verdict.answer]
        for place, verdict in enumerate(seeds.promises)
    ]
    assert "Seed by seed" in seeds.report.read_text()
    assert "Seed by seed" in str(seeds)


def test_a_grid_has_a_row_a_point_and_what_lies_before_the_knob_is_done_once(grid: aw.Run, seeds: aw.Run) -> None:
    new, old = runs_of(grid.path)
    assert old == runs_of(seeds.path)[0]  # beta 0.1 is the spec as it is
    ledgers = [Ledger(run).entries for run in (new, old)]
    different = {name for name in ledgers[0] if ledgers[0][name].key != ledgers[1][name].key}
    assert different == {"train.1.dpo", "measure.0.value@train.1.dpo", "measure.1.tax@train.1.dpo"}
    (section,) = [Section.model_validate_json(line) for line in (grid.path / "sections.jsonl").read_text().splitlines()]
    rows = next(block for block in section.blocks if isinstance(block, Table)).rows
    assert [(row[0].text, row[-1].text) for row in rows] == [("0.4", new.name), ("0.1", old.name)]
    changes = [f for f in aw.Run(new).findings.of("value.pairs", "train.1.dpo") if f.against]
    assert rows[0][2].number is not None
    assert rows[0][2].number.value == changes[0].value
    assert new.name in str(grid)
    page = grid.report.read_text()
    assert "Point by point" in page
    assert "Nothing was measured" not in page


def test_a_promise_is_kept_over_a_grid_where_every_point_keeps_it(grid: aw.Run, tmp_path: Path) -> None:
    from alignwright.core.promises import PromiseReport
    from alignwright.run.sweep.grid import conclude_grid

    assert grid.promises[0].answer == "kept"
    assert grid.promises[0].reason == "kept at each of 2 points"
    members = members_of(grid.path)
    assert members is not None
    experiment = load(grid.path.parents[1] / "spec.yaml", ('grid={"train.1.beta": [0.4, 0.1]}',))
    for name, answers in zip([m.folder for m in members.runs], (("kept", "broken"), ("broken", "broken")), strict=True):
        report = PromiseReport.model_validate_json((grid.path.parent / name / "promises.json").read_text())
        verdicts = tuple(v.model_copy(update={"answer": a}) for v, a in zip(report.verdicts, answers, strict=True))
        (tmp_path / name).mkdir()
        (tmp_path / name / "promises.json").write_text(
            report.model_copy(update={"verdicts": verdicts}).model_dump_json()
        )
        (tmp_path / name / "findings.jsonl").write_text("")
    (tmp_path / "grid").mkdir()
    conclude_grid(experiment, members, tmp_path / "grid", {})
    first, second = aw.Run(tmp_path / "grid").promises
    assert (first.answer, first.reason) == ("untested", "1 kept, 1 broken of 2 points; kept at train.1.beta 0.4")
    assert second.answer == "broken"
    assert aw.Run(tmp_path / "grid").exit_code == 1


def test_a_dry_run_counts_every_run_and_what_they_share_once(spec: Path, tmp_path: Path, seeds: aw.Run) -> None:
    both: dict[str, Any] = {"seeds": 2, "grid": {"train.1.beta": [0.1, 0.4]}}
    new = aw.estimate(spec, overrides=both, runs=tmp_path, quiet=True)
    one = aw.estimate(spec, runs=tmp_path, quiet=True)
    jobs = {line.name for line in one.lines}
    assert new.runs == 4
    stages = [line.name for line in new.lines]
    assert stages.count("measure.1.tax@baseline") == 1
    assert stages.count("train.0.sft") == stages.count("measure.1.tax@train.0.sft") == 2  # a seed each
    assert stages.count("train.1.dpo") == stages.count("measure.1.tax@train.1.dpo") == 4
    assert set(stages) == jobs
    assert new.minutes == pytest.approx(sum(line.minutes for line in new.lines))
    assert not any(line.cached for line in new.lines)
    done = aw.estimate(spec, overrides={"seeds": 2}, runs=seeds.path.parent, quiet=True)
    assert all(line.cached for line in done.lines)
    assert done.folder == seeds.path


def test_runs_lists_a_sweep_with_its_runs_and_front_has_its_points(grid: aw.Run, seeds: aw.Run) -> None:
    listed = run_list(grid.path.parent)
    names = [run.path.name for run in listed]
    assert names[:3] == [grid.path.name, *(run.name for run in runs_of(grid.path))]
    assert {run.path.name: (run.sweep, run.own) for run in listed}[runs_of(seeds.path)[1].name] == (
        seeds.path.name,
        "seed 2",
    )
    assert (listed[0].done, listed[0].planned, listed[0].runs) == (2, 2, 2)
    screen = io.StringIO()
    show_runs(listed, grid.path.parent, Console(file=screen, width=200))
    assert f"· {runs_of(grid.path)[0].name} (train.1.beta 0.4)" in screen.getvalue()
    points = front_table([grid.path], None, None, None)
    models = [str(cell) for cell in points.columns[0].cells]
    assert len(models) == 4
    assert {"train.1.beta 0.4:train.1.dpo", "train.1.beta 0.1:train.1.dpo"} < set(models)


def test_what_is_asked_of_one_run_names_the_runs_that_there_are(grid: aw.Run, seeds: aw.Run, tmp_path: Path) -> None:
    from alignwright.run.rating.pairs import pairs_of
    from alignwright.run.sample_replies import draw

    asks: list[Callable[[Path], object]] = [
        lambda run: aw.Run(run).model(),
        lambda run: aw.compare(run, run, quiet=True),
        lambda run: aw.export(run, to="inspect", out=tmp_path / "logs", quiet=True),
        lambda run: draw(run, tmp_path / "labels.jsonl", each=4),
        pairs_of,
    ]
    for run in (grid, seeds):
        for ask in asks:
            with pytest.raises((ValueError, FileNotFoundError), match="tells of 2 runs together") as error:
                ask(run.path)
            assert all(f"{one} (" in str(error.value) for one in runs_of(run.path))
    assert not (tmp_path / "logs").exists()


class Killed(BaseException):
    pass


def test_a_sweep_that_is_killed_goes_on_where_it_was(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    real: Callable[[Any], str] = execute.execute

    def counted(job: Any) -> str:
        if len(done) == 12:
            raise Killed
        note = real(job)
        done.append(job.name)
        return note

    monkeypatch.setattr(execute, "execute", counted)
    with pytest.raises(Killed):
        align_all(request(spec, tmp_path, "seeds=[1, 2]"), quiet())
    (listed, *_) = run_list(tmp_path)
    assert (listed.runs, listed.outcome) == (2, "not finished, at seed 2")
    del done[:]
    monkeypatch.setattr(execute, "execute", lambda job: (done.append(job.name), real(job))[1])
    folder = align_all(request(spec, tmp_path, "seeds=[1, 2]"), quiet())
    experiment = resolve_effort(load(spec))
    jobs, shared = len(plan(experiment)), 2
    assert len(done) == 2 * jobs - shared - 12
    assert len(aw.Run(folder).promises) == 2


def test_a_point_that_cannot_work_does_not_stop_the_others(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sweep.align

    def align_or_fail(asked: Request, view: View) -> Path:
        if "train.1.beta=0.2" in asked.overrides:
            raise RuntimeError("the loss was nan")
        return real(asked, view)

    monkeypatch.setattr(sweep, "align", align_or_fail)
    shown = io.StringIO()
    with pytest.raises(RuntimeError, match="the loss was nan"):
        align_all(request(spec, tmp_path, 'grid={"train.1.beta": [0.2, 0.1]}'), View(Console(file=shown, width=500)))
    assert "train.1.beta 0.2 stopped: the loss was nan" in shown.getvalue()
    (folder,) = [path.parent for path in tmp_path.glob("*/runs.json")]
    grid = aw.Run(folder)
    assert {verdict.answer for verdict in grid.promises} == {"untested"}
    table = (folder / "sections.jsonl").read_text()
    assert "stopped: the loss was nan" in table
    assert '"text":"2 kept"' in table  # the other point's answers


def test_an_audit_is_of_one_model_and_says_so(spec: Path, tmp_path: Path) -> None:
    shown = io.StringIO()
    asked = Request(
        spec, ("seeds=2", "promises=[tax.bits_per_byte < 9]"), runs=tmp_path, audit=str(spec.parent / "model")
    )
    folder = align_all(asked, View(Console(file=shown, width=500)))
    assert members_of(folder) is None
    assert "'seeds' and 'grid' are not used" in shown.getvalue()


def finding(value: float | None, low: float | None, high: float | None, **more: Any) -> Finding:
    given = {"claim": "a.b", "stage": "train.0.sft", "axis": "value", "n": 10, "method": "by hand", **more}
    return Finding(value=value, low=low, high=high, **given)


CLAIMS = (Claim(name="a.b", title="A", axis="value"),)


def test_what_one_seed_lacks_is_no_number_over_all() -> None:
    (absent,) = pooled([[finding(0.5, 0.4, 0.6)], []], ["seed 1", "seed 2"], CLAIMS)
    assert (absent.value, absent.method) == (None, "no number over seeds: 1 of 2 have one")
    assert absent.note == "seed 1 50.0%, seed 2 none"
    untested = finding(None, None, None, detail={"untested": "no judge"})
    (silent,) = pooled([[finding(0.5, 0.4, 0.6)], [untested]], ["seed 1", "seed 2"], CLAIMS)
    assert silent.detail["untested"] == "seed 2: no judge"
    (bare,) = pooled([[finding(0.5, 0.4, 0.6)], [finding(0.7, None, None, method="one topic")]], ["s", "t"], CLAIMS)
    assert (bare.value, bare.low, bare.method) == (pytest.approx(0.6), None, "mean of 2 seeds; one topic")


def test_a_judge_that_one_seed_refused_is_refused_and_limits_stay_within_the_claim() -> None:
    refused = finding(0.5, 0.3, 0.7, detail={"refused": True, "reason": "chance"})
    (check,) = pooled([[finding(0.9, 0.7, 1.0)], [refused]], ["seed 1", "seed 2"], CLAIMS)
    assert check.detail == {"refused": True, "reason": "chance"}
    assert "refused in seed 2" in check.note
    assert (check.low, check.high) == (0.0, 1.0)
    changes = [[finding(v, v - 0.1, v + 0.1, against="baseline", p=0.01)] for v in (-0.9, 0.9)]
    (change,) = pooled(changes, ["seed 1", "seed 2"], CLAIMS)
    assert (change.low, change.high) == (-1.0, 1.0)
    assert change.p is not None
    assert change.p == change.p_adjusted
    assert change.p > 0.5


def test_holm_is_applied_to_the_changes_over_seeds() -> None:
    two = [
        [finding(v, v - 0.02, v + 0.02, against="baseline", p=0.5, claim=name) for name in ("a.b", "c.d")]
        for v in (0.1, 0.1)
    ]
    changes = pooled(two, ["seed 1", "seed 2"], CLAIMS)
    assert [change.p_adjusted for change in changes] == [pytest.approx(2 * changes[0].p)] * 2


@pytest.mark.parametrize(
    ("lines", "place", "words"),
    [
        (
            "grid: {train.1.betta: [0.1, 0.2]}",
            0,
            "train.1.dpo.betta: no such field; did you mean 'beta'? (with train.1.betta 0.1)",
        ),
        (
            "grid:\n  train.0.epochs: [1, 2]\n  train.1.beta: [0.1, -1]",
            2,
            "train.1.dpo.beta: must be greater than 0, saw the number -1 (with train.0.epochs 1, train.1.beta -1)",
        ),
        ("grid: {train.9.beta: [1, 2]}", 0, "train has 2 entries, counted from 0; there is no '9'"),
        ("grid: {name: [a, b]}", 0, "grid.name: 'name' is of all runs together; write it beside the grid"),
        ("grid: {seed: [1, 2]}\nseeds: 2", 0, "grid.seed: 'seeds' says which seeds each point has"),
        ("grid: {train.1.beta: 0.1}", 0, "grid.train.1.beta: wanted a list, saw the number 0.1"),
        ("grid: {train.1.beta: [0.1, 0.1]}", 0, "grid.train.1.beta: names a value twice"),
        ("grid: {}", 0, "grid: names no knob; write for example {train.1.beta: [0.05, 0.1]}"),
        ("grid: {measure.1.text: [[text.jsonl], [nowhere.jsonl]]}", 0, "there is no file"),
        ("seeds: 1", 0, "seeds: is how many there are, at least 2, and is 1; one seed is 'seed: 1'"),
        ("seeds: [4]", 0, "seeds: names no two seeds; one seed is 'seed: NUMBER'"),
        ("seeds: [4, 4]", 0, "seeds.1: 4 is named twice"),
        ("seeds: [4, -4]", 0, "seeds.1: a seed is from 0 to 2^63 - 1, saw -4"),
        ("seeds: [4, x]", 0, "seeds: wanted how many seeds, or a list of them, saw a list of 2"),
        ("seeds: many", 0, "seeds: wanted how many seeds, or a list of them, saw the text 'many'"),
    ],
)
def test_a_sweep_that_cannot_be_is_told_with_file_and_line(spec: Path, lines: str, place: int, words: str) -> None:
    wrong = spec.with_name("wrong.yaml")
    wrong.write_text(SPEC + lines + "\n")
    with pytest.raises(aw.SpecError) as error:
        load(wrong)
    assert f"wrong.yaml:{len(SPEC.splitlines()) + 1 + place}: " in str(error.value)
    assert words in str(error.value)


def test_seeds_of_what_has_no_chance_in_it_are_an_option_without_effect(spec: Path) -> None:
    only = ("train=[]", "feedback=[]", "intent.pairs=[]", "promises=[]", "seeds=3")
    with pytest.raises(aw.SpecError, match="seeds: has no effect: nothing is trained or sampled"):
        load(spec, only)


def test_seeds_and_grids_are_in_no_name_of_a_run_without_them(spec: Path) -> None:
    plain = load(spec)
    assert load(spec, ("seeds=null", "grid=null", "mirrors=[]")).id == plain.id
    assert load(spec, ("seeds=2",)).id != plain.id
    written = json.loads(resolve_effort(plain).model_dump_json())
    assert written["seeds"] is None
