"""Does the page show everything, hide nothing, fetch nothing, and obey no reply?"""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
import report_case as material

from alignwright.core import wording
from alignwright.core.promises import PromiseReport, answer, parse
from alignwright.core.records import Conversation, Example, Finding
from alignwright.core.section import Section, Transcript
from alignwright.report import figures, names, page
from alignwright.report import results as cases
from alignwright.report.card import card
from alignwright.stats.marks import direction

HOSTILE = "<script>alert(1)</script></style></title>\"'><img src=x onerror=alert(1)>{{ 7*7 }}\u202e\x1b[31m\u200b<!--"
VOID = {"meta", "input", "br", "img", "link", "hr"}


class Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def make(hostile: str = "", change=None) -> cases.RunResults:
    answers, findings = material.case(hostile)
    return material.results(answers, change(findings) if change else findings)


@pytest.fixture(scope="module")
def plain() -> str:
    return page.html(make())


def test_a_hostile_reply_changes_words_and_nothing_else(plain):
    calm, wild = Reader(plain), Reader(page.html(make(HOSTILE)))
    assert wild.open == calm.open == []
    assert set(wild.tags) == set(calm.tags)
    assert not {"script", "img", "iframe", "object", "link", "form"} & set(wild.tags)
    assert {name for name, _ in wild.attributes} == {name for name, _ in calm.attributes}
    assert not any(name.startswith("on") or name == "style" for name, _ in wild.attributes)
    assert "<script>alert(1)</script>" in wild.text
    assert "{{ 7*7 }}" in wild.text
    assert "⟨U+202E⟩⟨U+001B⟩[31m⟨U+200B⟩" in wild.text
    assert not set("\u202e\x1b\u200b") & set(page.html(make(HOSTILE)))


def test_why_there_is_no_number_is_said_once():
    promise, why = parse("intent.pushback > 0.5"), "no item was found that could be asked"

    def told(**changes: object) -> str:
        answers, findings = material.case()
        findings = [f.model_copy(update=changes) if f.claim == promise.claim else f for f in findings]
        verdicts = (answer(promise, findings),)
        return Reader(page.html(material.results(answers.model_copy(update={"verdicts": verdicts}), findings))).text

    listed = told(value=None, low=None, high=None, detail={"untested": why}).partition("A promise was written")[0]
    assert listed.count(why) == 1
    assert "Measured: " not in listed
    assert "Measured: " in told().partition("A promise was written")[0]  # the control


def test_even_names_cannot_break_out():
    def rename(findings: list[Finding]) -> list[Finding]:
        return [
            f.model_copy(
                update={"claim": f.claim + HOSTILE, "stage": f.stage + HOSTILE, "method": HOSTILE, "unit": HOSTILE}
            )
            for f in findings
        ]

    read = Reader(page.html(make(HOSTILE, rename)))
    assert read.open == []
    assert not {"script", "img"} & set(read.tags)
    ids = [value for name, value in read.attributes if name == "id"]
    assert all(re.fullmatch(r"[\w.-]*", value) for value in ids)


