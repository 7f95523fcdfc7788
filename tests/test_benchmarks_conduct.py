"""Does the benchmark of conduct ask every kind that there is, and is a missed target a miss?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from alignwright.experiment.load import load
from alignwright.measure.knobs import AnyMeasure

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import conduct


def test_every_kind_of_conduct_is_in_the_spec_and_the_spec_is_sound(tmp_path: Path) -> None:
    """A kind whose claims are of this axis cannot be forgotten: the list is the package's own union."""
    path = conduct.write_spec(tmp_path, conduct.kinds(), quick=True)
    stages = yaml.safe_load(path.read_text())["measure"]
    assert [stage["by"] for stage in stages] == conduct.kinds()
    assert {"bias", "high_stakes", "calibration", "consistency", "deception", "transcripts"} <= set(conduct.kinds())
    assert {stage.get("limit") for stage in stages if stage["by"] in ("bias", "deception")} == {conduct.FEW}
    assert {stage.by for stage in load(path).measure} == set(conduct.kinds())
    assert set(conduct.kinds()) < {get_args(kind.model_fields["by"].annotation)[0] for kind in get_args(AnyMeasure)}


def measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], loop: float, audit: float) -> Any:
    """Ours asks for 10 CPU-seconds in all; `transcripts` asks no model."""

    def asked(_: str, __: str, at: dict[str, Any]) -> dict[str, Any]:
        assert at["every"] == 24
        whole = {"bias": 6.0, "deception": 5.0, "transcripts": 1.0}
        return {
            "audit": audit, "whole": whole, "asking": {"bias": 5.5, "deception": 4.5}, "differ": 1e-5,
            "loop": {"bias": loop - 9.0, "deception": 9.0}, "same_replies": None,
            "asked": {"bias": 8, "deception": 9, "transcripts": 0},
        }  # fmt: skip

    monkeypatch.setattr(conduct, "asked", asked)
    monkeypatch.setattr(conduct, "model", lambda: "folder")
    code = conduct.main(["bias", "deception", "transcripts", "--dtypes", "float32"])
    return code, json.loads(capsys.readouterr().out)


def test_a_ratio_is_of_all_that_was_asked_and_a_miss_is_an_exit_code(monkeypatch, capsys) -> None:
    code, line = measured(monkeypatch, capsys, loop=31.0, audit=120.0)
    assert (code, line["targets"]) == (
        0,
        {"minutes_float32": [2.0, 10.0, True], "times_generate_float32": [3.1, 3.0, True]},
    )
    families = line["float32"]["families"]
    assert families["deception"] == {"seconds": 5.0, "asking": 4.5, "asked": 9, "times": 2.0}
    assert families["transcripts"]["times"] is None
    code, line = measured(monkeypatch, capsys, loop=29.0, audit=601.0)
    assert (code, [met for *_, met in line["targets"].values()]) == (1, [False, False])
    with pytest.raises(SystemExit):
        conduct.main(["nothing"])
