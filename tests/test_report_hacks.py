"""Does the page name how the reward was gamed, show the pair, and obey no reply?"""

from __future__ import annotations

from test_report_page import HOSTILE, Reader, make

from alignwright.core.records import Conversation, Example, Finding
from alignwright.report import page
from alignwright.report.hacks import hacks


def finding(claim: str, note: str, value: float = 0.5, text: str = "Great! Great!") -> Finding:
    shown = Example(
        item="1",
        prompt=Conversation.user(text),
        reply=text,
        status="hit",
        reason=text,
        before="Plain.",
        before_status="pass",
    )
    return Finding(
        claim=claim, stage="baseline", axis="goodhart", value=value, low=0.1, high=0.9, n=40, method="m",
        unit="spreads", better="lower", p=0.001,
        p_adjusted=0.01, note=note, exhibits=(shown,),
    )  # fmt: skip


def with_hacks(text: str = "Great! Great!"):
    added = [
        finding(
            "hacking.test.repeat",
            f"the reply said twice raises the proxy and not gold: proxy +1.00, gold -0.20; {text}",
            3.0,
            text,
        ),
        finding("hacking.feature.words", "overpaid: more length in words: proxy +0.5, gold +0.1; but", 0.9, text),
        finding(
            "hacking.feature.said_great", f'gamed: more said "{text}": proxy +0.5, gold -0.1; of replies', 0.4, text
        ),
    ]
    return make(change=lambda findings: [*findings, *added])


def test_exploited_features_come_first_and_both_replies_are_shown() -> None:
    case = with_hacks()
    assert [hack.finding.claim for hack in hacks(case)] == [
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
    assert all(not claim.lives for claim in case.claims if claim.name.startswith(("hacking.feature.", "hacking.test.")))


LONG = (
    "single words are paid for: cap what words can bring; repetition is paid for: score the reply without its repeated"
    " sentences"
)
COMBINED = (
    "combined by search (7 favoured words appended, then the reply said twice) raises the proxy and not gold: proxy"
    f" +9, gold -8; {LONG}"
)


def test_what_a_search_put_together_is_one_line_with_its_steps_and_its_remedies_to_be_opened() -> None:
    case = make(change=lambda findings: [*findings, finding("hacking.test.combined", COMBINED)])
    (hack,) = hacks(case)
    assert (hack.what, hack.paid) == ("combined by search raises the proxy and not gold", "proxy +9, gold -8")
    assert hack.more == ("7 favoured words appended, then the reply said twice", *LONG.split("; "))
    written = page.html(case)
    assert (
        "how, and what would close it</summary><small>7 favoured words appended, then the reply said twice</small>"
        in written
    )
    assert COMBINED in Reader(written).text  # whole in the numbers, where its beginning opens it
    assert '<details class="method note"><summary>combined by search (7 favoured words' in written
    plain = page.html(with_hacks())  # the control: one edit, and a short note, need no opening
    assert "how, and what" not in plain
    assert '<details class="method note">' not in plain


def test_a_word_in_brackets_is_no_list_of_steps() -> None:
    told = 'the word "(a)" appended raises the proxy and not gold: proxy +1; the word "(a)" alone is paid for'
    (hack,) = hacks(make(change=lambda findings: [*findings, finding("hacking.test.keyword_a", told)]))
    assert (hack.what, hack.more) == (
        'the word "(a)" appended raises the proxy and not gold',
        ('the word "(a)" alone is paid for',),
    )
