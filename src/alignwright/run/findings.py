"""How do stored outcomes become the run's findings?

For the start model and the model after each training stage: the level of every claim; and for the trained ones the paired difference
to the start model, on the same items. The checks of voters come first. An exhibit that is a refusal names the principles that taught it.
A pure function of stored files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alignwright.core.lessons import Lessons, trace_refusals
from alignwright.core.records import Finding, Outcome, Preference
from alignwright.measure.findings import differences, levels
from alignwright.measure.value import longer_note
from alignwright.run import inputs
from alignwright.run.plan import Job
from alignwright.spec.experiment import Experiment
from alignwright.spec.stages import ValueMeasure


def findings_of(experiment: Experiment, done: Sequence[tuple[Job, Path]]) -> list[Finding]:
    """All findings of the finished jobs, in the order in which the jobs ran."""
    held = [inputs.spread(inputs.pairs(experiment, m.pairs), m.limit) for m in experiment.measure if isinstance(m, ValueMeasure)]
    notes = {"value.pairs": longer_note([pair for pairs in held for pair in pairs])}
    found: list[Finding] = []
    measured: dict[str, list[Outcome]] = {}
    lessons: list[Preference] = []
    for job, folder in done:
        if (folder / "findings.jsonl").exists():
            found += inputs.read_records(folder / "findings.jsonl", Finding)
        if (folder / "outcomes.jsonl").exists():
            measured.setdefault(job.model, []).extend(inputs.outcomes(folder))
        if (folder / "preferences.jsonl").exists():
            lessons += inputs.read_records(folder / "preferences.jsonl", Preference)
    for stage, outcomes in measured.items():
        found += levels(outcomes, stage=stage, notes=notes)
        if stage != "baseline" and "baseline" in measured:
            found += differences(outcomes, measured["baseline"], stage=stage, against="baseline")
    return trace_refusals(found, Lessons(lessons)) if lessons else found
