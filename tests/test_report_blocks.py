"""Is every block of a section shown on the page, in the card and on the terminal, does its text stay
text, and does a report without sections show all else?"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import get_args

import pytest
import report_case as material
from test_report_page import HOSTILE, Reader, make
from test_report_terminal import printed

from alignwright.core.records import Conversation, Example, Finding
from alignwright.core.section import (
    Band,
    Block,
    Cell,
    Intervals,
    Items,
    LineChart,
    Mark,
    Note,
    Panel,
    Point,
    Section,
    Series,
    Table,
    Text,
    Transcript,
    number,
)
from alignwright.report import charts, page, read, render
from alignwright.report.card import card
from alignwright.report.results import RunResults

MEASURED = {"claim": "value.refusal", "axis": "value", "n": 40, "method": "m"}
LEVEL = Finding(stage="baseline", value=0.25, low=0.125, high=0.5, p=0.02, **MEASURED)
CHANGE = Finding(stage="train.1.dpo", against="baseline", value=0.5, low=0.25, high=0.75, p=0.001, **MEASURED)


def section(text: str = "") -> Section:
    """A section with a block of every kind; `text` is put into each of its words."""
    row = (Cell(text="first cell" + text, code="code name" + text), Cell(number=number(LEVEL)), Cell())
    counted = (
        Cell(stage="train.1.dpo"),
        Cell(number=number(LEVEL), counted=True, scored=False),
        Cell(text="a word" + text),
    )
    folded = Cell(text="an item" + text, lines=("beneath it" + text,), folded="opened by" + text)
    point = Point(
        words="a point" + text, name="its name" + text, x=0.5, x_low=0.25, x_high=1.0, y=2.0, y_low=1.0, y_high=4.0
    )
    marks = (Mark(label="2" + text, words="a mark" + text, value=0.5, low=0.25, high=0.75), Mark(label="4"))
    pair = Example(item="i", prompt=Conversation.user("asked" + text), before="one reply" + text, reply="other" + text)
    return Section(
        name="planted",
        title="A title" + text,
        intro="An intro." + text,
        media=("page", "card", "terminal"),
        blocks=(
            Text(
                heading="A heading" + text, text="A paragraph." + text, replies="value.refusal", link="to the replies"
            ),
            Table(columns=("One" + text, "Two", "Three"), rows=(row, counted)),
            Items(
                items=(folded, Cell(claim="value.refusal", number=number(CHANGE)), Cell(claim="value.none", text="x"))
            ),
            LineChart(
                series=(Series(name="a series" + text, points=(point,), line=((0.0, 0.0), (0.5, 2.0))),),
                band=Band(name="a band" + text, value=0.5, low=0.25, high=None),
                legend=("a shape" + text,),
            ),
            Intervals(panels=(Panel(claim="value.refusal", low=0.0, high=1.0, marks=marks),)),
            Note(text="A note." + text),
            Transcript(claim="value.meant", title="A transcript" + text, heads=("Left", "Right"), examples=(pair,)),
        ),
    )


def with_sections(*sections: Section) -> RunResults:
    return dataclasses.replace(make(), sections=sections)


def test_every_kind_of_block_is_planted_here() -> None:
    assert {type(block) for block in section().blocks} == set(get_args(get_args(Block)[0]))


def test_the_page_shows_all_of_it() -> None:
    written = Reader(page.html(with_sections(section())))
    place = re.sub(r"\s+", " ", written.text)
    words = ("A title", "An intro.", "A heading", "A paragraph.", "to the replies", "One", "Two", "Three", "first cell")
    words += (
        "code name",
        "25.0% [12.5, 50.0]",
        "n = 40, all scored; p = 0.02",
        "not measured",
        "After DPO",
        "10 of 40",
    )
    words += (
        "a word",
        "an item",
        "opened by",
        "beneath it",
        "Harmful prompts refused: +50.0 pts",
        "a series",
        "a shape",
    )
    words += ("a band", "a point", "its name", "Harmful prompts refused", "a mark", "A note.", "A transcript", "asked")
    words += ("Left", "one reply", "Right", "other")
    places = [0]
    for word in words:
        assert word in place[places[-1] :], word
        places.append(place.index(word, places[-1]))
    ids = {value for name, value in written.attributes if name == "id"}
    links = [value[1:] for name, value in written.attributes if name == "href"]
    assert set(links) <= ids  # of value.none, which nothing measured, the title stands without a link
    assert "value.none: x" in place


def test_the_card_and_the_terminal_have_it_in_words() -> None:
    case = with_sections(section())
    body = card(case).partition("## A title")[2].partition("\n## ")[0]
    for words in (
        "An intro",
        "### A heading",
        "| One | Two | Three |",
        "first cell (code name)",
        "- an item\n  - beneath",
    ):
        assert words in body
    assert "- a point" in body
    assert "  - a mark" in body
    assert not any(words in body for words in ("one reply", "A note"))  # replies are read on the page
    text = printed(case, width=200).partition("A title")[2]
    for words in ("A heading", "One", "first cell", "10 of 40 [12.5, 50.0]", "an item", "  beneath it"):
        assert words in text
    assert not any(words in text for words in ("An intro", "one reply", "A note", "a point", "n = 40"))
    assert "A title" not in printed(make())


def test_a_section_is_shown_where_it_says() -> None:
    one = section().model_copy(update={"media": ("card",)})
    case = with_sections(one, section().model_copy(update={"title": "Empty", "blocks": ()}))
    assert "A title" in card(case)
    assert "A title" not in Reader(page.html(case)).text + printed(case)
    assert "Empty" not in Reader(page.html(case)).text + printed(case) + card(case)


def test_hostile_text_changes_words_and_nothing_else() -> None:
    calm, wild = (Reader(page.html(with_sections(section(text)))) for text in ("x" * len(HOSTILE), HOSTILE))
    assert wild.tags == calm.tags
    assert [name for name, _ in wild.attributes] == [name for name, _ in calm.attributes]
    case = with_sections(section(HOSTILE + "\n# h | x\x1b]0;owned\x07"))
    assert not set("\x1b\x07\u202e\u200b") & set(printed(case, tty=False) + card(case) + page.html(case))
    assert "<" not in card(case).split("---", 2)[2]
    rows = [line for line in card(case).splitlines() if line.startswith("| ") and "One" in line]
    assert [row.count("|") for row in rows] == [4]


def test_dots_and_bars_of_a_chart_are_where_the_numbers_are() -> None:
    chart = next(block for block in section().blocks if isinstance(block, LineChart))
    drawing = charts.line_chart(chart)
    assert 'cx="50.00%"' in drawing  # 0.5 on a scale from 0 to 1
    assert 'x1="25.00%"' in drawing
    assert 'x2="100.00%"' in drawing
    y = [
        float(value)
        for value in re.findall(r'class="limits end" x1="50.00%" y1="([0-9.]+)" x2="50.00%" y2="([0-9.]+)"', drawing)[0]
    ]
    dot = float(re.search(r'cy="([0-9.]+)"', drawing)[1])
    assert (y[0] - dot) == pytest.approx((dot - y[1]) / 2, abs=0.2)  # 1, 2 and 4
    assert 'class="promised" x="25.00%"' in drawing


def test_what_is_stored_is_read_back_and_a_run_without_sections_shows_all_else(tmp_path: Path) -> None:
    run = material.write(tmp_path / "run", *material.case())
    (run / "sections.jsonl").write_text(section().model_dump_json() + "\n")
    assert read(run).sections == (section(),)
    render(run)
    assert "A paragraph." in (run / "report.html").read_text()
    (run / "sections.jsonl").unlink()
    render(run)
    text = Reader((run / "report.html").read_text()).text
    assert "A paragraph." not in text
    assert all(finding.method in text for finding in material.case()[1])
    (run / "sections.jsonl").write_text(section().model_dump_json() + "\n" + '{"name": "x"}\n')
    with pytest.raises(ValueError, match=r"sections\.jsonl:2: title: .*not a Section record"):
        read(run)


def test_sections_that_do_not_fit_are_left_out_and_named() -> None:
    flood = Section(name="flood", title="Flood", blocks=tuple(Note(text="&" * 1900) for _ in range(600)))
    written = page.html(with_sections(section(), flood))
    assert len(written.encode()) <= page.LIMIT
    assert "A paragraph." in written
    assert 'id="flood"' not in written
    assert "1 more sections are in sections.jsonl" in written
    assert "more sections" not in page.html(with_sections(section()))


def test_a_number_of_no_scored_item_says_how_many_there_were() -> None:
    lost = Finding(claim="a", stage="baseline", axis="value", value=None, n=0, unscored=23, method="no scored items")
    table = Table(columns=("", "Before"), rows=((Cell(text="Defers"), Cell(number=lost, counted=True)),))
    case = with_sections(Section(name="s", title="S", blocks=(table,), media=("card", "terminal")))
    for text in (printed(case), card(case)):
        assert "n = 0 of 23: 23 unscored" in text
        assert "no interval" not in text.split("Defers")[1].splitlines()[0]
