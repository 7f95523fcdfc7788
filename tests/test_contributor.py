"""How many files does a new technique touch, and does it run? Real techniques are written into a copy of the tree."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import contributor
from contributor import Contribution, Edit, Outdated

SPEC = "name: x\n\ntrain:\n- {by: sft}\n\nmeasure:\n- {by: tax}\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in {"a.py": "one\ntwo\n", "b.py": "three\n"}.items():
        path = tmp_path / "tree/src/alignwright" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "tree"


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    rows = [("tax.choice", "train.0.sft", 0.5), ("attack.new", "baseline", None)]
    lines = [json.dumps({"claim": claim, "stage": stage, "value": value}) for claim, stage, value in rows]
    (tmp_path / "findings.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "report.html").write_text("<h2>Tax</h2>")
    return tmp_path


def test_changed_and_new_files_are_counted_once_and_the_tree_stays(tree: Path) -> None:
    edits = (Edit("a.py", "one", "\nand"), Edit("a.py", "two", "2", instead=True))
    contribution = Contribution("x", 2, edits, files={"new/c.py": "four\n"})
    assert contributor.count(contribution, tree) == ["a.py", "new/c.py"]
    assert contributor.count(Contribution("nothing", 0, ()), tree) == []
    assert (tree / "src/alignwright/a.py").read_text() == "one\ntwo\n"
    contributor.write(contribution, tree)
    assert (tree / "src/alignwright/a.py").read_text() == "one\nand\n2\n"


@pytest.mark.parametrize(
    ("edits", "files", "told"),
    [
        ((Edit("a.py", "nine", "x"),), {}, "a.py holds 'nine' 0 times"),
        ((Edit("a.py", "o", "x"),), {}, "a.py holds 'o' 2 times"),
        ((Edit("gone.py", "one", "x"),), {}, "gone.py holds 'one' 0 times"),
        ((), {"b.py": "x"}, "b.py is there already"),
    ],
)
def test_a_contribution_that_fits_no_more_is_an_error(
    tree: Path, edits: tuple[Edit, ...], files: dict[str, str], told: str
) -> None:
    with pytest.raises(Outdated, match=told):
        contributor.count(Contribution("x", 1, edits, files=files), tree)


def test_stages_go_to_the_end_of_their_sections() -> None:
    each = Contribution("x", 1, (), spec={"train": "{by: new}", "measure": "{by: other}"})
    spec = contributor.with_stages(SPEC, [each])
    assert spec == "name: x\n\ntrain:\n- {by: sft}\n- {by: new}\n\nmeasure:\n- {by: tax}\n- {by: other}\n"
    with pytest.raises(Outdated, match="no section 'attack'"):
        contributor.with_stages(SPEC, [dataclasses.replace(each, spec={"attack": "{by: new}"})])


def test_what_a_run_does_not_show_is_missing(run_folder: Path) -> None:
    shown = Contribution("x", 1, (), stages=("sft",), claims=("tax.choice",), shown=("Tax",))
    assert contributor.lacks(shown, run_folder) == []
    absent = Contribution("x", 1, (), stages=("dpo",), claims=("attack.new",), shown=("Queries",))
    assert contributor.lacks(absent, run_folder) == [
        "no number of attack.new",  # it is there, without a value
        "no number at dpo",
        "not in the report: Queries",
    ]


def test_real_techniques_run_in_the_tiny_example() -> None:
    assert contributor.run_all(contributor.contributions()) == []
