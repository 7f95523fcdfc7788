"""Is a search bounded in its time, whatever the pattern, and does no check of a reply take the
square of its length?"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from alignwright.text.checks import check, checked_arguments
from alignwright.text.timed_search import occurs

SLOW = [
    ("(a+)+b", "a" * 200),
    ("(a|a)*b", "a" * 200),
    ("(.*)*=", "x" * 200),
    (r"a*a*a*a*a*a*b", "a" * 2000),
    (r"(a*)\1*\1*b", "a" * 2000),
]


@pytest.mark.parametrize(("pattern", "text"), SLOW)
def test_a_match_that_takes_too_long_is_not_told(pattern: str, text: str) -> None:
    assert occurs(pattern, text, 0.05) is None
    assert checked_arguments("format:regex", {"pattern": pattern})
    assert check("format:regex", "b" + text, pattern="b") is True, "the timer is off again"


def test_the_same_pattern_is_told_where_it_is_quick() -> None:
    assert occurs("(a+)+b", "aaab") is True
    assert occurs("(a+)+b", "ccc") is False
    assert occurs(r"(\w+) \1", "so so") is True


def test_whoever_waited_for_the_signal_gets_it_again() -> None:
    before = signal.getsignal(signal.SIGVTALRM)
    occurs("(a+)+b", "a" * 60, 0.02)
    assert signal.getsignal(signal.SIGVTALRM) is before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_in_another_thread_a_child_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alignwright.text.timed_search.START_UP", 3.0)
    answers: list[bool | None] = []

    def work() -> None:
        answers.extend([occurs("^a+$", "aaa"), occurs("^a+$", "aab"), occurs("(a+)+b", "a" * 200, 0.05)])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [True, False, None]


HOSTILE = """
import inspect
import sys
from alignwright.text.checks import CHECKS, IFBENCH, check
given = {
    "keywords": ["a"], "keyword": "a", "frequency": 1, "relation": "at least", "forbidden_words": ["a"],
    "letter": "a", "let_frequency": 1, "let_relation": "at least", "language": "de", "num_sentences": 3, "num_words": 3,
    "num_paragraphs": 2, "nth_paragraph": 1, "first_word": "a",
    "num_placeholders": 1, "postscript_marker": "P.S.", "num_bullets": 2, "num_highlights": 2,
    "section_spliter": "Section", "num_sections": 2,
    "prompt_to_repeat": "a", "end_phrase": "a", "capital_frequency": 1, "capital_relation": "at least",
    "options": ["a"], "count": 3,
    "pattern": "^(a+)+$", "words": ["a"], "N": 3, "small_n": 2, "min_words": 2, "max_words": 9,
    "percentage": 40, "reference_text": "a b c d",
    "word": "a", "n": 2, "m": 2, "sep": "-", "n_start": 0, "n_end": 2, **{f"keyword{i}": "a" for i in range(1, 6)},
}
import inspect
pieces = ["e.g. ", "A.", ".", '."', " ", "\\n", "\\n ", "*", "** ", "**a", "<<", "<< ", "1.", "1. ", "- ", "[", "[a",
          "P.S.", "P", "(", "```", "a", "ab ", "_", "'", "Section", "{", "\\u0915\\u0901", "n't",
          "don't ", "a-", "a.", "1,",
          "Question 1 ", "A) x\\n", "Question 1\\nA) x\\n", "<i>", "</i>", '"a" ', "a,", "\\t", '"',
          "\\U0001F600", "\\U0001F600. ", "?!", "eagle ", "e", "le", "b"]
size = 20000 if sys.argv[1] == "ifbench" else 60000
fresh = pieces.index("n't")
for place, piece in enumerate(pieces):
    long = piece * (size // len(piece))
    for text in (long, long + "x", "x" + long + "!"):
        for name, rule in CHECKS.items():
            if (name in IFBENCH) != (sys.argv[1] == "ifbench") or (place >= fresh and name not in IFBENCH):
                continue
            wanted = list(inspect.signature(rule).parameters)[1:]
            args = {key: given[key] for key in wanted} | ({"options": "a or b"} if name == "format:options" else {})
            assert check(name, text, **args) in (True, False, None)
"""


@pytest.mark.parametrize("which", ["others", "ifbench"])
def test_no_check_hangs_on_a_long_reply_of_one_piece(which: str) -> None:
    """Every check on replies of 20,000 or 60,000 characters of one piece: seconds where each is
    linear, many minutes where one is not."""
    subprocess.run([sys.executable, "-c", HOSTILE, which], check=True, timeout=240)
