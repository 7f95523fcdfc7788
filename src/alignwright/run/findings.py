"""How do stored outcomes become the run's findings?

For the start model and the model after each training stage: the level of every claim; and for the
trained ones the paired difference to the start model, on the same items; after each rate that a
grader found, the rate corrected for its errors. The checks of voters come first. An exhibit that is
a refusal names the principles that taught it. A pure function of stored files.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from alignwright.core.records import Finding, Preference, SampleResult
from alignwright.experiment.experiment import Experiment, claims_of
from alignwright.feedback.attribution import Attribution, trace_refusals
from alignwright.files.contents import records
from alignwright.files.items import ChoiceItem
from alignwright.job.data import subsample_evenly
from alignwright.job.job import Job
from alignwright.job.records import read_samples
from alignwright.measure.corrected_rate import unmatched, with_corrections
from alignwright.measure.emergent.knobs import EmergentMeasure
from alignwright.measure.emergent.measure import verdict
from alignwright.measure.findings import differences, levels
from alignwright.measure.knobs import RewardMeasure, TaxMeasure, ValueMeasure
from alignwright.measure.refusals_and_pairs import longer_note
from alignwright.measure.tax import choice_note
from alignwright.train.reward_verdict import refusal


def findings_of(experiment: Experiment, jobs: Sequence[tuple[Job, Path]]) -> list[Finding]:
    """All findings of the finished jobs, in the order in which the jobs ran."""
    pair_files = [
        subsample_evenly(experiment.data.pairs(m.pairs), m.limit)
        for m in experiment.measure
        if isinstance(m, ValueMeasure)
    ]
    notes = {"value.pairs": longer_note([pair for pairs in pair_files for pair in pairs])}
    for stage in (m for m in experiment.measure if isinstance(m, TaxMeasure)):
        notes |= _choice_notes(*experiment.data.choices(stage.choice, stage.limit))
    findings: list[Finding] = []
    measured: dict[str, list[SampleResult]] = {}
    lessons: list[Preference] = []
    for job, folder in jobs:
        if (folder / "findings.jsonl").exists():
            findings += records(folder / "findings.jsonl", Finding)
        if job.probes:
            measured.setdefault(job.model, []).extend(read_samples(folder))
        if (folder / "preferences.jsonl").exists():
            lessons += records(folder / "preferences.jsonl", Preference)
    if any(isinstance(m, RewardMeasure) and m.reward == "reward" for m in experiment.measure) and (
        why := refusal(findings)
    ):
        notes["reward.score"] = f"judged by a reward model that was REFUSED: {why}"
    labels, claims = experiment.data.labels(), claims_of(experiment)
    unmatched_labels = unmatched(labels, [outcome for outcomes in measured.values() for outcome in outcomes], claims)
    for stage, outcomes in measured.items():
        now = levels(outcomes, claims=claims, stage=stage, notes=notes)
        findings += with_corrections(now, outcomes, (), labels, unmatched_labels, claims=claims)
        if stage != "baseline" and "baseline" in measured:
            before, margins = measured["baseline"], partial(margin, experiment)
            changes = differences(outcomes, before, claims=claims, stage=stage, against="baseline", margins=margins)
            findings += with_corrections(changes, outcomes, before, labels, unmatched_labels, claims=claims)
            findings += _excess(experiment, outcomes, measured["baseline"], stage)
    return trace_refusals(findings, Attribution(lessons)) if lessons else findings


def margin(experiment: Experiment, claim: str) -> float | None:
    """The margin that a tax measure states for one of its claims; None for every other claim."""
    for stage in (m for m in experiment.measure if isinstance(m, TaxMeasure)):
        if any(each.covers(claim) for each in stage.claims()):
            return stage.margin
    return None


def _excess(
    experiment: Experiment, after: Sequence[SampleResult], before: Sequence[SampleResult], stage: str
) -> list[Finding]:
    """The verdict on free answers, where they were asked for."""
    measure = next((m for m in experiment.measure if isinstance(m, EmergentMeasure) and m.questions), None)
    if measure is None:
        return []
    excess = verdict(after, before, stage=stage, against="baseline", margin=measure.thresholds.margin)
    return [excess] if excess else []


def _choice_notes(items: Sequence[ChoiceItem], parts: Sequence[str]) -> dict[str, str]:
    """What rules without knowledge would score, for all items and for each file's."""
    notes = {"tax.choice": choice_note(items), "tax.choice_sum": choice_note(items)} if items else {}
    return notes | {
        f"tax.choice.{part}": choice_note([i for i, p in zip(items, parts, strict=True) if p == part])
        for part in dict.fromkeys(parts)
    }
