"""Do the checks pass what they should and, as much to the point, fail what they should?"""

from __future__ import annotations

import json

import pytest
from real_data import real

from alignwright.text.check_text import language, sentences
from alignwright.text.checks import CHECKS, IFBENCH, check, checked_arguments

CASES: list[tuple[str, dict[str, object], list[str], list[str]]] = [
    ("keywords:existence", {"keywords": ["Rain", "sun"]}, ["Sunny after rain."], ["Only rain here."]),
    ("keywords:frequency", {"keyword": "tea", "frequency": 2, "relation": "at least"}, ["Tea or tea?"], ["One tea."]),
    ("keywords:frequency", {"keyword": "tea", "frequency": 2, "relation": "less than"}, ["One tea."], ["Tea or tea?"]),
    ("keywords:forbidden_words", {"forbidden_words": ["art"]}, ["The party starts."], ["Modern ART, please."]),
    (
        "keywords:letter_frequency",
        {"letter": "q", "let_frequency": 2, "let_relation": "at least"},
        ["Quite quick"],
        ["A quiz"],
    ),
    (
        "keywords:letter_frequency",
        {"letter": "!", "let_frequency": 2, "let_relation": "less than"},
        ["Hey!"],
        ["Hey!!"],
    ),
    (
        "language:response_language",
        {"language": "de"},
        ["Das ist nicht der Hund, sondern die Katze, und sie ist mit dem Ball da."],
        ["The dog is not in the house and it is on the street.", "यह एक घर है।"],
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 3, "relation": "less than"},
        ["Dr. Li came. She paid 3.50."],
        ["One. Two! Three?"],
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "at least"},
        ["One. Two."],
        ["Only one, e.g. this."],
    ),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, ["one two three"], ["one two"]),
    (
        "length_constraints:number_paragraphs",
        {"num_paragraphs": 2},
        ["a\n***\nb", "a\n***\nb\n***"],
        ["a", "a\n***\n***\nb", "a\n***\nb\n***\nc"],
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "elm"},
        ["First.\n\nElm, a tree."],
        ["Elm first.\n\nThen oak.", "Oak.\n\nElm.\n\nAsh.", "Elm."],
    ),
    (
        "detectable_content:number_placeholders",
        {"num_placeholders": 2},
        ["Dear [name], [date]"],
        ["Dear [name]", "Dear [], []"],
    ),
    (
        "detectable_content:postscript",
        {"postscript_marker": "P.P.S"},
        ["Bye.\nP.P.S. Call me"],
        ["Bye.\nP.S. Call me", "Bye.\nP.P.S."],
    ),
    (
        "detectable_content:postscript",
        {"postscript_marker": "P.S."},
        ["Bye.\n\nP.S. Call", "Bye\np.s. call", "Bye. P.S. Call"],
        ["Apps call me", "the ps file", "Bye.\nP.P.S. Call"],
    ),
    (
        "detectable_format:number_bullet_lists",
        {"num_bullets": 2},
        ["* a\n* b", "Here:\n- a\n- b"],
        ["* a", "* a\n* b\n* c", "**a** b\n**c** d"],
    ),
    ("detectable_format:constrained_response", {}, ["My answer is maybe."], ["Perhaps.", "My answer is unclear."]),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        ["*a* and **b**"],
        ["*a*", "** and **", "2 * 3 = 6"],
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Section", "num_sections": 2},
        ["Section 1\na\nSection 2\nb"],
        ["Section 1\na", "Section A, Section B"],
    ),
    ("detectable_format:json_format", {}, ['{"a": 1}', "```json\n[1]\n```"], ["{'a': 1}", 'Here: {"a": 1}']),
    ("detectable_format:title", {}, ["<<On rain>>\nIt fell."], ["<On rain>", "<<  >>"]),
    (
        "combination:two_responses",
        {},
        ["One.\n******\nTwo."],
        ["One.", "Same\n******\nSame", "a\n******\nb\n******\nc"],
    ),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say hi."}, ["say hi.\nHi!"], ["Hi! Say hi."]),
    (
        "startend:end_checker",
        {"end_phrase": "Any questions?"},
        ["Done. Any questions?", '"Done. any questions?"'],
        ["Any questions? No."],
    ),
    ("startend:quotation", {}, ['"All of it."'], ['"Half" of it.', '"']),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "at least"},
        ["NASA and ESA"],
        ["NASA and Esa"],
    ),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 1, "capital_relation": "less than"},
        ["quiet words"],
        ["LOUD words"],
    ),
    (
        "change_case:english_capital",
        {},
        ["THE CAT IS ON THE MAT."],
        ["The CAT", "DER HUND UND DIE KATZE SIND NICHT IM HAUS", "123"],
    ),
    (
        "change_case:english_lowercase",
        {},
        ["the cat is on the mat."],
        ["The cat", "der hund und die katze sind nicht im haus"],
    ),
    ("punctuation:no_comma", {}, ["No pause here."], ["A pause, here."]),
    ("format:one_word", {}, ["Paris.", "**yes**", "well-known"], ["It is Paris.", "..."]),
    ("format:one_of", {"options": ["yes", "no"]}, ["Yes.", '"no"'], ["Yes, I do.", "maybe", "noyes"]),
    (
        "format:numbered_list",
        {"count": 2},
        ["1. a\n2. b", "Here:\n1) a\n2) b"],
        ["1. a", "1. a\n3. b", "1. a\n2. b\n3. c", "a\nb"],
    ),
    ("format:regex", {"pattern": r"^\d{4}-\d{2}$"}, ["2024-05"], ["In 2024-05", "24-05"]),
    ("length:max_words", {"count": 3}, ["I don't know."], ["I do not know."]),
    (
        "length:max_sentences",
        {"count": 1},
        ["Mr. Li left at 3.50 p.m. sharp."],
        ["He left. She stayed.", "* one\n* two"],
    ),
    ("content:contains_any", {"words": ["cat", "black dog"]}, ["A CAT!", "a black dog"], ["category", "dog"]),
    ("content:contains_none", {"words": ["cat", "dog"]}, ["category"], ["the dog"]),
]


