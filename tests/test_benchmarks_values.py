"""Does the benchmark of social choice say its numbers and targets in one line, and end with 1 on a miss?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import values


def test_one_line_with_targets_and_a_miss_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(values, "SIZES", (50, 4_000, 20))
    arguments = argparse.Namespace(quick=True, peer=None)
    assert values.main(arguments) == 0
    out = json.loads(capsys.readouterr().out)
    assert out["targets"] == {"bradley_terry < 20 s": True, "maximal_lottery < 1 s": True}
    assert out["correlation_with_the_truth"] > 0.9
    assert out["worst_margin_of_the_lottery"] > -1e-6
    monkeypatch.setattr(values, "SECONDS", {"bradley_terry": 20.0, "maximal_lottery": 0.0})
    assert values.main(arguments) == 1
    assert json.loads(capsys.readouterr().out)["targets"]["maximal_lottery < 0 s"] is False


def test_a_peer_that_cannot_run_is_an_error_and_no_win() -> None:
    with pytest.raises(SystemExit, match="no peer could be timed"):
        values.peer(sys.executable, {}, {"bradley_terry": 1.0, "maximal_lottery": 1.0})
