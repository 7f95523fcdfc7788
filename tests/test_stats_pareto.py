"""Is the front what cannot be beaten, and is the best model chosen by its intervals and not by
its luck?"""

from __future__ import annotations

import io
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from report_case import results
from rich.console import Console

from alignwright.core.promises import Header, PromiseReport
from alignwright.core.records import Finding
from alignwright.core.section import FindingTable
from alignwright.measure.tax_section import section
from alignwright.report import charts
from alignwright.report.page import html
from alignwright.run.pareto_table import table
from alignwright.stats.pareto import ORIGIN, ParetoPoint, axes, best_within, knee_point, margins, pareto_front, points


def point(name, tax, gain, half=0.01):
    return ParetoPoint(name, gain, tax, gain - half, gain + half, tax - half, tax + half, gained=gain - half > 0)


def test_nothing_on_the_front_is_beaten_and_everything_else_is():
    rng = random.Random(0)
    for _ in range(50):
        found = [point(f"p{i}", rng.uniform(-0.2, 1), rng.uniform(-0.5, 1)) for i in range(12)]
        held = pareto_front(found)

        def beaten(p, among):
            return any(q.tax <= p.tax and q.gain >= p.gain and q != p for q in among)

        assert not any(beaten(p, [*found, ORIGIN]) for p in held)
        assert all(beaten(p, held) for p in (*found, ORIGIN) if p not in held)
        assert pareto_front(rng.sample(found, 12)) == held
        assert [p.name for p in held] == [p.name for p in sorted(held, key=lambda p: p.tax)]


def test_the_knee_of_a_bent_front_and_none_of_a_straight_one():
    bent = [point("quarter", 0.1, 0.6), point("half", 0.25, 0.8), point("all", 1.0, 1.0)]
    assert knee_point(bent).name == "half"
    scaled = [ParetoPoint(p.name, 100 * p.gain, 0.01 * p.tax) for p in bent]
    assert knee_point(scaled).name == "half"  # units do not matter
    assert knee_point([point("half", 0.5, 0.5), point("all", 1.0, 1.0)]) is None
    assert knee_point([point("hollow", 0.5, 0.2), point("all", 1.0, 1.0)]) is None
    assert knee_point([point("all", 1.0, 1.0)]) is None


def test_the_best_within_the_margin_is_read_from_the_interval_of_the_cost_and_the_mark_of_the_gain():
    cheap, lucky, dear = point("cheap", 0.0, 0.2), point("lucky", 0.0, 0.9, half=0.5), point("dear", 0.5, 1.0)
    assert best_within([cheap, lucky, dear], 0.02).name == "cheap"
    assert best_within([cheap, lucky, dear], 0.6).name == "dear"
    assert (
        best_within([replace(dear, gained=False), cheap], 0.6).name == "cheap"
    )  # larger, but not left after the adjustment
    assert best_within([ParetoPoint("no interval", 1.0, 0.0, gained=True)], 0.02) is None


def change(claim, axis, stage, value, better, half=0.01):
    common = {"claim": claim, "axis": axis, "stage": stage, "n": 50, "method": "m", "better": better}
    return Finding(**common, value=value, low=value - half, high=value + half, against="baseline", p=0.001)


def findings(margin=0.02):
    made = [
        Finding(claim="value.pairs", axis="value", stage=s, value=0.5, n=50, method="m")
        for s in ("baseline", "train.0.dpo", "train.1.average")
    ]
    for stage, gain, cost in (("train.0.dpo", 0.4, 0.3), ("train.1.average", 0.3, 0.005)):
        made += [
            change("value.pairs", "value", stage, gain, "higher"),
            change("tax.bits_per_byte", "tax", stage, cost, "lower"),
        ]
        made += [
            change("value.over_refusal", "value", stage, 0.1, "lower"),
            change("tax.choice", "tax", stage, -cost, "higher"),
        ]
    return [stated(f, margin) if f.axis == "tax" and f.against else f for f in made] if margin else made


def stated(finding, margin):
    return finding.model_copy(update={"detail": {"margin": margin}})


def run_folder(folder, found, model="smollm2", weights=None):
    (folder / "spec").mkdir(parents=True)
    (folder / "spec" / "resolved.json").write_text(json.dumps({"model": model}))
    (folder / "spec" / "provenance.json").write_text(json.dumps({"weights": weights} if weights else {}))
    (folder / "findings.jsonl").write_text("".join(f.model_dump_json() + "\n" for f in found))
    return folder


def test_gain_and_cost_are_turned_so_that_more_is_more():
    assert axes(findings()) == ("value.pairs", "tax.bits_per_byte")
    once = change(
        "hacking.transition", "goodhart", "train.0.dpo", 0.4, "higher"
    )  # after one training only: of the first axis, but no front
    assert axes([once, *findings()]) == ("value.pairs", "tax.bits_per_byte")
    twice = change("hacking.transition", "goodhart", "train.1.average", 0.4, "higher")
    assert axes([once, twice, *findings()]) == ("hacking.transition", "tax.bits_per_byte")
    found = points(findings(), "value.pairs", "tax.bits_per_byte")
    assert [(p.name, p.gain, p.tax) for p in found] == [("train.0.dpo", 0.4, 0.3), ("train.1.average", 0.3, 0.005)]
    other = points(findings(), "value.over_refusal", "tax.choice", run="r")
    assert [(p.name, p.gain, p.tax) for p in other] == [
        ("r:train.0.dpo", -0.1, 0.3),
        ("r:train.1.average", -0.1, 0.005),
    ]
    assert (other[0].tax_low, other[0].tax_high) == pytest.approx((0.29, 0.31))
    assert best_within(found, 0.02).name == "train.1.average"
    assert axes([f for f in findings() if f.axis != "tax"]) is None


