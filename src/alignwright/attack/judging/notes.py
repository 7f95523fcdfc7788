"""What stands beside a number that a judge told? What the judge is worth, by its check."""

from __future__ import annotations

from collections.abc import Sequence

from alignwright.attack.judging.claims import BY_RULES, SENSITIVITY
from alignwright.core.records import Finding
from alignwright.job.job import BASELINE, Job


def judge_notes(jobs: Sequence[Job], findings: Sequence[Finding]) -> dict[str, str]:
    """A note for each claim of an attack whose successes a judge told; its check lies with the start model."""
    checks = {finding.stage: finding.note for finding in findings if finding.claim == SENSITIVITY.name}
    judged = [job for job in jobs if job.section == "attack" and job.model == BASELINE and job.name in checks]
    return {
        claim.name: checks[job.name]
        for job in judged
        for claim in job.stage.claims()
        if claim.axis == "attack" and not claim.name.endswith((BY_RULES, "*"))
    }
