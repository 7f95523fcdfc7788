"""Are planted facts found in every form of writing, and is what a text does not hold told from
what it does?"""

from __future__ import annotations

import pytest

from alignwright.text.faithfulness import covered_facts, holds, look_up_statements, statements

TEXT = (
    "In March 1887 Dr. Maria Ito founded the Halden Observatory on Mount Kerry with twelve thousand crowns. "
    "It opened on 4 May 1889 and had 3 telescopes; 45% of its visitors were children."
)
FACTS = [["Maria Ito", "Ito"], ["12,000 crowns"], ["May 4, 1889"], ["three telescopes"], ["45 percent"]]


@pytest.mark.parametrize(
    ("reply", "stated"),
    [
        (TEXT, 5),
        ("ITO paid 12 thousand crowns.", 2),
        ("Ito\u2019s telescopes: three telescopes, opened on 1889-05-04.", 3),
        ("It opened on May 4th, 1889. Forty-five per cent were **children**.", 2),
        ("It opened on 5 May 1889 with 30 telescopes and 112,000 crowns; 45.5 percent came.", 0),
        ("", 0),
        ("Itoland had three-telescopes.", 1),
    ],
)
def test_facts_are_found_in_any_form_of_writing(reply: str, stated: int) -> None:
    assert sum(covered_facts(reply, FACTS)) == stated


@pytest.mark.parametrize(
    ("reply", "held", "invented"),
    [
        ("The observatory opened in May 1889 with three telescopes.", {"May 1889", "3"}, set()),
        ("It opened in 1889. A gift of 12 thousand crowns paid for it.", {"1889", "12000"}, set()),
        ("It opened on 5 May 1889.", set(), {"5 May 1889"}),
        ("It opened on 4 May 1901.", set(), {"4 May 1901"}),
        ("The founder, Hans Gruber, paid 15 crowns.", set(), {"Hans Gruber", "15"}),
        ("The founder was Ito, and Ito's observatory, Halden, has 3 telescopes.", {"Ito", "Halden", "3"}, set()),
        ("1. Stars\n2. Children\n3) Crowns", set(), set()),
        ("However, it was one of the best. Nobody knows why.", set(), set()),
        ("Dr. Gruber met Dr. Ito in June.", {"Ito"}, {"Gruber", "Jun"}),
        ("There was a great fire, and a great fire again.", set(), {"a great fire"}),
        ("It may march on.", set(), set()),
        ("It ended in March. Twelve thousand came.", {"Mar", "12000"}, set()),
        ("It ended in March. 4 came on Nov. 4.", {"Mar", "4"}, {"4 Nov"}),
        ("# The Great Halls Of Vienna\nHere is a Short Summary:\nIt has 3 telescopes.", {"3"}, set()),
    ],
)
def test_what_the_text_does_not_hold_is_told(reply: str, held: set[str], invented: set[str]) -> None:
    found = look_up_statements(reply, TEXT, FACTS, ["a great fire"])
    assert (set(found[0]), set(found[1])) == (held, invented)


def test_a_distractor_counts_once_in_whatever_form_it_is_said() -> None:
    assert look_up_statements("There were 15 boats, and 15 more.", TEXT, FACTS, ["fifteen boats"]) == (
        [],
        ["fifteen boats"],
    )
    assert look_up_statements("They met in Paris.", TEXT, FACTS, ["met in Paris"]) == ([], ["met in Paris"])


def test_a_statement_counts_once_and_the_facts_other_wordings_are_the_texts() -> None:
    assert look_up_statements("The gift was 7. Again 7, seven and 7.", TEXT) == ([], ["7"])
    assert look_up_statements("It was seven.", TEXT, [["nothing", "7"]]) == (["7"], [])


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("two hundred and five", 205),
        ("1.5 million", 1_500_000),
        ("twenty-three", 23),
        ("3rd", 3),
        ("a hundred thousand", 100_000),
        ("1,000", 1000),
    ],
)
def test_numbers_are_compared_by_value(words: str, value: int) -> None:
    assert statements(f"there were {words} of them").numbers == {value}


def test_a_number_is_not_a_part_of_another() -> None:
    assert not holds("He paid 1,400 or 4.5.", "4")
    assert holds("He paid four.", "4")
    assert not holds("Parisian streets", "Paris")


PIECES = [
    "1,",
    "1",
    "twenty ",
    "hundred and ",
    "A ",
    "A. ",
    "May ",
    "May 1",
    "a-",
    "'",
    "1:",
    "**",
    "12 May ",
    " ",
    "\n",
    "A",
]


@pytest.mark.parametrize("piece", PIECES)
def test_hostile_text_takes_no_time_to_speak_of(piece: str) -> None:
    """60,000 characters of one piece: hours where a rule takes the square or worse."""
    text = piece * (60_000 // len(piece))
    assert len(covered_facts(text, FACTS)) == 5
    look_up_statements(text, TEXT, FACTS, ["a great fire"])