def test_nothing_is_fetched_and_only_its_own_style_is_allowed(plain):
    style = re.search(r"<style>(.*?)</style>", plain, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    attributes = Reader(plain).attributes
    assert (
        "content",
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
    ) in attributes
    assert not {"src", "srcset", "style"} & {name for name, _ in attributes}
    assert not re.search(r"https?://|url\(|@import", plain)
    assert all(value.startswith("#") for name, value in Reader(plain).attributes if name == "href")


def test_every_link_lands_and_every_id_is_one_of_a_kind(plain):
    attributes = Reader(plain).attributes
    ids = [value for name, value in attributes if name == "id" and value]
    assert len(ids) == len(set(ids))
    assert {value[1:] for name, value in attributes if name == "href"} <= set(ids)


def test_every_number_is_there_with_its_interval_and_what_is_missing(plain):
    text = Reader(plain).text
    for finding in make().findings:
        assert wording.number(finding.value, finding.unit, change=finding.against is not None) in text
        assert wording.interval(finding) in text
        assert wording.scored(finding) in text
        assert finding.method in text
    assert "n = 96 of 100: 3 unscored, 1 error" in text
    assert "refused: right on 51% of 48 known pairs" in text
    for verdict in make().verdicts:
        assert verdict.promise in text


def test_missing_is_said_and_never_zero():
    def drop(findings: list[Finding]) -> list[Finding]:
        gone = {"value": None, "low": None, "high": None, "n": 0, "unscored": 9}
        return [
            f.model_copy(update=gone) if f.claim == "intent.meant" else f
            for f in findings
            if (f.claim, f.stage) != ("tax.choice", "baseline")
        ]

    read = Reader(page.html(make(change=drop)))
    assert "not measured" in read.text
    assert "n = 0 of 9: 9 unscored" in read.text
    assert "no interval" in read.text


def test_an_empty_run_still_has_a_page():
    header = make().header.model_copy(update={"stages": (), "principles": (), "facts": {}})
    answers = PromiseReport(header=header, verdicts=())
    text = Reader(page.html(cases.RunResults(answers.header, answers.verdicts, ()))).text
    assert "No promise was made" in text
    assert "Nothing was measured" in text


def test_of_one_model_alone_there_is_no_before(plain):
    """An audit trains nothing: its numbers are what was measured; a pure number carries no name of a unit."""
    one = make(change=lambda rows: [f for f in rows if f.stage == "baseline" and f.against is None])
    alone, of_it = page.html(one), card(one)
    assert "What was measured" in alone
    assert "Before" not in Reader(alone).text
    assert names.RULE not in Reader(alone).text
    assert "| Claim | Better | Measured | Scored |" in of_it
    assert not any(word in of_it for word in ("| Before |", "| Change |", "▲ better"))
    assert "Before and after" in plain  # the control
    assert names.RULE in Reader(plain).text
    assert "| Before | Now | Change |" in card(make())
    assert [wording.number(0.5, unit) for unit in ("fraction", "difference", "nats")] == [
        "0.500",
        "0.500",
        "0.500 nats",
    ]


def test_a_flood_of_replies_stays_under_a_megabyte_and_says_what_it_left_out():
    long = {
        "prompt": Conversation.user("&" * 9000),
        "reply": "<" * 9000,
        "status": "fail",
        "before": ">" * 9000,
        "before_status": "pass",
    }
    flood = tuple(Example(item=f"i{i}", **long) for i in range(40))
    text = page.html(make(change=lambda findings: [f.model_copy(update={"exhibits": flood}) for f in findings]))
    assert len(text.encode()) < 1_000_000
    assert "more characters in findings.jsonl" in text
    assert re.search(r"the worst \d+ of 40 exhibits", text)


def test_dots_are_where_the_numbers_are():
    claim = make().find("value.refusal")
    drawing = figures.lanes(claim, make())
    for level in claim.levels.values():
        assert f'="{100 * level.value:.2f}%"' in drawing
        assert f'x1="{100 * level.low:.2f}%"' in drawing
    bits = make().find("tax.bits_per_byte")
    scale = figures.scale(bits)
    limits = [limit for level in bits.levels.values() for limit in (level.low, level.high)]
    assert scale.low <= min(limits) < max(limits) <= scale.high
    assert list(scale.ticks) == sorted(scale.ticks)


def test_a_bound_beyond_what_was_measured_is_on_the_axis():
    """Cut off at the end of the axis it would look like another promise, and the level as near to it."""
    bits = make().find("tax.bits_per_byte")
    highest = max(level.high for level in bits.levels.values())
    promise = parse(f"tax.bits_per_byte < {2 * highest}")
    assert figures.scale(bits).high < promise.bound, "a control: without it the axis ends before"
    assert figures.scale(bits, promise).high >= promise.bound
    lines = re.findall(r'class="bound" x1="([0-9.]+)%"', figures.lanes(bits, make(), promise))
    assert [0 < float(x) <= 100 for x in lines] == [True]


@pytest.mark.parametrize(
    ("value", "p", "adjusted", "better", "told"),
    [
        (0.1, 0.01, 0.02, "higher", "better"),
        (0.1, 0.01, 0.02, "lower", "worse"),
        (-0.1, 0.01, 0.02, "lower", "better"),
        (0.1, 0.03, 0.12, "higher", "unclear"),  # its own interval leaves out 0, but one of several does so by chance
        (0.1, 0.01, None, "higher", "better"),  # tested alone
        (0.1, 0.01, 0.02, None, "changed"),
        (0.1, None, None, "higher", "unclear"),
    ],
)
def test_marks_follow_the_adjusted_p_and_the_claim(value, p, adjusted, better, told):
    made = {
        "claim": "a.b",
        "stage": "s",
        "against": "baseline",
        "axis": "value",
        "value": value,
        "low": value - 0.05,
        "high": value + 0.05,
    }
    assert direction(Finding(**made, n=1, method="m", better=better, p=p, p_adjusted=adjusted)) == told


def test_both_colour_schemes_have_contrast():
    style = (page.resources.files("alignwright.report") / "templates/page.css").read_text()
    for scheme in re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]:
        colour = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})\b", scheme))
        for front, back in (
            [(f, b) for f in ("ink", "soft", "link", "kept", "broken", "untested") for b in ("paper", "card")]
            + [(f, f"{f}-wash") for f in ("kept", "broken", "untested")]
            + [(f, f"{b}-wash") for f in ("ink", "soft", "link") for b in ("kept", "broken", "untested")]
        ):
            assert _contrast(colour[front], colour[back]) >= 4.5, (front, back)


def _contrast(a: str, b: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        return sum(
            w * (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
            for w, c in zip((0.2126, 0.7152, 0.0722), parts, strict=True)
        )

    high, low = sorted((light(a), light(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_two_stages_of_one_name_are_told_apart(plain):
    def again(findings: list[Finding]) -> list[Finding]:
        return [
            *findings,
            *(f.model_copy(update={"stage": "train.2.dpo"}) for f in findings if f.stage == "train.1.dpo"),
        ]

    assert "After DPO (train.2.dpo)" in Reader(page.html(make(change=again))).text
    assert "After DPO (train" not in plain


def test_a_promise_on_what_a_section_shows_the_replies_of_leads_there():
    whole = make()
    section = Section(
        name="steps", title="Steps", intro="", blocks=(
            Transcript(claim="attack.success", title="A step", heads=("Task", "What it did"),
                       examples=(Example(item="i", prompt=Conversation.user("Do."), reply="Done.", reason="why"),)),
        ),
    )  # fmt: skip
    shown = cases.RunResults(whole.header, whole.verdicts, whole.findings, (*whole.sections, section))
    assert '<a href="#steps">the replies</a>' in page.html(shown)
    assert '<a href="#steps">the replies</a>' not in page.html(whole), "a control: elsewhere they stand by themselves"
