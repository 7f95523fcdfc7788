"""Is a missed target a miss, and is a section that was not asked for left out?"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import doors

SECTIONS: dict[str, doors.Section] = {
    "fast": lambda quick: {"quick": quick, "targets": {"speed": [2.5, 2.0, True]}},
    "slow": lambda quick: {"targets": {"overhead": [3.0, 2.0, False]}},
}


def test_one_line_holds_all_targets_and_a_miss_is_an_exit_code(capsys: pytest.CaptureFixture[str]):
    assert doors.main(["--quick"], SECTIONS) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "fast": {"quick": True},
        "slow": {},
        "targets": {"speed": [2.5, 2.0, True], "overhead": [3.0, 2.0, False]},
    }


def test_only_what_was_asked_for_is_measured(capsys: pytest.CaptureFixture[str]):
    assert doors.main(["--only", "fast"], SECTIONS) == 0
    assert json.loads(capsys.readouterr().out)["targets"] == {"speed": [2.5, 2.0, True]}
    with pytest.raises(SystemExit):
        doors.main(["--only", "nothing"], SECTIONS)


def test_the_import_is_measured_without_the_start_of_python(capsys: pytest.CaptureFixture[str]):
    result = doors.importing(True)
    assert len(result["seconds"]) == 3
    value, aim, met = result["targets"]["import"]
    assert met == (value < aim)
    assert value == sorted(result["seconds"])[1]
