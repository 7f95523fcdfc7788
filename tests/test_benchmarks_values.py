"""Does the benchmark of social choice say its numbers and targets in one line, and end with 1 on a miss?"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from real_data import real

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import values
import values_rules


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


@pytest.mark.data
def test_agreeing_is_one_in_real_votes_and_rules_over_them_find_what_nearly_everybody_likes() -> None:
    """Polis exports agree as 1, though its own matrix has -1 for it."""
    path = real("polis/brexit-consensus/participants-votes.csv")
    opinion_VK, group_V, names, texts = values_rules.opinions(str(path), 20)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    agrees = sorted(sum(row[name] == "1" for row in rows if row["group-id"]) for name in rows[0] if name.isdigit())
    assert set((opinion_VK == 1).sum(axis=0)) <= set(agrees)
    assert len(texts) == 20
    rules = values_rules.chosen(values_rules.group_votes(opinion_VK, group_V, len(names)))
    liked_K = np.nanmean(opinion_VK, axis=0)
    for rule, p_K in rules.items():
        assert p_K.sum() == pytest.approx(1)
        if rule != "random":
            assert p_K @ liked_K > liked_K.mean() + 0.2, rule  # the control: an even draw
