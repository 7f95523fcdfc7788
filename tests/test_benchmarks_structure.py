"""Does the spine stay ignorant of the kinds of stage, and does an edit make only those jobs anew that it can change?"""

from __future__ import annotations

import sys
from pathlib import Path

from run_case import make_project

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import structure


def test_the_spine_imports_little_and_no_match_over_kinds_is_added_outside_the_sections() -> None:
    assert len(structure.imported_names(structure.PACKAGE / "run/execute.py")) <= 15
    assert not [place for path in structure.outside() for place in structure.matches(path)]
    assert not [place for path in structure.outside() for place in structure.kinds_told_apart(path)]
    assert len(structure.kinds()) > 30


def test_a_match_over_kinds_is_seen_where_there_is_one() -> None:
    assert [*structure.matches(structure.PACKAGE / "measure/run.py")]
    assert {"TaxMeasure", "Instruction"} <= structure.kinds_imported(structure.PACKAGE / "measure/run.py")
    assert not [*structure.matches(structure.PACKAGE / "run/execute.py")]
    apart = [*structure.kinds_told_apart(structure.PACKAGE / "train/run.py")]
    assert {"Average", "RewardModel", "Ppo"} <= {place.split()[1] for place in apart}


def test_an_edit_makes_the_jobs_of_its_section_anew(tmp_path: Path) -> None:
    moves = structure.code_moves(make_project(tmp_path / "project"))
    (total,) = {jobs for _, jobs in moves.values()}
    changed = {name.split("/")[0]: count for name, (count, _) in moves.items()}
    alone = {"worlds": 0, "report": 0, "run": 0, "aggregate": 1, "train": 2, "attack": 3, "measure": 9, "feedback": 4}
    assert {name: changed[name] for name in alone} == alone  # feedback: collect and three voters
    assert changed["model"] == total == sum(alone.values())
