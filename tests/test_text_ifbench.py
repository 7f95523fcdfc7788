"""Do IFBench's checks tell replies apart whose right answer is plain, take the published
arguments, and stay silent where they cannot know?"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from ifbench_cases import ASKED, CASES, PLAIN

from alignwright.files import sources
from alignwright.text.check_text import tokens, unpunctuated
from alignwright.text.checks import CHECKS, IFBENCH, check, checked_arguments
from alignwright.text.syllables import syllables

ROOT = Path(__file__).parents[1]
PUBLISHED = {
    "count:conjunctions": {"small_n"}, "count:numbers": {"N"},
    "count:keywords_multiple": {"keyword1", "keyword2", "keyword3", "keyword4", "keyword5"},
    "count:person_names": {"N"}, "count:pronouns": {"N"}, "count:unique_word_count": {"N"},
    "count:word_count_range": {"min_words", "max_words"},
    "count:words_japanese": {"N"}, "format:list": {"sep"}, "format:options": {"options"},
    "ratio:overlap": {"percentage", "reference_text"},
    "ratio:stop_words": {"percentage"}, "repeat:repeat_change": {"prompt_to_repeat"}, "repeat:repeat_span": {"n_end",
    "n_start", "prompt_to_repeat"},
    "sentence:increment": {"small_n"}, "sentence:keyword": {"N", "word"},
    "words:keywords_specific_position": {"keyword", "m", "n"},
    "words:repeats": {"small_n"}, "words:words_position": {"keyword"},
}  # fmt: skip
"""The arguments in IFBench_test.jsonl; its other thirty-nine checks have none."""


def test_there_are_cases_for_all_fifty_eight() -> None:
    assert set(CASES) == set(IFBENCH)
    assert len(IFBENCH) == 58
    assert IFBENCH.items() <= CHECKS.items()
    assert all(len(set(passing)) >= 2 <= len(set(failing)) for _, passing, failing in CASES.values())


@pytest.mark.parametrize("name", CASES)
def test_replies_whose_answer_is_plain(name: str) -> None:
    args, passing, failing = CASES[name]
    assert {text: check(name, text, **args) for text in passing} == dict.fromkeys(passing, True)
    assert {text: check(name, text, **args) for text in failing} == dict.fromkeys(failing, False)
    assert check(name, " \n", **args) is False


@pytest.mark.parametrize("name", IFBENCH)
def test_every_published_argument_is_understood_as_it_is_published(name: str) -> None:
    """Numbers as floats, and the arguments of all other checks as null."""
    args, _, _ = CASES[name]
    assert set(args) == PUBLISHED.get(name, set())
    every = {key: None for keys in PUBLISHED.values() for key in keys}
    published = every | {key: float(value) if isinstance(value, int) else value for key, value in args.items()}
    assert checked_arguments(name, published) == args


def test_a_row_of_the_published_file_is_read(tmp_path: Path) -> None:
    row = {"key": "0", "prompt": "Say it.", "instruction_id_list": ["count:numbers", "format:options"], "kwargs": []}
    row["kwargs"] = [{"N": 3.0, "options": None, "sep": None}, {"N": None, "options": "yes/no/maybe", "sep": None}]
    (tmp_path / "bench.jsonl").write_text(json.dumps(row) + "\n")
    (prompt,) = sources.read_prompts(str(tmp_path / "bench.jsonl")).rows
    assert [call.name for call in prompt.checks] == ["count:numbers", "format:options"]


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("sentence:keyword", {"word": "tea", "N": 0}, "a whole number of 1 or more"),
        ("count:words_japanese", {"N": 0}, "a whole number of 1 or more"),
        ("words:keywords_specific_position", {"keyword": "tea", "n": 0, "m": 1}, "a whole number of 1 or more"),
        ("format:options", {"options": ["yes", "no"]}, "a text that is not empty"),
        ("repeat:repeat_change", {}, "needs the argument 'prompt_to_repeat'"),
        ("count:number", {}, "did you mean 'count:numbers'"),
        ("ratio:overlap", {"percentage": 3}, "needs the argument 'reference_text'"),
    ],
)
def test_wrong_arguments_are_told(name: str, args: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        checked_arguments(name, args)


def test_what_cannot_be_told_is_none() -> None:
    assert check("words:start_verb", "Running is fun") is None
    assert check("words:odd_even_syllables", "cat science dog") is None
    assert check("words:odd_even_syllables", "cat dog science") is False, (
        "two odd neighbours break it whatever the rest"
    )


@pytest.mark.parametrize(
    ("word", "count"),
    [
        *(
            ("cat", 1),
            ("table", 2),
            ("banana", 3),
            ("shapes", 1),
            ("changing", 2),
            ("nation", 2),
            ("wanted", 2),
            ("jumped", 1),
            ("boxes", 2),
        ),
        *(
            ("science", None),
            ("movement", None),
            ("poem", None),
            ("fire", None),
            ("hundred", None),
            ("x1", None),
            ("naïve", None),
            ("rhythm", None),
        ),
        *(
            ("queen", 1),
            ("yellow", 2),
            ("beautiful", None),
            ("information", 4),
            ("x" * 40, None),
            ("the", 1),
            ("able", 2),
            ("rules", 1),
        ),
    ],
)
def test_syllables_are_told_where_the_spelling_is_plain(word: str, count: int | None) -> None:
    assert syllables(word) == count


def test_words_and_signs() -> None:
    assert tokens("Don't! It’s a well-known 3.5 (yes).") == [  # noqa: RUF001
        "Do",
        "n't",
        "!",
        "It",
        "'s",
        "a",
        "well-known",
        "3.5",
        "(",
        "yes",
        ")",
        ".",
    ]
    assert unpunctuated("Don't - a-b, 'c'") == ["Dont", "ab", "c"]


TURNS: list[tuple[str, dict[str, object], str, Callable[[str], str]]] = [
    ("words:alphabet", {}, "All big cats doze", str.upper),
    ("words:last_first", {}, "I like rain. Rain falls.", lambda text: f"{text}\n"),
    ("format:emoji", {}, "Yes 😀.", lambda text: text.replace(".", "!")),
    ("count:keywords_multiple", CASES["count:keywords_multiple"][0], CASES["count:keywords_multiple"][1][0], str.title),
    ("custom:csv_city", {}, CASES["custom:csv_city"][1][0], lambda text: text + "\n"),
]


@pytest.mark.parametrize(("name", "args", "text", "change"), TURNS)
def test_what_does_not_matter_changes_nothing(
    name: str, args: dict[str, object], text: str, change: Callable[[str], str]
) -> None:
    assert check(name, text, **args) is check(name, change(text), **args) is True


def test_a_span_counts_both_ends_and_an_echo_is_no_change() -> None:
    span = {"prompt_to_repeat": ASKED, "n_start": 0, "n_end": 0}
    assert check("repeat:repeat_span", "Explain", **span)
    assert check("repeat:repeat_change", ASKED.replace(" ", "  "), prompt_to_repeat=ASKED) is False


def test_nothing_to_judge_is_no_pass() -> None:
    """Where the published rules pass a reply that has no bullet and no stairs at all, ours do not."""
    assert check("format:sub-bullets", PLAIN) is False
    assert check("format:line_indent", PLAIN) is False


def test_the_comparison_says_why_it_is_skipped(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/ifbench_parity.py", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    line = json.loads(done.stdout)
    assert "no ifbench or if_verifiable.ifbench in" in line["skipped"]
    assert line["targets"]["checks_compared"] == 57