@pytest.mark.parametrize(("name", "args", "good", "bad"), CASES, ids=[c[0] for c in CASES])
def test_each_check_passes_the_good_and_fails_the_bad(name, args, good, bad):
    assert [check(name, reply, **args) for reply in good] == [True] * len(good)
    assert [check(name, reply, **args) for reply in bad] == [False] * len(bad)
    assert [check(name, empty, **args) for empty in ("", " \n")] == [False, False]


def test_every_check_has_cases():
    assert {case[0] for case in CASES} == set(CHECKS) - set(IFBENCH)


def test_relations_are_complements():
    for n in range(4):
        reply = "tea " * n + "x"
        at_least, less = (
            check("keywords:frequency", reply, keyword="tea", frequency=2, relation=r)
            for r in ("at least", "less than")
        )
        assert at_least is not less


def test_repeat_prompt_falls_back_on_the_prompt_itself():
    assert check("combination:repeat_prompt", "Say hi.\nHi", prompt="Say hi.")
    assert check("combination:repeat_prompt", "Hi") is None


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("punctuation:no_coma", {}, "did you mean 'punctuation:no_comma'"),
        ("length:max_words", {"coutn": 3}, "did you mean 'count'"),
        ("length:max_words", {}, "needs the argument 'count'"),
        ("length:max_words", {"count": True}, "whole number"),
        ("length:max_words", {"count": 2.5}, "whole number"),
        ("format:one_of", {"options": "yes"}, "list of texts"),
        ("keywords:frequency", {"keyword": "a", "frequency": 1, "relation": "under"}, "'at least'"),
        ("format:regex", {"pattern": "("}, "cannot read"),
        ("format:regex", {"pattern": "a" * 201}, "at most 200"),
    ],
)
def test_errors_point(name, args, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        check(name, "some reply", **args)


def test_none_arguments_count_as_not_given():
    """Published rows fill the arguments of every other check with null."""
    assert checked_arguments("punctuation:no_comma", {"num_words": None}) == {}
    assert check("length:max_words", "a b", count=2.0, keywords=None)


def test_language_is_none_where_it_cannot_be_told():
    assert language("Berlin") is None
    assert check("language:response_language", "Berlin", language="de") is None
    assert check("language:response_language", "It is in the house and on the table.", language="xx") is None
    assert check("language:response_language", "그것은 집입니다", language="ko") is True
    assert check("language:response_language", "यह एक बड़ा घर है और वह मेरे गाँव में है", language="hi") is True
    assert check("language:response_language", "यह एक बड़ा घर है और वह मेरे गाँव में है", language="mr") is False


def test_sentences_keep_abbreviations_and_list_numbers():
    assert sentences("one\ntwo") == ["one\ntwo"]
    assert sentences("1. Dr. A. Smith paid 3.5 dollars.\n2. I did. So?", by_line=True) == [
        "1. Dr. A. Smith paid 3.5 dollars.",
        "2. I did.",
        "So?",
    ]


@pytest.mark.data
def test_every_published_instruction_is_understood():
    rows = [json.loads(line) for line in real("ifeval/input_data.jsonl").read_text().splitlines()]
    assert len(rows) == 541
    calls = [
        (name, args, row["prompt"])
        for row in rows
        for name, args in zip(row["instruction_id_list"], row["kwargs"], strict=True)
    ]
    assert len(calls) == 834
    for name, args, prompt in calls:
        answer = check(name, "A scripted reply. It says little.", prompt=prompt, **args)
        assert answer in (True, False, None)
        assert check(name, "", prompt=prompt, **args) is False
    ours = ("format", "length", "content")
    assert {name for name, _, _ in calls} == {
        name for name in CHECKS if name not in IFBENCH and name.split(":")[0] not in ours
    }
