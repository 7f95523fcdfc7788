"""Is a program that talks without end cut short where it is shown, with a mark, and is a short
word left as it is?"""

from __future__ import annotations

from alignwright.worlds import repairs
from alignwright.worlds.repairs import MAX_OUTPUT
from alignwright.worlds.tasks import TASKS


def test_what_a_program_says_is_cut_with_a_visible_mark() -> None:
    asked = repairs.task(TASKS[0].slug)
    many = "".join(f"def test_{i}():\n    assert False, 'no ' * 60\n\n\n" for i in range(100))
    shown = repairs.run_tests(asked.source, many)
    assert (shown.passed, shown.total) == (0, 100)  # nothing is cut of what counts
    body, _, mark = shown.output.rpartition("\n")
    assert len(body) == MAX_OUTPUT
    assert mark.startswith("[cut here: ")
    assert mark.endswith(" more characters]")
    assert body.startswith("0 of 100 tests pass\ntest_0: AssertionError: no no")
    broken = repairs.run_tests("raise RuntimeError('no ' * 5000)\n", repairs.visible_tests(asked))
    assert len(broken.output) < MAX_OUTPUT + 60
    assert "the tests did not run" in broken.output


def test_a_short_word_is_left_whole() -> None:
    asked = repairs.task(TASKS[0].slug)
    told = repairs.run_tests(repairs.mend(asked, 0), repairs.visible_tests(asked)).output
    assert "tests pass" in told
    assert "cut here" not in told
