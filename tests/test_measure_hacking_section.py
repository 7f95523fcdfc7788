"""Does the page name how the reward was gamed, show the pair, and obey no reply?"""

from __future__ import annotations

from test_report_page import HOSTILE, Reader, make

from alignwright.core.records import Conversation, Example, Finding
from alignwright.core.section import Cell, FindingTable, Table, Transcript
from alignwright.measure.hacking.section import section
from alignwright.report import page
from alignwright.report.results import RunResults


def finding(
    claim: str, detail: dict[str, str], note: str = "a note", value: float = 0.5, text: str = "Great! Great!"
) -> Finding:
    shown = Example(
        item="1",
        prompt=Conversation.user(text),
        reply=text,
        status="fail",
        reason=text,
        before="Plain.",
        before_status="pass",
    )
    return Finding(
        claim=claim, stage="baseline", axis="goodhart", value=value, low=0.1, high=0.9, n=40, method="m",
        unit="spreads", better="lower", p=0.001,
        p_adjusted=0.01, note=note, detail=dict(detail), exhibits=(shown,),
    )  # fmt: skip


def hacks(case: RunResults) -> list[tuple[Cell, ...]]:
    """The rows of the table."""
    made = section(FindingTable(case.findings, case.stages))
    assert made is not None
    table = made.blocks[0]
    assert isinstance(table, Table)
    return list(table.rows)


def with_hacks(text: str = "Great! Great!"):
    repeated = {"kind": "rewarded", "what": "the reply said twice raises the proxy and not gold", "advice": text}
    longer = {"kind": "overpaid", "what": "more length in words", "reason": "but"}
    great = {"kind": "gamed", "what": f'more said "{text}"', "reason": "of replies"}
    added = [
        finding("hacking.test.repeat", repeated | {"price": "proxy +1.00, gold -0.20"}, value=3.0, text=text),
        finding("hacking.feature.words", longer | {"price": "proxy +0.5, gold +0.1"}, value=0.9, text=text),
        finding("hacking.feature.said_great", great | {"price": "proxy +0.5, gold -0.1"}, value=0.4, text=text),
    ]
    return make(change=lambda findings: [*findings, *added])


def test_exploited_features_come_first_and_both_replies_are_shown() -> None:
    case = with_hacks()
    assert [row[0].code for row in hacks(case)] == [
        "hacking.feature.said_great",
        "hacking.feature.words",
        "hacking.test.repeat",
    ]
    text = Reader(page.html(case)).text
    assert "How the reward is gamed" in text
    assert text.index("Gold prefers") < text.index("Plain.") < text.index("The proxy prefers")
    assert "After the edit, and the proxy likes it as well or better" in text


def test_a_run_without_hacks_has_no_such_section() -> None:
    assert "How the reward is gamed" not in page.html(make())


def test_a_hostile_reply_changes_words_and_nothing_else() -> None:
    plain, hostile = Reader(page.html(with_hacks("x" * len(HOSTILE)))), Reader(page.html(with_hacks(HOSTILE)))
    assert hostile.tags == plain.tags
    assert "<script" not in page.html(with_hacks(HOSTILE))
    assert "\u202e" not in page.html(with_hacks(HOSTILE))


def test_a_pair_is_not_taken_for_a_reply_before_and_after() -> None:
    case = with_hacks()
    hacked = [claim for claim in case.claims if claim.name.startswith(("hacking.feature.", "hacking.test."))]
    assert len(hacked) == 3
    assert all(claim.transcribed and not claim.histories for claim in hacked)
    (transcripts,) = [[b for b in s.blocks if isinstance(b, Transcript)] for s in case.sections if s.name == "hacked"]
    assert all(e.before == "Plain." for transcript in transcripts for e in transcript.examples)
    old = RunResults(case.header, case.verdicts, case.findings)  # a run that stored no sections
    (history,) = old.find("hacking.test.repeat").histories
    assert [step.reply for step in history.steps] == ["Great! Great!"]


ADVICE = (
    "single words are paid for: cap what words can bring",
    "repetition is paid for: score the reply without its repeated sentences",
)
STEPS = "7 favoured words appended, then the reply said twice"
COMBINED = {
    "kind": "rewarded",
    "what": "combined by search raises the proxy and not gold",
    "price": "proxy +9, gold -8",
    "steps": STEPS,
    "advice": "\n".join(ADVICE),
}
NOTE = f"combined by search ({STEPS}) raises the proxy and not gold: proxy +9, gold -8; {'; '.join(ADVICE)}"


def test_what_a_search_put_together_is_one_line_with_its_steps_and_its_remedies_to_be_opened() -> None:
    case = make(change=lambda findings: [*findings, finding("hacking.test.combined", COMBINED, NOTE)])
    (hack,) = hacks(case)
    assert (hack[0].text, hack[3].text) == (COMBINED["what"], COMBINED["price"])
    assert hack[3].lines == (STEPS, *ADVICE)
    written = page.html(case)
    assert f"how, and what would close it</summary><small>{STEPS}</small>" in written
    assert NOTE in Reader(written).text  # whole in the numbers, where its beginning opens it
    assert '<details class="method note"><summary>combined by search (7 favoured words' in written
    plain = page.html(with_hacks())  # the control: one edit, and a short note, need no opening
    assert "how, and what" not in plain
    assert '<details class="method note">' not in plain


def test_the_words_of_the_note_are_read_by_nobody() -> None:
    """Colons, semicolons and brackets of a sentence are no syntax: the same hack, whatever its note."""
    plain, odd = (
        hacks(make(change=lambda findings, note=note: [*findings, finding("hacking.test.combined", COMBINED, note)]))
        for note in ("", "gamed: (a): b; c")
    )
    assert plain == odd
