"""Is a function that a file lacks named before the run, without running the file, and is none
called missing that is there?"""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_case import SPEC, write

from alignwright.experiment.load import SpecError, load
from alignwright.files.functions import function_problem
from alignwright.files.items import MathItem

HERE = "def right(prompt, reply):\n    return 1.0\n"


def told(folder: Path, measure: str) -> str:
    path = write(folder, SPEC.replace("promises:", f"- {measure}\npromises:"))
    (folder / "f.py").write_text(HERE + "raise SystemExit('a check must not run this')\n")
    try:
        load(path)
    except SpecError as error:
        return "\n".join(error.problems).replace(f"{folder}/", "")
    return ""


@pytest.mark.parametrize(
    ("measure", "line"),
    [
        (
            "{by: reward, reward: 'f.py:rigt', prompts: held.jsonl}",
            "measure.2.reward.reward: f.py has no function 'rigt'; did you mean 'right'?",
        ),
        (
            "{by: reward, reward: f.py, prompts: held.jsonl}",
            "measure.2.reward.reward: 'f.py' names a file alone; write f.py:function",
        ),
        (
            "{by: emergent, questions: held.jsonl, judge: f.py}",
            "measure.2.emergent.judge: f.py has no function 'alignment'; choose from right",
        ),
    ],
)
def test_a_judge_that_is_not_there(tmp_path: Path, measure: str, line: str) -> None:
    assert line in told(tmp_path, measure)


def test_a_judge_that_is_there(tmp_path: Path) -> None:
    assert "f.py" not in told(tmp_path, "{by: reward, reward: 'f.py:right', prompts: held.jsonl}")


@pytest.mark.parametrize(
    "text",
    [
        "from m import f\n",
        "from m import g as f\n",
        "f = len\n",
        "if True:\n    def f(): ...\n",
        "from m import *\n",
        "class f: ...\n",
    ],
)
def test_whatever_binds_the_name_counts(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.py").write_text(text)
    assert function_problem(tmp_path / "m.py", "f") is None


def test_what_is_not_python_is_said(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("def f(:\n")
    assert "is not valid Python" in str(function_problem(tmp_path / "m.py", "f"))


@pytest.mark.parametrize(("answer", "solution"), [(18, "#### 18"), (-2.5, "#### -2.5"), ("18", "#### 18")])
def test_the_answer_of_a_word_problem_may_be_a_number(answer: object, solution: str) -> None:
    assert MathItem.model_validate({"question": "How many?", "answer": answer}).solution == solution


def test_the_answer_of_a_word_problem_is_no_truth_value() -> None:
    with pytest.raises(ValueError, match="valid string"):
        MathItem.model_validate({"question": "How many?", "answer": True})