STAGES = ("train.0.dpo", "train.1.average")
TITLES = {"train.0.dpo": "DPO", "train.1.average": "averaging"}


def drawn(found, stages=STAGES):
    """The words and the drawing of the front; None where there is none."""
    made = section(
        FindingTable(found, ("baseline", *stages), {}, {"train.0.dpo": "DPO", "train.1.average": "averaging"})
    )
    return (made.blocks[0].text, charts.line_chart(made.blocks[1])) if made else None


def test_the_report_draws_it_only_for_several_models_and_says_what_it_chose():
    header = Header(name="r", model="m", seed=0, effort="demo", stages=STAGES)
    page = html(results(PromiseReport(header=header, verdicts=()), findings()))
    assert "Gain against cost" in page
    words, drawing = drawn(findings())
    assert drawing.count("<title>") == 3
    assert 'class="dot start"' in drawing  # the start model, a ring
    assert drawing.count('class="way') == len(pareto_front(points(findings(), *axes(findings())))) - 1
    assert "after averaging (train.1.average)" in words
    assert "below 0.02" in words
    assert "below 0.4 is after DPO" in drawn(findings(0.4))[0]
    single = [f for f in findings() if f.stage != "train.1.average"]
    assert drawn(single) is None
    assert "Gain against cost" not in html(results(PromiseReport(header=header, verdicts=()), single))
    _, hostile = drawn([f.model_copy(update={"stage": f.stage + "<b>\u202e"}) if f.against else f for f in findings()])
    assert "<b>" not in hostile
    assert "\u202e" not in hostile


def test_without_one_stated_margin_no_model_is_called_the_best():
    silent, _ = drawn(findings(None))
    assert "was not tested against a margin" in silent
    assert "0.02" not in silent
    mixed = [
        stated(f, 0.5) if f.claim == "tax.bits_per_byte" and f.stage == "train.0.dpo" and f.against else f
        for f in findings()
    ]
    assert "several margins (0.02, 0.5), so no model is called the best" in drawn(mixed)[0]
    assert margins(mixed, "tax.bits_per_byte") == (0.02, 0.5)
    assert margins(findings(2e-05), "tax.choice") == (2e-05,)


def test_runs_are_compared_within_the_margin_that_all_of_them_state(tmp_path: Path):
    one, two = (run_folder(tmp_path / name, findings(margin)) for name, margin in (("one", 0.4), ("two", 0.4)))
    assert any("best below 0.4" in cell for cell in table([one, two], None, None, None).columns[3].cells)
    three, four = run_folder(tmp_path / "three", findings(0.02)), run_folder(tmp_path / "four", findings(None))
    differ = table([one, three], None, None, None)
    assert "differ (one 0.4, three 0.02); give one with --margin" in str(differ.caption)
    assert not any("best" in cell for cell in differ.columns[3].cells)
    assert "four did not test tax.bits_per_byte against a margin" in str(table([one, four], None, None, None).caption)
    assert any("best below 0.3" in cell for cell in table([one, three, four], None, None, 0.3).columns[3].cells)


def test_runs_of_different_start_models_are_refused_by_name(tmp_path: Path):
    def runs(*begun):
        made = tmp_path / str(len(list(tmp_path.iterdir())))
        return [run_folder(made / f"run{i}", findings(), model, weights) for i, (model, weights) in enumerate(begun)]

    for begun in (
        (("small", None), ("large", None)),
        (("small", "aa"), ("large", None)),
        (("./m", "aa"), ("./m", "bb")),
    ):
        with pytest.raises(ValueError, match=r"run0 from .*; .*run1 from .*cannot be put on one front") as refused:
            table(runs(*begun), None, None, 0.02)
        assert all(model in str(refused.value) for model, _ in begun)
    with pytest.raises(ValueError, match="run2 from large"):
        table(runs(("small", None), ("small", "aa"), ("large", "bb")), None, None, 0.02)
    for begun in (
        (("small", None), ("small", "aa")),
        (("small", "aa"), ("hub/small", "aa")),
    ):  # one model, by its name or by its weights
        assert table(runs(*begun), None, None, 0.02).row_count == 4
    bare = runs(("small", None), ("small", None))
    (bare[1] / "spec" / "resolved.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"run1 has no spec/resolved\.json"):
        table(bare, None, None, 0.02)
    assert table(bare[1:], None, None, 0.02).row_count == 2  # alone it is compared with nothing


def test_several_runs_are_one_table(tmp_path: Path):
    for name in ("one", "two"):
        run_folder(tmp_path / name, findings())
    shown = table([tmp_path / "one", tmp_path / "two"], None, None, 0.02)
    assert shown.row_count == 4
    names = list(shown.columns[0].cells)
    assert sorted(names) == ["one:train.0.dpo", "one:train.1.average", "two:train.0.dpo", "two:train.1.average"]
    assert "best below 0.02" in next(iter(shown.columns[3].cells))
    bare = [
        f.model_copy(update={"low": None, "high": None, "stage": f"{f.stage}[red]\x1b[31m"}) if f.against else f
        for f in findings()
    ]
    (tmp_path / "two" / "findings.jsonl").write_text("".join(f.model_dump_json() + "\n" for f in bare))
    out = io.StringIO()
    Console(file=out, width=200, force_terminal=True, color_system="truecolor").print(
        table([tmp_path / "two"], None, None, 0.02)
    )
    assert "train.0.dpo[red]" in out.getvalue()
    assert "[no interval]" in out.getvalue()  # and is not taken for a style
    assert "\x1b[31m" not in out.getvalue()
    with pytest.raises(ValueError, match=r"there are changes of tax\.bits_per_byte"):
        table([tmp_path / "one"], "value.none", None, 0.02)
