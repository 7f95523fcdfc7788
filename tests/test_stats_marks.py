"""Do the mark beside a change, the words about it and the count of what moved say the same,
whatever stands beside it?"""

from __future__ import annotations

import io
import re

import pytest
from claims_case import CLAIMS
from rich.console import Console

from alignwright.core.promises import Header
from alignwright.core.records import Finding, SampleResult
from alignwright.core.section import FindingTable
from alignwright.measure.emergent.section import section
from alignwright.measure.findings import differences, levels
from alignwright.report import summary
from alignwright.report.card import card
from alignwright.report.page import html
from alignwright.report.results import RunResults
from alignwright.run.compare import compare
from alignwright.stats.marks import direction, is_significant


def outcomes(claim: str, hits: int, n: int = 60) -> list[SampleResult]:
    return [
        SampleResult(
            claim=claim,
            item=f"{claim}.{i}",
            status="fail" if i < hits else "pass",
            value=float(i >= hits),
            cluster=f"t{i}",
        )
        for i in range(n)
    ]


def case(moved: dict[str, int]) -> RunResults:
    """A run whose claims lost so many of sixty items each."""
    before = [outcome for claim in moved for outcome in outcomes(claim, 10)]
    after = [outcome for claim, hits in moved.items() for outcome in outcomes(claim, 10 + hits)]
    found = [*levels(before, stage="baseline", claims=CLAIMS), *levels(after, stage="train.0.sft", claims=CLAIMS)]
    found += differences(after, before, stage="train.0.sft", against="baseline", claims=CLAIMS)
    return RunResults(Header(name="r", model="m", seed=0, effort="demo", stages=("train.0.sft",)), (), tuple(found))


def changes(case: RunResults) -> dict[str, Finding]:
    return {f.claim: f for f in case.findings if f.against}


LOST = {
    "emergent.ability.a": 6,
    "emergent.ability.b": 0,
    "emergent.ability.c": 1,
    "emergent.ability.d": 25,
    "emergent.ability.e": 0,
}


def test_one_of_several_that_is_left_out_by_the_adjustment_is_not_marked_and_not_counted() -> None:
    """Six lost of sixty: its own interval leaves out 0, and Holm's correction over the five
    takes that back."""
    alone = changes(case({"emergent.ability.a": 6}))["emergent.ability.a"]
    assert direction(alone) == "worse"  # the control: nothing else was tested
    among = case(LOST)
    one = changes(among)["emergent.ability.a"]
    assert one.high < 0
    assert one.p < 0.05 < one.p_adjusted
    assert (is_significant(one), direction(one)) == (False, "unclear")
    assert {claim for claim, f in changes(among).items() if direction(f) != "unclear"} == {"emergent.ability.d"}
    (items,) = section(FindingTable(among.findings, among.stages)).blocks
    assert items.items[0].text.startswith("1 of 5 traits and abilities moved")
    assert [cell.claim for cell in items.items[1:]] == ["emergent.ability.d"]


def test_page_card_and_terminal_mark_as_many_as_are_counted() -> None:
    among = case(LOST)
    out = io.StringIO()
    Console(file=out, width=120).print(summary(among))
    page = re.sub(r'<p class="how">.*?</p>', "", html(among), flags=re.DOTALL)
    assert out.getvalue().split("Brackets")[0].count("▼") == 2  # one claim, and once in the rule
    assert [line.split("|")[5].strip()[0] for line in card(among).splitlines() if "emergent.ability" in line] == [
        "≈",
        "≈",
        "≈",
        "▼",
        "≈",
    ]
    table = page[page.index('id="numbers"') :]
    assert (table.count("▼ worse"), table.count("≈ no clear change")) == (1, 4)
    for text in (out.getvalue(), html(among), card(among)):
        assert "Holm" in text
        assert "promises are answered by these" in " ".join(text.split())


@pytest.mark.parametrize("hits", [5, 7, 9, 20])
def test_the_p_beside_an_interval_is_of_its_own_test(hits: int) -> None:
    found = changes(case({"value.pairs": hits, "value.refusal": 0}))["value.pairs"]
    assert (found.p < 0.05) == (found.high < 0)


def test_two_runs_are_apart_by_the_adjusted_p(tmp_path) -> None:
    def run(name: str, shares: dict[str, float]):
        folder = tmp_path / name
        folder.mkdir()
        lines = [
            Finding(
                claim=claim, stage="s", axis="value", value=share, low=share - 0.1, high=share + 0.1, n=90, method="m"
            ).model_dump_json()
            for claim, share in shares.items()
        ]
        (folder / "findings.jsonl").write_text("\n".join(lines) + "\n")
        return folder

    def apart(one: dict[str, float], two: dict[str, float]) -> list[str]:
        folder = f"{len(one)}"
        table = compare(run(f"a{folder}", one), run(f"b{folder}", two))
        return [
            claim for claim, mark in zip(table.columns[0].cells, table.columns[3].cells, strict=True) if mark == "apart"
        ]

    alone = apart({"value.a": 0.3}, {"value.a": 0.45})
    assert alone == ["value.a"]  # 0.15 apart: p = 0.04
    rest = {f"value.{letter}": 0.5 for letter in "bcd"}
    assert apart({"value.a": 0.3, **rest, "value.e": 0.2}, {"value.a": 0.45, **rest, "value.e": 0.6}) == ["value.e"]
