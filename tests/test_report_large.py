"""Is there always a page and a card, whatever was measured and however long a text is, and do
they say what they leave out?"""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import report_case
from rich.console import Console

from alignwright.core.promises import PromiseReport, Verdict, answer, parse
from alignwright.core.records import Conversation, Example, Finding
from alignwright.report import page, read, render, summary

STAGES = ("baseline", "train.0.sft", "train.1.dpo", "train.2.dpo", "train.3.dpo")
MEGABYTE = "word " * 200_000


def large(claims: int, promises: int = 3) -> tuple[PromiseReport, list[Finding]]:
    """So many claims at five models, each with replies."""
    found: list[Finding] = []
    for number in range(claims):
        made = {
            "claim": f"value.pairs.part_{number}",
            "axis": "value",
            "n": 40,
            "method": "Wilson 95%",
            "better": "higher",
        }
        for stage in STAGES:
            shown = tuple(
                Example(
                    item=f"{number}-{i}",
                    prompt=Conversation.user(f"Question {i}?"),
                    reply="A reply. " * 60,
                    status="fail",
                )
                for i in range(6)
            )
            found.append(Finding(stage=stage, value=0.5, low=0.4, high=0.6, exhibits=shown, **made))
            if stage != "baseline":
                found.append(Finding(stage=stage, against="baseline", value=0.1, low=-0.1, high=0.3, p=0.2, **made))
    header = report_case.case()[0].header.model_copy(update={"stages": STAGES[1:]})
    made = tuple(
        answer(parse(f"value.pairs.part_{number * 7} > {(0.2, 0.5, 0.9)[number % 3]}"), found)
        for number in range(promises)
    )
    return PromiseReport(header=header, verdicts=made), found


def test_four_hundred_claims_at_five_models_are_a_page_and_a_card(tmp_path: Path) -> None:
    answers, found = large(400)
    run = report_case.write(tmp_path / "run", answers, found)
    render(run)
    text = (run / "report.html").read_text()
    assert len(text.encode()) <= page.LIMIT
    shown = text.count('<tr id="claim-value.pairs.part')
    assert 60 < shown < 400
    assert f"Not all fits on this page: {400 - shown} more claims are in findings.jsonl." in text
    for number in (0, 7, 14):  # what was promised about is never left out
        assert f'id="{page.anchor("claim", f"value.pairs.part_{number}")}"' in text
    assert (run / "README.md").read_text().count("| value") + (run / "README.md").read_text().count("part\\_") >= 400


def test_ten_thousand_promises_are_a_page_and_the_kept_ones_are_left_out_first() -> None:
    answers, found = large(3)
    many = [Verdict(promise=f"value.pairs.part_0 > 0.{i}", answer="kept", reason="it is") for i in range(10_000)]
    broken = Verdict(promise="value.pairs.part_0 > 0.99", answer="broken", reason="it is not")
    run = page.RunResults(answers.header, (*many, broken), tuple(found))
    text = page.html(run)
    assert len(text.encode()) <= page.LIMIT
    assert "value.pairs.part_0 &gt; 0.99" in text
    assert "more promises are in promises.json" in text


def test_a_case_that_fits_leaves_nothing_out() -> None:
    assert "Not all fits" not in page.html(page.RunResults(*_parts(*report_case.case())))


@pytest.mark.parametrize("where", ["title", "name", "note", "promise", "reason", "fact", "claim", "method", "reply"])
def test_a_text_of_a_megabyte_is_shortened_and_said(where: str, tmp_path: Path) -> None:
    answers, found = large(3)
    header, first = answers.header, found[0]
    change = {"note": MEGABYTE} if where == "note" else {"method": MEGABYTE} if where == "method" else {}
    change |= {"claim": "value." + "part_" * 200_000} if where == "claim" else {}
    change |= (
        {"exhibits": (first.exhibits[0].model_copy(update={"reply": MEGABYTE, "reason": MEGABYTE}),)}
        if where == "reply"
        else {}
    )
    found = [finding.model_copy(update=change) if finding.claim == first.claim else finding for finding in found]
    if where == "title":
        header = header.model_copy(update={"principles": (("part_0", MEGABYTE),)})
    if where == "name":
        header = header.model_copy(update={"name": MEGABYTE})
    if where == "fact":
        header = header.model_copy(update={"facts": {"long": MEGABYTE}})
    told = answers.verdicts[0].model_copy(
        update={"promise": MEGABYTE} if where == "promise" else {"reason": MEGABYTE} if where == "reason" else {}
    )
    run = report_case.write(
        tmp_path / "run", PromiseReport(header=header, verdicts=(told, *answers.verdicts[1:])), found
    )
    render(run)
    text, card = (run / "report.html").read_text(), (run / "README.md").read_text()
    assert len(text.encode()) <= page.LIMIT
    assert len(card) < 50_000
    assert "more characters" in text + card
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(summary(read(run), run))
    assert len(console.export_text()) < 50_000


def test_the_card_does_not_wait_for_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = report_case.write(tmp_path / "run", *report_case.case())

    def fails(_: object) -> str:
        raise MemoryError

    monkeypatch.setattr(page, "html", fails)
    with pytest.raises(MemoryError):
        render(run)
    assert (run / "README.md").read_text().startswith("---\nlicense:")


def _parts(answers: PromiseReport, found: list[Finding]) -> tuple[object, ...]:
    return answers.header, answers.verdicts, tuple(found)
