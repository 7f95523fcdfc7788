"""What is made of all answers together: calibration error, error over coverage, and their changes?

A pure function of the stored outcomes, so that a change pairs the same questions: the resamples of the
bootstrap draw the same clusters of both models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from alignwright.core.claims import Claim, claim_named
from alignwright.core.records import Finding, SampleResult
from alignwright.core.stage import Stage
from alignwright.measure.conduct.calibration.claims import FORMS, Form, claims_of
from alignwright.measure.conduct.calibration.knobs import CalibrationMeasure
from alignwright.stats.calibration import (
    Statistic,
    SureAnswer,
    basic_bootstrap,
    calibration_error,
    debiased_rms,
    risk_coverage_area,
    selective_accuracy,
)
from alignwright.stats.intervals import Interval

HALF = 0.5


def calibration_findings(
    stages: Iterable[Stage],
    after: Sequence[SampleResult],
    before: Sequence[SampleResult],
    *,
    stage: str,
    against: str | None,
) -> list[Finding]:
    """The levels of one model, or with `against` its changes from another. None where nothing was
    measured."""
    measure = next((one for one in stages if isinstance(one, CalibrationMeasure)), None)
    if measure is None:
        return []
    return [
        finding
        for form in FORMS
        for name, statistic in _statistics(measure.bins)
        for finding in _finding(form, name, statistic, after, before, stage, against)
    ]


def _statistics(bins: int) -> list[tuple[str, Statistic]]:
    error = partial(calibration_error, bins=bins)
    return [
        ("ece", error),
        ("rms", partial(debiased_rms, bins=bins)),
        ("aurc", risk_coverage_area),
        ("selective", partial(selective_accuracy, coverage=HALF)),
        ("ece_half", error),
        ("ece_fitted", error),
    ]


def answer_pairs(outcomes: Sequence[SampleResult], form: Form, name: str) -> dict[str, SureAnswer]:
    """Confidence and accuracy of each question: the gap between them, and whether it was right."""
    right = _values(outcomes, f"calibration.{form}.accuracy")
    gaps = _values(outcomes, f"calibration.{form}.{'fitted' if name == 'ece_fitted' else 'overconfidence'}")
    if name == "ece_half":
        gaps = {item: gap for item, gap in gaps.items() if item in _values(outcomes, f"calibration.{form}.fitted")}
    clusters = {outcome.item: outcome.cluster for outcome in outcomes}
    return {
        item: SureAnswer(gap + right[item], right[item], clusters[item]) for item, gap in gaps.items() if item in right
    }


def _values(outcomes: Sequence[SampleResult], claim: str) -> dict[str, float]:
    return {o.item: o.value for o in outcomes if o.claim == claim and o.value is not None}


def _finding(
    form: Form,
    name: str,
    statistic: Statistic,
    after: Sequence[SampleResult],
    before: Sequence[SampleResult],
    stage: str,
    against: str | None,
) -> Iterable[Finding]:
    now = answer_pairs(after, form, name)
    then = answer_pairs(before, form, name)
    if against is not None:
        now, then = ({item: each[item] for item in now if item in then} for each in (now, then))
    if not now:
        return
    claim = claim_named(f"calibration.{form}.{name}", claims_of(form))
    items = list(now.values())
    if against is None:
        value, interval = statistic(items), basic_bootstrap(items, statistic, claim.within)
    else:
        value, interval = _change(now, then, statistic, claim)
    yield Finding(
        claim=claim.name, stage=stage, against=against, axis=claim.axis, value=value, low=interval.low,
        high=interval.high, n=len(items), clusters=len({item.cluster for item in items}), method=interval.method,
        unit=claim.unit, better=claim.better,
    )  # fmt: skip


def _change(
    now: dict[str, SureAnswer], then: dict[str, SureAnswer], statistic: Statistic, claim: Claim
) -> tuple[float, Interval]:
    """The difference of a statistic of the same questions, by resamples that draw both together."""
    pairs = {id(answer): then[item] for item, answer in now.items()}

    def difference(items: Sequence[SureAnswer]) -> float:
        return statistic(items) - statistic([pairs[id(item)] for item in items])

    items = list(now.values())
    interval = basic_bootstrap(items, difference, claim.change_within)
    return difference(items), Interval(interval.low, interval.high, f"paired difference; {interval.method}")
