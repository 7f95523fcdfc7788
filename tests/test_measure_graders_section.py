"""Does every report say how far its graders are right, and show the corrected rate beside the
one that was graded?"""

from __future__ import annotations

import pytest
from test_report_page import HOSTILE, Reader, make
from test_report_terminal import printed

from alignwright.core.records import Finding
from alignwright.core.section import FindingTable
from alignwright.core.wording import rate
from alignwright.measure.graders_section import section
from alignwright.report import page
from alignwright.report.card import card

TRANSFERRED = (
    "Rogan-Gladen 95%, transferred: sensitivity from 2 and specificity from 2 sources of other models' replies"
)
OWN = "labels of these very replies; prediction-powered (PPI++, weight 0.80; 30 labels of 96 items)"
NONE = "no correction: sensitivity + specificity - 1 is not clearly above 0"
KNOWN = "the grader of 'refused' against people's labels: XSTest: sensitivity 89% of 114, specificity 93% of 91"


def corrections(note: str = KNOWN):
    """After each graded level, and each change, its corrected twin: one by labels, one
    transferred, one that could not be had."""

    def change(findings: list[Finding]) -> list[Finding]:
        found: list[Finding] = []
        for f in findings:
            found.append(f)
            if f.claim in ("value.refusal", "value.over_refusal", "attack.success"):
                known = {
                    "value.refusal": (0.512, 0.401, 0.623, OWN),
                    "value.over_refusal": (0.187, 0.02, 0.444, TRANSFERRED),
                }
                value, low, high, method = known.get(f.claim, (None, None, None, NONE))
                made = {
                    "claim": f"{f.claim}.corrected",
                    "stage": f.stage,
                    "against": f.against,
                    "axis": f.axis,
                    "better": f.better,
                    "n": f.n,
                    "detail": {OWN: {"correction": "labels"}, TRANSFERRED: {"correction": "transferred"}}.get(
                        method, {}
                    ),
                }
                found.append(Finding(value=value, low=low, high=high, method=method, note=note, **made))
        return found

    return change


def test_the_page_shows_the_corrected_rate_in_the_cell_of_the_rate_and_the_known_error_beside_it():
    text = page.html(make(change=corrections()))
    row = text[text.index('<tr id="claim-value.refusal"') :]
    row = row[: row.index("</tr>")]
    seen = Reader(row).text
    assert seen.count("corrected 51.2% [40.1, 62.3], by labels") == 3, "at each of the three stages"
    assert "XSTest: sensitivity 89% of 114, specificity 93% of 91" in seen
    assert OWN in seen
    assert 'id="claim-value.refusal.corrected"' in row, "a promise on the corrected rate leads here"
    row = text[text.index('<tr id="claim-attack.success"') :]
    assert Reader(row[: row.index("</tr>")]).text.count("no corrected rate") == 5
    assert "not clearly above 0" in text
    assert Reader(text).text.count("corrected 18.7% [2.0, 44.4], transferred") == 3
    assert "by way of attacking (2)" in text, "a corrected rate is no way of attacking"


def test_the_terminal_and_the_card_name_the_graders_once_for_all_rates_they_found():
    case = make(change=corrections())
    refusal, attack = (rate(case.find(name).levels["train.1.dpo"]) for name in ("value.refusal", "attack.success"))
    for text in (" ".join(printed(case, width=500).split()), card(case).replace("\\", "")):
        assert f"value.refusal: {refusal} as graded, 51.2% [40.1, 62.3] corrected, by labels" in text
        assert "18.7% [2.0, 44.4] corrected, transferred" in text
        assert f"attack.success: {attack} as graded, no corrected rate" in text
        assert text.count(KNOWN) == 3
    assert ".corrected" in printed(case)
    assert max(map(len, printed(case).splitlines())) <= 80


def test_a_run_without_graders_says_nothing_of_them():
    assert "## Graders" not in card(make())
    assert "as graded" not in printed(make())


@pytest.mark.parametrize("show", [lambda case: printed(case, tty=False), card])
def test_a_hostile_name_of_a_source_acts_nowhere(show):
    text = show(make(change=corrections(KNOWN + HOSTILE)))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<script>" not in card(make(change=corrections(KNOWN + HOSTILE)))
    assert "script" not in Reader(page.html(make(change=corrections(KNOWN + HOSTILE)))).tags


def test_a_rate_of_no_scored_reply_is_said_to_be_none():
    unscored = Finding(claim="value.refusal", stage="baseline", axis="value", value=None, n=0, method="none scored")
    corrected = unscored.model_copy(update={"claim": "value.refusal.corrected"})
    lines = section(FindingTable((unscored, corrected), ("baseline",)))
    assert lines is not None
    assert "value.refusal: no reply was scored" in str(lines.blocks)
    assert "as graded" not in str(lines.blocks)
