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

from alignwright.attack.judging.notes import judge_notes
from alignwright.core.claims import within_claims
from alignwright.core.records import Finding, Preference, SampleResult
from alignwright.experiment.experiment import Experiment, claims_of
from alignwright.feedback.attribution import Attribution, trace_refusals
from alignwright.files.contents import records
from alignwright.files.server import is_server
from alignwright.job.job import BASELINE, Job
from alignwright.job.records import FINDINGS, PREFERENCES, read_samples
from alignwright.measure.corrected_rate import unmatched, with_corrections
from alignwright.measure.findings import differences, levels
from alignwright.measure.knobs import CHOICE, SCORE
from alignwright.measure.listed_choice import METHOD
from alignwright.measure.notes import beside_their_family, conclusions, level_notes, margin, verdicts
from alignwright.measure.preferred.knobs import PREFERRED
from alignwright.measure.preferred.preference import ballots, preferences
from alignwright.train.reward_verdict import refusal


def findings_of(
    experiment: Experiment, finished: Sequence[tuple[Job, Path]], *, attributed: bool = True
) -> list[Finding]:
    """All findings of the finished jobs, in the order in which the jobs ran; without `attributed` their
    exhibits name no principles."""
    findings: list[Finding] = []
    samples: dict[str, list[SampleResult]] = {}
    lessons: list[Preference] = []
    for job, folder in finished:
        if (folder / FINDINGS).exists():
            findings += records(folder / FINDINGS, Finding)
        if job.probes:
            samples.setdefault(job.model, []).extend(read_samples(folder))
        if (folder / PREFERENCES).exists():
            lessons += records(folder / PREFERENCES, Preference)
    notes = level_notes(experiment.measure, experiment.data) | _refused_reward(experiment, findings)
    notes |= judge_notes([job for job, _ in finished], findings)
    labels, claims, stages = experiment.data.labels(), claims_of(experiment), experiment.measure
    methods = {CHOICE.name: METHOD} if is_server(experiment.model) else {}
    unmatched_labels = unmatched(labels, [result for results in samples.values() for result in results], claims)
    findings += preferences(samples, ballots(experiment.data.votes_on_replies()), start=BASELINE)
    samples = {
        model: [sample for sample in group if sample.claim != PREFERRED.name] for model, group in samples.items()
    }
    for model, after in samples.items():
        now = levels(
            after, claims=claims, stage=model, notes=notes, methods=methods, anytime=partial(looked_at, experiment)
        )
        now = with_corrections(now, after, (), labels, unmatched_labels, claims=claims)
        findings += beside_their_family(now, conclusions(stages, after, stage=model))
        if model != BASELINE and BASELINE in samples:
            before, margins = samples[BASELINE], partial(margin, stages)
            changes = differences(after, before, claims=claims, stage=model, against=BASELINE, margins=margins)
            changes = with_corrections(changes, after, before, labels, unmatched_labels, claims=claims)
            together = conclusions(stages, after, before, stage=model, against=BASELINE)
            findings += beside_their_family(changes, together)
            findings += verdicts(stages, after, before, stage=model, against=BASELINE)
    findings = within_claims(findings, claims)
    trained = {job.name for job, _ in finished if job.section == "train"}
    return trace_refusals(findings, Attribution(lessons), trained) if lessons and attributed else findings


def looked_at(experiment: Experiment, claim: str) -> bool:
    """Whether the limits of an attack's claim are to hold at every look."""
    asking = [stage for stage in experiment.attack if getattr(stage, "anytime", False)]
    return any(own.covers(claim) for stage in asking for own in stage.claims() if own.unit == "share")


def _refused_reward(experiment: Experiment, findings: Sequence[Finding]) -> dict[str, str]:
    """A note beside scores of the run's own reward model, where that was refused."""
    scored = [m for m in experiment.measure if SCORE in m.claims() and "reward" in [name for _, name in m.judges()]]
    why = refusal(findings) if scored else None
    return {SCORE.name: f"judged by a reward model that was REFUSED: {why}"} if why else {}
