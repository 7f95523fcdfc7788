"""Does a row that cannot be used say so in our words: which file, which line, what was seen and
what is wanted?"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from spec_case import SPEC, jsonl, write

from alignwright.experiment.load import SpecError, load
from alignwright.feedback.rules import RuleError, read_rules
from alignwright.files.choices import read_choices
from alignwright.files.few_shot import read_few_shot
from alignwright.files.items import ChoiceItem, PushbackItem, RefusalItem
from alignwright.files.public_questions import read_questions
from alignwright.files.reading import FileRows
from alignwright.files.sources import read_conversations, read_items, read_pairs, read_prompts, read_votes

Q = "Is rain wet?"
_VALIDATOR = r"[Tt]uple|[Ii]nput should|[Ff]ield required|valid (string|integer|array)|pattern"
FOREIGN = re.compile(_VALIDATOR + r"|NoneType|\b(int|str|dict|list)\b(?! of)|object is not|invalid literal")
"""Words of the validator and of Python, which whoever wrote the file need not know."""
PROMPTS: list[tuple[Any, str]] = [
    ({"prompt": 5}, "'prompt' should be text, saw the number 5"),
    ({"prompt": []}, "'prompt' has no messages"),
    ({"prompt": {}}, "a message in 'prompt' has no 'role'"),
    ({"prompt": Q, "topic": []}, "'topic' should be text, saw a list of 0"),
    ({"prompt": Q, "system": 5}, "'system' should be text, saw the number 5"),
    ({"instruction": Q, "input": []}, "'input' should be text, saw a list of 0"),
    ({"prompt": Q, "checks": {}}, "'checks' should be a list of {name, args}, saw a mapping"),
    (
        {"prompt": Q, "checks": ["length:max_words"]},
        "checks.0: a check is a mapping {name, args}, saw the text 'length:max_words'",
    ),
    ({"prompt": Q, "checks": [{"nam": "x"}]}, "checks.0: a check has a name and args, and no 'nam'"),
    ({"prompt": Q, "checks": [{"name": 5}]}, "checks.0: 'name' should be text, saw the number 5"),
    (
        {"prompt": Q, "checks": [{"name": "length:max_words", "args": []}]},
        "checks.0: 'args' should be a mapping, saw a list of 0",
    ),
    (
        {"prompt": Q, "checks": [{"name": "length:max_words", "args": {"count": {"a": 1}}}]},
        "count must be a whole number of 0 or more",
    ),
    ({"messages": [{"role": "user"}]}, "should have text as its content, saw nothing"),
    ({"messages": [{"role": [], "content": "x"}]}, "has as its role a list of 0; choose from system"),
]
PAIRS: list[tuple[Any, str]] = [
    ({"prompt": Q, "chosen": "a", "rejected": []}, "'rejected' has no messages"),
    (
        {"prompt": Q, "chosen": ["a"], "rejected": "b"},
        "'chosen' should hold messages with role and content, saw the text 'a'",
    ),
    ({"text": ["a", "b"], "score": [[], 1]}, "the scores should be numbers, saw a list of 0 and the number 1"),
    ({"prompt": Q, "label": True}, "no column 'completion' (with a prompt), nor 'messages'"),
    (
        {"label": True, "conversations": 5},
        "'conversations' should hold messages with role and content, saw the number 5",
    ),
    ({"prompt": Q, "completion": "x", "label": {}}, "'label' should be true or false, saw a mapping"),
]
BALLOT = {"prompt": Q, "a": "x", "b": "y", "choice": "a", "rater": "r"}
VOTES: list[tuple[Any, str]] = [
    (BALLOT | {"choice": []}, "'choice' should be one of tie, 0, 1, a, b, saw a list of 0"),
    (BALLOT | {"rater": []}, "'rater' should be text, saw a list of 0"),
    (BALLOT | {"rater": True}, "'rater' should be text, saw true"),
    (BALLOT | {"group": {}}, "'group' should be text, saw a mapping"),
    (BALLOT | {"replies": "x"}, "'replies' should be a list of two or more replies, saw the text 'x'"),
]
TALKS: list[tuple[Any, str]] = [
    ({"messages": "x"}, "'messages' should hold messages with role and content, saw the text 'x'"),
    ({"prompt": Q, "completion": 5}, "'completion' should be text, saw the number 5"),
    (
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": [1]}]},
        "text as its content, saw a list of 1",
    ),
]
REFUSALS: list[tuple[Any, str]] = [
    ({"prompt": Q, "kind": "harmfull"}, "kind: saw the text 'harmfull'; did you mean 'harmful'?"),
    ({"prompt": " ", "kind": "harmful"}, "prompt: is empty"),
    (
        {"prompt": Q},
        (
            "nothing says whether this is harmful or harmless: give a column 'kind', or name the file as {file: FILE,"
            " kind: harmful}"
        ),
    ),
]
CHOICES: list[tuple[Any, str]] = [
    ({"question": Q, "choices": [], "answer": 0}, "choices: wanted a list of 2 or more, saw a list of 0"),
    ({"question": Q, "choices": ["a", 5], "answer": 0}, "choices.1: wanted text, saw the number 5"),
    ({"question": Q, "choices": ["a", "b"], "answer": 0.5}, "answer: wanted a whole number, saw the number 0.5"),
    (
        {"question": Q, "choices": ["a", "b"], "answer": -1},
        "answer: must be greater than or equal to 0, saw the number -1",
    ),
]
PUBLISHED: list[tuple[Any, str]] = [
    (
        {"goal": Q, "sol1": "a", "sol2": "b", "label": "x"},
        "'label' should be 0 (sol1 is right) or 1 (sol2), saw the text 'x'",
    ),
    ({"goal": Q, "sol1": "a", "sol2": "b"}, "no 'label', and no file of labels beside it"),
    (
        {"question": Q, "choices": 5, "answerKey": "A"},
        "each of the 'choices' should have a text and a label, saw the number 5",
    ),
    (
        {"question": Q, "choices": {"text": ["a", "b"]}, "answerKey": "A"},
        "'choices' should hold 'text' and 'label', two lists of one length",
    ),
    (
        {"question": Q, "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "C"},
        "should be one of A, B, saw the text 'C'",
    ),
]
GOOD: dict[Callable[..., FileRows[Any]], Any] = {
    read_prompts: {"prompt": Q},
    read_pairs: {"prompt": Q, "chosen": "a", "rejected": "b"} | {"label": None, "text": None},
    read_votes: BALLOT | {"rater": "another"},
    read_conversations: {"prompt": Q, "completion": "x"},
    read_choices: {"question": Q, "choices": ["a", "b"], "answer": 0},
}
PLANTED: list[tuple[Callable[..., FileRows[Any]], Any, str]] = [
    *((read_prompts, *bad) for bad in PROMPTS),
    *((read_pairs, *bad) for bad in PAIRS),
    *((read_votes, *bad) for bad in VOTES),
    *((read_conversations, *bad) for bad in TALKS),
    *((read_choices, *bad) for bad in (*CHOICES, *PUBLISHED)),
]


@pytest.mark.parametrize(("read", "row", "words"), PLANTED)
def test_a_planted_row_is_refused_in_our_words(
    tmp_path: Path, read: Callable[..., FileRows[Any]], row: Any, words: str
) -> None:
    path = jsonl(tmp_path / "rows.jsonl", GOOD[read], row)
    with pytest.raises(SpecError) as caught:
        read(path)
    assert caught.value.problems[0].startswith(f"{path}:2: ")
    assert words in caught.value.problems[0]
    assert not FOREIGN.search(caught.value.problems[0].removeprefix(str(path)))


@pytest.mark.parametrize(("row", "words"), REFUSALS)
def test_an_item_is_refused_in_our_words(tmp_path: Path, row: Any, words: str) -> None:
    path = jsonl(tmp_path / "rows.jsonl", {"prompt": Q, "kind": "harmless"}, row)
    (bad,) = read_items(path, RefusalItem, bad_rows=0.5).rejected
    assert (bad.row, bad.reason) == (2, words)


def test_the_validators_own_words_are_foreign() -> None:
    """The control: what is refused above as foreign is what pydantic says."""
    planted: list[tuple[Any, Any]] = [
        (RefusalItem, {"prompt": Q, "kind": "x"}),
        (RefusalItem, {"prompt": " ", "kind": "harmful"}),
        (RefusalItem, {"prompt": Q}),
        (ChoiceItem, {"question": Q, "choices": (), "answer": 0}),
        (PushbackItem, {"question": 5}),
    ]
    for model, row in planted:
        with pytest.raises(ValidationError) as caught:
            model.model_validate(row)
        assert FOREIGN.search(caught.value.errors()[0]["msg"])


def test_a_long_value_is_not_repeated_whole(tmp_path: Path) -> None:
    (bad,) = read_votes(jsonl(tmp_path / "v.jsonl", BALLOT, BALLOT | {"choice": "x" * 10_000}), bad_rows=0.5).rejected
    assert len(bad.reason) < 200
    assert "which goes on" in bad.reason


def test_a_number_too_large_to_count_with_is_a_bad_row(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(
        '{"prompt": "x", "checks": [{"name": "length:max_words", "args": {"count": 1e999}}]}\n'
    )
    with pytest.raises(SpecError, match=r"p\.jsonl:1: checks\.0: .*count must be a whole number of 0 or more, not inf"):
        read_prompts(tmp_path / "p.jsonl")


def test_a_list_over_several_lines_is_told_its_name(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('[\n{"prompt": "x"}\n]\n')
    with pytest.raises(SpecError, match=r"p.jsonl:1: not valid JSON: .*; a list over several lines is a .json file"):
        read_prompts(tmp_path / "p.jsonl")


def test_worked_examples_rules_and_questions_speak_the_same_words(tmp_path: Path) -> None:
    worked = dict.fromkeys(("prompt", "reply", "critique", "revision"), "x")
    with pytest.raises(SpecError) as caught:
        read_few_shot(jsonl(tmp_path / "w.jsonl", worked, worked | {"reply": 5}, worked | {"critiqe": "x"}))
    assert [problem.partition(": ")[2] for problem in caught.value.problems] == [
        "reply: wanted text, saw the number 5",
        "critiqe: no such field; did you mean 'critique'?",
    ]
    (tmp_path / "r.yaml").write_text("- {check: punctuation:no_comma, weight: heavy}\n")
    with pytest.raises(RuleError, match="rule 1: weight: wanted a number, saw the text 'heavy'"):
        read_rules(tmp_path / "r.yaml")
    (tmp_path / "q.yaml").write_text(
        "- {id: a, paraphrases: [ok]}\n- {id: b, paraphrases: [5]}\n- {id: c, paraphrases: [ok], system: []}\n"
    )
    told = [row.reason for row in read_questions(tmp_path / "q.yaml", bad_rows=0.9).rejected]
    assert told == ["'paraphrases.0' should be text, saw the number 5", "'system' should be text, saw a list of 0"]


def test_an_empty_list_in_the_spec_is_told_in_our_words(tmp_path: Path) -> None:
    measure = "- {by: goodhart, proxy: a.py:f, gold: b.py:g, prompts: prompts.jsonl, best_of: []}"
    with pytest.raises(SpecError, match=r"measure\.0\.goodhart\.best_of: wanted a list of 1 or more, saw a list of 0"):
        load(write(tmp_path, SPEC.replace("measure:\n", f"measure:\n{measure}\n")))
