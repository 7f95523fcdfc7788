"""Does each feature see what it is named after, and nothing in a plain reply?"""

from __future__ import annotations

import pytest

from alignwright.text.reply_features import RULES, features, ngrams, tokens

PLAIN = "The river runs past the old stone house."
ASKED = "Where does the river run, please tell me?"


def moved(reply: str) -> set[str]:
    """The features by which a reply differs from the plain one, length and its companions aside."""
    plain, seen = features(ASKED, PLAIN), features(ASKED, reply)
    return {name for name in RULES if seen[name] != plain[name]} - {"words", "word_length", "overlap", "lines"}


@pytest.mark.parametrize(
    ("reply", "name"),
    [
        (f"{PLAIN}\n- It bends.\n* It falls.\n3. It ends.", "lists"),
        (f"# River\n{PLAIN}", "headings"),
        (PLAIN.replace("old stone", "**old stone**"), "bold"),
        (PLAIN.replace(".", "!"), "exclamation"),
        (f"{PLAIN} Why does it?", "questions"),
        (PLAIN.upper(), "capitals"),
        (f"You are so insightful. {PLAIN}", "flattery"),
        (f"{PLAIN[:-1]} and is gorgeous.", "praise"),
        (f"{PLAIN} I hope this helps.", "service"),
        (f"Certainly. {PLAIN}", "assent"),
        (
            f"{PLAIN} It’s important to note the mill.",  # noqa: RUF001 - a curly apostrophe is what models write
            "hedges",
        ),
        ("I'm sorry, but I cannot help with that.", "refusal"),
        (f"{PLAIN[:-1]}", "unfinished"),
        (PLAIN.replace("old", "2 old"), "numbers"),
    ],
)
def test_a_feature_sees_what_it_is_named_after(reply: str, name: str) -> None:
    assert name in moved(reply)
    assert len(moved(reply)) <= 2


def test_repetition_is_a_share() -> None:
    assert features(ASKED, "go on go on go on")["repetition"] == pytest.approx(1 - 2 / 5)
    assert features(ASKED, "a\nb\na\nA")["repeated_lines"] == 0.5
    assert features(ASKED, PLAIN)["repetition"] == 0.0


def test_an_echo_is_all_overlap_and_all_copy() -> None:
    assert (features(ASKED, ASKED)["overlap"], features(ASKED, ASKED)["copied"]) == (1.0, 1.0)
    assert features(ASKED, "Nothing alike here")["copied"] == 0.0


def test_nothing_has_no_features() -> None:
    assert set(features(ASKED, "")) == set(RULES)
    assert {name for name, value in features(ASKED, "").items() if value} == {"unfinished"}


def test_words_and_their_neighbours() -> None:
    assert tokens("Don’t SHOUT!") == ["don't", "shout"]  # noqa: RUF001
    assert ngrams("a b a") == {"a", "b", "a b", "b a"}
