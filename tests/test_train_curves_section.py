"""Are the curves of a report what the stages logged, each with its meaning, and absent where nothing
was logged?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import report_case
from run_case import make_project

import alignwright as aw
from alignwright.core.section import LineChart, Note, Section, Text
from alignwright.report import page
from alignwright.report.results import RunResults
from alignwright.train.curves_section import DOTS, GOLD, KL, LOSS, REWARD, ROLLOUT_LOSS, section


def logged(folder: Path, rows: Sequence[dict[str, object]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def step(number: int, loss: float, **metrics: float) -> dict[str, object]:
    return {"step": number, "loss": loss, "metrics": metrics}


def drawn(made: Section | None) -> dict[str, tuple[Text, LineChart, Note]]:
    """Text, chart and note by heading."""
    assert made is not None
    texts, charts, notes = (
        [block for block in made.blocks if isinstance(block, kind)] for kind in (Text, LineChart, Note)
    )
    return {text.heading: (text, chart, note) for text, chart, note in zip(texts, charts, notes, strict=True)}


def test_each_logged_quantity_has_its_curve_and_its_meaning(tmp_path: Path) -> None:
    sft = logged(tmp_path / "sft", [step(i, 4.0 - i) for i in range(3)])
    rloo = logged(tmp_path / "rloo", [step(i, 0.0, reward=i / 2, kl=i / 10) for i in range(4)])
    gold = [
        {"step": after, "gold": [[value, value], []], "proxy": [[1.0], []]} for after, value in ((1, 0.5), (4, 0.25))
    ]
    (rloo / "gold_evals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in gold))
    blocks = drawn(section([("train.0.sft", sft), ("train.1.rloo", rloo)], lambda name: name.rpartition(".")[2]))
    meanings = {
        "sft: loss": LOSS,
        "rloo: loss": ROLLOUT_LOSS,
        "rloo: reward": REWARD,
        "rloo: divergence": KL,
        "rloo: gold score": GOLD,
    }
    assert list(blocks) == list(meanings)
    assert all(note.text.endswith(meanings[heading]) for heading, (_, _, note) in blocks.items())
    places = {heading: [(p.x, p.y) for p in chart.series[0].points] for heading, (_, chart, _) in blocks.items()}
    assert places["sft: loss"] == [(1.0, 4.0), (2.0, 3.0), (3.0, 2.0)]
    assert places["rloo: reward"] == [(1.0, 0.0), (2.0, 0.5), (3.0, 1.0), (4.0, 1.5)]
    assert places["rloo: gold score"] == [(1.0, 0.5), (4.0, 0.25)]
    assert blocks["sft: loss"][0].text == "From 4 (step 1), to 2 (step 3)."


def test_many_steps_are_means_of_neighbours_and_lose_none(tmp_path: Path) -> None:
    count = 10 * DOTS + 3
    folder = logged(tmp_path / "s", [step(i, float(i)) for i in range(count)])
    ((text, chart, _),) = drawn(section([("train.0.sft", folder)], str)).values()
    points = chart.series[0].points
    assert len(points) <= DOTS
    assert points[0].words == "mean of steps 1 to 11: 5"
    assert [point.y + 1 for point in points] == [
        point.x for point in points
    ]  # the loss is the step here: so is its mean
    assert f"{points[-1].words.partition(' to ')[2].partition(':')[0]}" == str(count)
    assert text.text.startswith("From 5 (mean of steps 1 to 11), to ")


def test_members_are_averaged_and_what_is_not_finite_is_absent(tmp_path: Path) -> None:
    rows = [step(i, value) for value in (1.0, 3.0) for i in range(2)]
    rows += [step(2, 5.0, reward=float("nan")), step(3, 6.0)]
    ((_, chart, note),) = drawn(section([("train.0.reward", logged(tmp_path / "s", rows))], str)).values()
    assert [point.y for point in chart.series[0].points] == [2.0, 2.0, 5.0, 6.0]
    assert LOSS in note.text
    assert section([("train.0.sft", logged(tmp_path / "one", [step(0, 1.0)]))], str) is None
    assert section([("train.0.average", tmp_path / "nothing")], str) is None


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> aw.Run:
    spec = make_project(tmp_path_factory.mktemp("project"))
    return aw.align(spec, runs=spec.parent / "runs", quiet=True)


def test_a_run_s_report_draws_what_its_stages_logged(run: aw.Run) -> None:
    (made,) = [one for one in run.results.sections if one.name == "training"]
    (folder,) = run.path.glob("stages/*-train.1.dpo")
    losses = [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    title = run.results.header.titles["train.1.dpo"]
    _, chart, _ = drawn(made)[f"{title}: loss"]
    assert len(losses) <= DOTS
    assert [point.y for point in chart.series[0].points] == losses
    assert "While it was trained" in run.report.read_text()
    assert "While it was trained" not in (run.path / "README.md").read_text()


def test_a_hostile_title_stays_text(tmp_path: Path) -> None:
    folder = logged(tmp_path / "s", [step(0, 1.0), step(1, 2.0)])
    made = section([("train.0.sft", folder)], lambda _: "<script>alert(1)</script>")
    assert made is not None
    answers, findings = report_case.case()
    html = page.html(RunResults(answers.header, answers.verdicts, tuple(findings), (made,)))
    assert "&lt;script&gt;alert(1)" in html
    assert "<script>alert(1)" not in html
