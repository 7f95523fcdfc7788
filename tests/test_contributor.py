"""How many files does a new technique touch, and does it run? Real techniques are written into a copy of the tree."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import contributor
from contributor import Contribution, Edit, Outdated

SPEC = {"name": "x", "train": [{"by": "sft"}], "measure": [{"by": "tax"}], "promises": ["tax.choice < 1%"]}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in {"a.py": "one\ntwo\n", "b.py": "three\n"}.items():
        path = tmp_path / "tree/src/alignwright" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "tree"


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    rows = [
        ("tax.choice", "baseline", 0.5, 8),
        ("tax.choice", "train.0.sft", 0.5, 8),
        ("attack.new", "baseline", None, 0),
    ]
    findings = [
        {"claim": claim, "stage": stage, "axis": "tax", "value": value, "n": n, "unscored": 0, "against": None}
        for claim, stage, value, n in rows
    ]
    (tmp_path / "findings.jsonl").write_text("".join(json.dumps(finding) + "\n" for finding in findings))
    (tmp_path / "sections.jsonl").write_text(json.dumps({"title": "What it cost"}) + "\n")
    (tmp_path / "ledger.json").write_text(json.dumps({"train.0.sft": {}, "measure.0.tax@train.0.sft": {}}))
    header = {"stages": ["baseline", "train.0.sft"], "titles": {"train.0.sft": "fine-tuning"}}
    claims = [{"name": "tax.choice", "title": "Questions right"}]
    answers = {"header": header, "verdicts": [{"promise": "tax.choice < 1%"}], "claims": claims}
    (tmp_path / "promises.json").write_text(json.dumps(answers))
    page = "<h2>What it cost</h2> Questions right, after fine-tuning: tax.choice &lt; 1%"
    (tmp_path / "report.html").write_text(page)
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
    ("edits", "files", "message"),
    [
        ((Edit("a.py", "nine", "x"),), {}, "a.py holds 'nine' 0 times"),
        ((Edit("a.py", "o", "x"),), {}, "a.py holds 'o' 2 times"),
        ((Edit("gone.py", "one", "x"),), {}, "gone.py holds 'one' 0 times"),
        ((), {"b.py": "x"}, "b.py is there already"),
    ],
)
def test_a_contribution_that_fits_no_more_is_an_error(
    tree: Path, edits: tuple[Edit, ...], files: dict[str, str], message: str
) -> None:
    with pytest.raises(Outdated, match=message):
        contributor.count(Contribution("x", 1, edits, files=files), tree)


def test_stages_go_to_the_end_of_their_sections() -> None:
    stages = {"train": {"by": "new"}, "measure": {"by": "other"}, "attack": {"by": "third"}}
    each = Contribution("x", 1, (), spec=stages, promise="new > 0")
    spec = contributor.with_stages(SPEC, [each])
    assert spec == {
        "name": "x",
        "train": [{"by": "sft"}, {"by": "new"}],
        "measure": [{"by": "tax"}, {"by": "other"}],
        "promises": ["tax.choice < 1%", "new > 0"],
        "attack": [{"by": "third"}],
    }
    assert SPEC["train"] == [{"by": "sft"}]


def test_alone_nothing_else_of_the_example_runs() -> None:
    example = {**SPEC, "seed": 1, "effort": "demo", "model": "m", "intent": {"pairs": ["p"], "prompts": ["q"]}}
    spec = contributor.with_stages(example, [Contribution("x", 1, (), spec={"train": {"by": "new"}})], alone=True)
    alone = {"intent": {"pairs": ["p"]}, "feedback": [{"by": "written"}], "train": [{"by": "new"}]}
    assert spec == {"name": "x", "seed": 1, "effort": "demo", "model": "m", **alone}


def test_what_a_run_does_not_show_is_missing(run_folder: Path) -> None:
    shown = Contribution(
        "x",
        1,
        (),
        spec={"train": {"by": "sft"}, "measure": {"by": "tax"}},
        promise="tax.choice < 1%",
        claims=("tax.choice",),
        titles=("Questions right", "fine-tuning"),
        section="What it cost",
    )
    assert contributor.lacks(shown, run_folder) == []
    absent = Contribution(
        "x",
        1,
        (),
        spec={"train": {"by": "dpo"}, "attack": {"by": "tax"}},
        promise="new > 0",
        claims=("attack.new",),
        titles=("Queries",),
        section="Attempts",
    )
    assert contributor.lacks(absent, run_folder) == [
        "no job of train dpo",
        "nothing was measured after dpo",
        "no job of attack tax",
        "nothing counted for attack.new at baseline",
        "nothing counted for attack.new at train.0.sft",
        "no number of attack.new",
        "not among the claims of the run: attack.new",
        "not stored with the run: Queries",
        "no section: Attempts",
        "no answer to the promise: new > 0",
        "not in the report: Queries",
        "not in the report: Attempts",
        "not in the report: new > 0",
    ]


def test_an_attack_takes_three_source_files_a_measure_four_and_a_preference_loss_two() -> None:
    touched = {each.name: contributor.count(each) for each in contributor.contributions()}
    assert {name: len(files) for name, files in touched.items()} == {"attack": 3, "measure": 4, "preference_loss": 2}
    assert touched["attack"] == ["attack/deep_inception.py", "attack/knobs.py", "attack/run.py"]


def test_all_three_run_in_the_tiny_example_and_are_reported() -> None:
    assert contributor.run_all(contributor.contributions(), alone=True) == []
