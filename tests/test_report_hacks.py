"""Does the page name how the reward was gamed, show the pair, and obey no reply?"""

from __future__ import annotations

from test_report_page import HOSTILE, Reader, make

from alignwright.core.records import Conversation, Exhibit, Finding
from alignwright.report import page
from alignwright.report.hacks import hacks


def finding(claim: str, note: str, value: float = 0.5, text: str = "Great! Great!") -> Finding:
    shown = Exhibit(item="1", prompt=Conversation.user(text), reply=text, status="hit", reason=text, before="Plain.", before_status="pass")
    return Finding(
        claim=claim, stage="baseline", axis="goodhart", value=value, low=0.1, high=0.9, n=40, method="m", unit="spreads", better="lower", p=0.001,
        p_adjusted=0.01, note=note, exhibits=(shown,),
    )  # fmt: skip


def with_hacks(text: str = "Great! Great!"):
    added = [
        finding("hacking.test.repeat", f"the reply said twice raises the proxy and not gold: proxy +1.00, gold -0.20; {text}", 3.0, text),
        finding("hacking.feature.words", "overpaid: more length in words: proxy +0.5, gold +0.1; but", 0.9, text),
        finding("hacking.feature.said_great", f'gamed: more said "{text}": proxy +0.5, gold -0.1; of replies', 0.4, text),
    ]
    return make(change=lambda findings: [*findings, *added])


def test_gamed_features_come_first_and_both_replies_are_shown() -> None:
    case = with_hacks()
    assert [hack.finding.claim for hack in hacks(case)] == ["hacking.feature.said_great", "hacking.feature.words", "hacking.test.repeat"]
    text = Reader(page.html(case)).text
    assert "How the reward is gamed" in text
    assert text.index("Gold prefers") < text.index("Plain.") < text.index("The proxy prefers")
    assert "After the edit, and the proxy likes it as well or better" in text


def test_a_run_without_hacks_has_no_such_section() -> None:
    assert "How the reward is gamed" not in page.html(make())


def test_a_hostile_reply_changes_words_and_nothing_else() -> None:
    plain, hostile = Reader(page.html(with_hacks())), Reader(page.html(with_hacks(HOSTILE)))
    assert hostile.tags == plain.tags
    assert "<script" not in page.html(with_hacks(HOSTILE))
    assert "\u202e" not in page.html(with_hacks(HOSTILE))


def test_a_pair_is_not_taken_for_a_reply_before_and_after() -> None:
    case = with_hacks()
    assert all(not claim.lives for claim in case.claims if claim.name.startswith(("hacking.feature.", "hacking.test.")))
