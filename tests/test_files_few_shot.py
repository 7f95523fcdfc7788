"""Are worked examples that cannot be used found before the run, with file and line?"""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_case import SPEC, jsonl, write

from alignwright.experiment.check import check
from alignwright.files.errors import SpecError

ROW = {"prompt": "P", "reply": "R", "critique": "C", "revision": "V"}
WITH = SPEC.replace(
    "- {by: written}\n", "- {by: written}\n- {by: critique, principles: [be_kind], few_shot: worked.jsonl}\n"
)


def test_worked_examples_are_checked_with_the_other_files(tmp_path: Path) -> None:
    path = write(tmp_path, WITH)
    jsonl(
        tmp_path / "worked.jsonl", ROW, ROW | {"principle": "be_kind"}, ROW | {"principle": "Say less than you know."}
    )
    assert check(path).experiment.feedback[1].by == "critique"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (ROW | {"critique": ""}, "worked.jsonl:2: critique: is empty"),
        ({"prompt": "P", "reply": "R", "critique": "C"}, "worked.jsonl:2: revision: required, but missing"),
        (ROW | {"principle": "be_kindd"}, "did you mean 'be_kind'?"),
        (ROW | {"principle": "do_not_lie"}, "none of this stage's"),
    ],
)
def test_a_bad_example_is_pointed_at(tmp_path: Path, row: dict[str, str], said: str) -> None:
    path = write(tmp_path, WITH)
    jsonl(tmp_path / "worked.jsonl", ROW, row)
    with pytest.raises(SpecError) as caught:
        check(path)
    [problem] = caught.value.problems
    assert problem.replace(f"{tmp_path}/", "").startswith("spec.yaml:10: feedback.1.critique.few_shot: worked.jsonl")
    assert said in problem
