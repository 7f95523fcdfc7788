"""Does the page draw proxy, gold, the peak and the three meters, from findings alone, and
nothing where nothing was measured?"""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
import report_case as material

from alignwright.core.promises import Header, Verdict
from alignwright.core.records import Finding
from alignwright.core.section import FindingTable, Intervals, LineChart, Section, Text, measured_stages
from alignwright.measure.goodhart.section import TELLS, section
from alignwright.report import charts, page
from alignwright.report.results import RunResults
from alignwright.stats.best_of_n import bon_kl

HOSTILE = "<script>alert(1)</script>\"'>{{ 7*7 }}\u202e"


def finding(claim: str, stage: str, value: float | None, spread: float = 0.1, **more: object) -> Finding:
    limits = {"low": None, "high": None} if value is None else {"low": value - spread, "high": value + spread}
    unit = "nats" if ".kl" in claim else "SD" if claim.startswith("goodhart.") else ""
    made = {
        "claim": claim,
        "stage": stage,
        "axis": "goodhart",
        "value": value,
        "n": 24,
        "method": "planted",
        "unit": unit,
        "better": None,
    }
    return Finding.model_validate(made | limits | more)


def gamed(beyond_data: bool = False) -> list[Finding]:
    found = []
    for n in (2, 4, 8, 16):
        told = {"proxy": 0.5 * n**0.5, "gold": 0.2 * n**0.5 * (1 - n / 16)}
        found += [finding(f"goodhart.{what}.best_of_{n}", "baseline", value) for what, value in told.items()]
        found.append(finding(f"goodhart.kl.best_of_{n}", "baseline", bon_kl(n), low=None, high=None))
        found += [
            finding(f"trilemma.{meter}.best_of_{n}", "baseline", 0.5 - n / 40) for meter in ("optimization", "capture")
        ]
    found.append(finding("goodhart.peak", "baseline", 0.9, unit="root nats", detail={"beyond_data": beyond_data}))
    for stage, move in (("train.0.sft", 0.3), ("train.1.dpo", 1.1)):
        found += [finding(f"goodhart.{what}", stage, move) for what in ("proxy", "gold")] + [
            finding("goodhart.kl", stage, 4 * move)
        ]
        found += [
            finding(f"goodhart.{what}", stage, sign * move, against="baseline")
            for what, sign in (("proxy", 1), ("gold", -1))
        ]
        found += [finding("trilemma.optimization", stage, 0.9), finding("trilemma.capture", stage, None)]
    return found


def case(found: list[Finding], hostile: str = "") -> RunResults:
    answers, others = material.case(hostile)
    return material.results(answers, (*others, *found))


TITLES = {"train.0.sft": "SFT", "train.1.dpo": "DPO"}


def gamed_section(found: list[Finding]) -> Section:
    made = section(FindingTable(found, measured_stages(found, material.STAGES), {}, TITLES))
    assert made is not None
    return made


def curve(found: list[Finding]) -> str:
    chart = next(block for block in gamed_section(found).blocks if isinstance(block, LineChart))
    return charts.line_chart(chart)


def peak(found: list[Finding]) -> str:
    first = gamed_section(found).blocks[0]
    assert isinstance(first, Text)
    return first.text


def parsed(drawing: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawing)


def test_every_policy_is_drawn_with_both_its_gains() -> None:
    drawing = parsed(curve(gamed()))
    titles = [title.text or "" for title in drawing.iter("title")]
    assert len(titles) == 2 * (4 + 2)
    assert any("best of 16: gold +0.000 SD" in title for title in titles)
    assert any("after DPO: proxy +1.100 SD" in title for title in titles)
    gold = [line for line in drawing.iter("line") if line.get("class") == "way end"]
    assert len(gold) == 4  # from the start through every n
    assert len([line for line in drawing.iter("line") if line.get("class") == "bound"]) == 1


def test_places_are_to_scale() -> None:
    drawing = parsed(curve(gamed()))
    x = [float((dot.get("cx") or "").rstrip("%")) for dot in drawing.iter("circle") if dot.get("class") == "at end"]
    roots = [bon_kl(n) ** 0.5 for n in (2, 4, 8, 16)]
    assert [a / x[0] for a in x] == pytest.approx([r / roots[0] for r in roots], rel=2e-3)
    y = [float(dot.get("cy") or 0) for dot in drawing.iter("circle") if dot.get("class") == "at start"]
    assert y == sorted(y, reverse=True)  # a higher gain stands higher


