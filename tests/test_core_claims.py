"""Intervals end at their claims' own limits, wherever they were made: one place, through which every finding of a run
goes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from run_case import make_project
from tiny import make_tiny

from alignwright.core.claims import Claim, within_claims
from alignwright.core.records import Finding
from alignwright.experiment.check import check
from alignwright.job.job import Job
from alignwright.job.records import FINDINGS
from alignwright.run.findings import findings_of
from alignwright.stats.intervals import clustered

COUNT = Claim(name="sae.on", title="Latents on", axis="inside", better=None, unit="latents", high=None)
SHARE = Claim(name="value.refused", title="Refused", axis="value", part="topic")
PARTS = SHARE.but(name="value.refused.*")
GAP = Claim(name="gap", title="Gap", axis="inside", unit="difference", low=-1.0)


def finding(claim: str, low: float | None, high: float | None, against: str | None = None) -> Finding:
    return Finding(claim=claim, stage="m", axis="inside", value=0.5, low=low, high=high, n=3, method="t",
                   against=against)  # fmt: skip


@pytest.mark.parametrize(
    ("claim", "against", "given", "expected"),
    [
        ("sae.on", None, (-2.0, 40.0), (0.0, 40.0)),  # a count has no highest
        ("sae.on", "baseline", (-2.0, 40.0), (-2.0, 40.0)),  # and its change neither
        ("value.refused", None, (-0.2, 1.3), (0.0, 1.0)),
        ("value.refused.cars", None, (-0.2, 1.3), (0.0, 1.0)),  # so do its parts
        ("value.refused", "baseline", (-1.4, 1.2), (-1.0, 1.0)),
        ("gap", None, (-1.2, 0.4), (-1.0, 0.4)),
        ("gap", "baseline", (-2.5, 2.2), (-2.0, 2.0)),
        ("value.refused", None, (0.2, 0.9), (0.2, 0.9)),
        ("another", None, (-5.0, 5.0), (-5.0, 5.0)),  # nobody says what its limits are
        ("value.refused", None, (None, None), (None, None)),
    ],
)
def test_an_interval_ends_at_its_claims_limits(
    claim: str, against: str | None, given: tuple[float | None, float | None], expected: tuple[float, float]
) -> None:
    own = finding(claim, *given, against)
    (ended,) = within_claims([own], [COUNT, SHARE, PARTS, GAP])
    assert (ended.low, ended.high) == expected
    assert ended.model_copy(update={"low": own.low, "high": own.high}) == own  # and nothing else of it changes


def test_few_texts_give_an_interval_of_students_that_passes_the_limit() -> None:
    estimate = clustered([0.1, 0.2, 6.0], range(3))
    assert estimate.interval.low is not None
    assert estimate.interval.low < 0  # the fault itself: of three texts 0.1, 0.2 and 6 latents
    (ended,) = within_claims([finding("sae.on", estimate.interval.low, estimate.interval.high)], [COUNT])
    assert (ended.low, ended.high) == (0.0, estimate.interval.high)


def test_every_finding_of_a_run_goes_by_it(tmp_path: Path) -> None:
    path = make_project(tmp_path)
    make_tiny(tmp_path / "model")
    (tmp_path / "plain.txt").write_text("\n\n".join(f"this is what it says {i}" for i in range(12)))
    stage = {"by": "sae", "text": "plain.txt", "latents": 8, "k": 2}
    path.write_text(yaml.safe_dump({"name": "ended", "model": "./model", "lens": [stage]}))
    experiment = check(path).experiment
    folder = tmp_path / "job"
    folder.mkdir()
    own = [finding("sae.on", -2.0, 6.0), finding("sae.dead", 0.2, 1.4)]
    (folder / FINDINGS).write_text("".join(each.model_dump_json() + "\n" for each in own))
    (on, dead) = findings_of(experiment, [(Job("train", 0, experiment.lens[0]), folder)])
    assert (on.low, on.high) == (0.0, 6.0)
    assert (dead.low, dead.high) == (0.2, 1.0)
