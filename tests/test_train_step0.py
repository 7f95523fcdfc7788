"""Does a start that is not one stop the run, and is one that is shown and kept?"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from alignwright.train.step0 import Invariant, Step0Error, check_start, start_lines

RATIO = Invariant("ratio", 1.0, 1.0, 0.0, "the policy has moved")


def test_what_holds_is_kept_and_told(tmp_path: Path) -> None:
    shown = Invariant("accuracy", 0.6, 0.55, None, "the length-only baseline")
    check_start([RATIO, shown], tmp_path)
    assert [line["holds"] for line in json.loads((tmp_path / "start.json").read_text())] == [True, True]
    assert start_lines(tmp_path) == [
        "at the start ratio: 1 (must be 1 exactly)",
        "at the start accuracy: 0.6 (beside 0.55)",
    ]


@pytest.mark.parametrize("seen", [1.001, 0.0, math.nan, math.inf])
def test_what_does_not_hold_stops_the_run_and_says_what_it_means(tmp_path: Path, seen: float) -> None:
    broken = Invariant("ratio", seen, 1.0, 1e-6, "the policy has moved")
    with pytest.raises(Step0Error, match=r"ratio is .* where it must be 1 to within 1e-06: the policy has moved"):
        check_start([RATIO, broken], tmp_path)


def test_nothing_is_told_before_it_was_checked(tmp_path: Path) -> None:
    assert start_lines(tmp_path) == []
