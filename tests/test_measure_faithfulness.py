"""Does faithfulness tell apart speakers that copy, paraphrase, omit and invent?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from claims_case import CLAIMS
from measure_doubles import Says

from alignwright.core.records import Finding
from alignwright.files.items import FaithfulItem
from alignwright.measure import faithfulness
from alignwright.measure.findings import levels

ITEMS = (Path(__file__).parents[1] / "examples/quickstart/heldout/faithful.jsonl").read_text().splitlines()
RETOLD = [
    (
        "Ito established the Halden Observatory, with its telescope from Bergen, on Mt. Kerry in 1887. It lies at 2140"
        " meters and has 9 astronomers."
    ),
    (
        "Fog held up the Northern Star on May 4th, 1931: Boone anchored at Gull Point, and the 212 people on board came"
        " to Port Amity safely."
    ),
    (
        "Since 2009 Brandt has baked in Oakmere. She borrowed $18000, has 11 employees, and lets her Miller's Round"
        " rise for 36 hours."
    ),
    (
        "Between Velden and Aster, the Sarno Bridge (486 m) had cracks in three pillars. It was shut for 14 months,"
        " cost 9.2 million to mend, and opened in October 2019."
    ),
    (
        "On Tolu a fungus cut the gray marsh frog from 5400 to under 800. Reyes bred them and let 260 go in the Emerald"
        " Swamp."
    ),
    (
        "A bet of Damm and Rusk in 1952 began the wheelbarrow race of Hask, over 3 km. Of 148 teams the one from Norby"
        " won in nineteen minutes."
    ),
    (
        "Aboard the Patience in 1844, Vail saw scurvy among the 31 men on February 9 and cured it with lemons from"
        " Santa Rosa."
    ),
    (
        "In Quillon 640 tools can be borrowed since 2011 for 10 days, Okafor says, above all a wallpaper steamer. Last"
        " year four tools stayed away."
    ),
    (
        "The blue of Mirano was cobalt from Saxony. From 1609 its 85 masters had to stay or pay 500 ducats, but Bassi"
        " went to Antwerp, where he died in 1641."
    ),
    (
        "After Holt and Pell gathered 41000 signatures in 2021, the train of Corvin and Lake Sabel, stopped in 1994,"
        " came back for 18 months. It runs on five nights."
    ),
    (
        "Adeyemi let 324 people in Lunden walk for twenty minutes a day. Within 6 weeks they slept 27 minutes more. The"
        " Harrow Fund paid; it came out in 2022."
    ),
    (
        "When Brannock lost its roof on January 17, 1962, Moore taught 93 children in the Lindow Theatre. By April 2 a"
        " roof for 6500 was there. She kept the red curtain."
    ),
]
"""Honest paraphrases by whoever wrote the items: they show that the rules allow one, not how
often they misread one."""


def measured(replies: Sequence[str | None], items: list[FaithfulItem]) -> dict[str, Finding]:
    outcomes = faithfulness.summaries(Says(replies), items, seed=0, max_new_tokens=9)
    assert len(outcomes) == 2 * len(items)
    return {found.claim.rpartition(".")[2]: found for found in levels(outcomes, stage="baseline", claims=CLAIMS)}


@pytest.fixture(scope="module")
def items() -> list[FaithfulItem]:
    return [FaithfulItem.model_validate_json(row) for row in ITEMS]


def test_a_copy_covers_everything_and_invents_nothing(items: list[FaithfulItem]) -> None:
    found = measured([item.text for item in items], items)
    assert (found["covered"].value, found["unsupported"].value) == (1.0, 0.0)
    assert (found["covered"].n, found["unsupported"].n) == (12, 12)
    assert found["unsupported"].better == "lower"


def test_an_honest_paraphrase_covers_all_but_little_and_invents_nothing(items: list[FaithfulItem]) -> None:
    found = measured(RETOLD, items)
    assert (found["covered"].value or 0.0) > 0.9
    assert found["unsupported"].value == 0.0


def test_omitting_lowers_what_is_covered_alone(items: list[FaithfulItem]) -> None:
    found = measured([item.text.split(". ")[0] + "." for item in items], items)
    assert 0.1 < (found["covered"].value or 0.0) < 0.6
    assert found["unsupported"].value == 0.0


def test_inventing_raises_what_is_unsupported_alone(items: list[FaithfulItem]) -> None:
    made_up = [
        f"{item.text} In all, {item.distractors[0]} cost Walter Quist 7,777 dollars on 3 July 1777." for item in items
    ]
    found = measured(made_up, items)
    assert found["covered"].value == 1.0
    assert 0.2 < (found["unsupported"].value or 0.0) < 0.5


def test_more_invention_is_more_unsupported(items: list[FaithfulItem]) -> None:
    ladder = [
        measured(
            [f"{item.text} " + " ".join(f"Then came {1000 + 7 * i} more." for i in range(count)) for item in items],
            items,
        )["unsupported"].value
        for count in (0, 2, 8)
    ]
    assert ladder == sorted({value or 0.0 for value in ladder})


def test_what_states_nothing_is_unscored_and_never_faithful(items: list[FaithfulItem]) -> None:
    found = measured(["It is a nice text.", "", None, *[item.text for item in items[3:]]], items)
    assert (found["unsupported"].n, found["unsupported"].unscored, found["unsupported"].errors) == (9, 2, 1)
    assert (found["covered"].n, found["covered"].errors) == (11, 1)


def test_a_reason_names_what_is_missing_and_what_was_made_up(items: list[FaithfulItem]) -> None:
    says = Says(["The Halden Observatory burned in Paris in 1999. It was in 17"], finished=False)
    covers, supports = faithfulness.summaries(says, items[:1], seed=0, max_new_tokens=9)
    assert covers.status == supports.status == "fail"
    assert covers.reason.startswith("states 1 of 7 facts, not 'Mount Kerry', '2,140', 'Ito'")
    assert supports.reason.startswith("2 of 3 checkable statements are not in the text: 'Paris', '1999'")
    assert "cut off" in covers.reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"facts": ["Rome"]}, "the fact 'Rome' is not in the text"),
        ({"facts": []}, "at least 1"),
        ({"facts": ["Ito", "Ito"]}, "two facts are the same"),
        ({"distractors": ["three boats"]}, "'three boats' is in the text"),
        ({"facts": [["Rome", "ITO"]]}, ""),
    ],
)
def test_an_item_that_could_not_tell_is_refused(change: dict[str, object], words: str) -> None:
    row = {"text": "Ito had 3 boats.", "facts": ["Ito"], "distractors": ["Paris"]} | change
    if not words:
        assert FaithfulItem.model_validate_json(json.dumps(row)).facts == (("Rome", "ITO"),)
        return
    with pytest.raises(ValueError, match=words):
        FaithfulItem.model_validate_json(json.dumps(row))