def test_the_sentence_says_an_extrapolation_is_one() -> None:
    assert "0.900 [0.800, 1.000]: within what was measured" in peak(gamed())
    assert "an extrapolation" in peak(gamed(beyond_data=True))
    falling = [f for f in gamed() if f.claim != "goodhart.peak"] + [finding("goodhart.peak", "baseline", 0.0)]
    assert "lowers gold from the first" in peak(falling)
    none = [f for f in gamed() if f.claim != "goodhart.peak"] + [finding("goodhart.peak", "baseline", None)]
    assert "raises gold throughout" in peak(none)
    silent = [f for f in gamed() if f.claim != "goodhart.peak"]
    assert (
        peak(silent)
        == "Gains in standard deviations of the start model's replies, over the root of the divergence from it."
    )


def test_the_path_has_a_drawing_for_each_meter_and_a_dash_where_none_can_be_told() -> None:
    meters = next(block for block in gamed_section(gamed()).blocks if isinstance(block, Intervals))
    drawn = {panel.claim: charts.panel(panel) for panel in meters.panels}
    assert list(drawn) == ["trilemma.optimization", "trilemma.capture"]  # no shifted prompts, no third meter
    texts = [text.text for text in parsed(drawn["trilemma.capture"]).iter("text")]
    assert texts.count("\N{EN DASH}") == 2
    assert [t for t in texts if t and t.isdigit()][-4:] == ["2", "4", "8", "16"]


def test_the_page_has_it_all_and_nothing_where_nothing_was_measured() -> None:
    whole = page.html(case(gamed()))
    assert "Proxy and gold" in whole
    assert "Three meters" in whole
    assert "Proxy and gold" not in page.html(case([]))
    assert section(FindingTable([], material.STAGES)) is None


def test_hostile_names_are_words() -> None:
    found = [
        Finding.model_validate(dict(f) | {"stage": f.stage + HOSTILE if f.stage != "baseline" else f.stage})
        for f in gamed()
    ]
    whole = page.html(case(found, HOSTILE))
    assert "<script" not in whole
    assert "\u202e" not in whole
    assert "{{ 7*7 }}" in curve(found)
    assert "<script" not in curve(found)


def test_the_overview_is_short_and_loses_nothing() -> None:
    """What is drawn or tabled below stands in the overview only where something was promised
    about it."""
    made = {"stage": "train.0.rloo", "axis": "goodhart", "value": 0.5, "low": 0.4, "high": 0.6, "n": 9, "method": "m"}
    claims = [
        "goodhart.gold",
        "hacking.excess",
        "goodhart.sign.length",
        "goodhart.sign.states",
        "goodhart.peak",
        "trilemma.capture",
    ]
    header = Header(name="r", model="m", seed=0, effort="demo", stages=("train.0.rloo",))
    found = tuple(Finding.model_validate(made | {"claim": claim}) for claim in claims)
    sections = (Section(name="gamed", title="t", blocks=(), tells=TELLS),)
    kept, more = page.overview(RunResults(header, (), found, sections), "goodhart")
    assert ([claim.name for claim in kept], more) == (["goodhart.gold", "hacking.excess"], 4)
    promised = (Verdict(promise="trilemma.capture > 0", answer="kept", reason="r"),)
    kept, more = page.overview(RunResults(header, promised, found, sections), "goodhart")
    assert ([claim.name for claim in kept], more) == (["goodhart.gold", "hacking.excess", "trilemma.capture"], 3)
    whole = page.html(RunResults(header, promised, found, sections))
    assert "3 more measured" in whole
    assert all(whole.count(f"<code>{claim}</code>") == 1 for claim in claims)  # each is in the table of numbers
    # where nothing else was measured, or no section tells of them, they are all there is
    for case in (RunResults(header, (), found[2:], sections), RunResults(header, (), found[2:])):
        kept, more = page.overview(case, "goodhart")
        assert (len(kept), more) == (4, 0)


def test_every_row_of_shares_has_its_scale_and_no_sign_stands_for_no_change() -> None:
    made = {"axis": "value", "value": 0.5, "low": 0.4, "high": 0.6, "n": 9, "method": "m"}
    header = Header(name="r", model="m", seed=0, effort="demo", stages=("train.0.rloo",))
    units = ["share", "nats", "share", "share"]
    found = [
        Finding.model_validate(made | {"claim": f"value.c{i}", "stage": "baseline", "unit": unit})
        for i, unit in enumerate(units)
    ]
    none = {"value": None, "low": None, "high": None, "claim": "value.c0", "stage": "train.0.rloo"}
    found += [Finding.model_validate(made | none), Finding.model_validate(made | none | {"against": "baseline"})]
    glance = page.html(RunResults(header, (), tuple(found))).partition('id="stand"')[2].partition("</section>")[0]
    assert glance.count(">100%</text>") == 2  # under the first share, and once under the two that follow each other
    assert "\u2248 \N{EN DASH}" not in glance
