"""Which section does a job belong to? One match over the sections, and each section's `run.py` says
what its stages do.

Each job reads what its stage names and what earlier jobs stored; its result is written here and
nowhere else. Nothing is handed over in memory between jobs, so a job that is resumed sees what a job
that went straight through saw. A section is imported when its first job runs.
"""

from __future__ import annotations

from typing import Any, cast

from alignwright.job.context import JobContext
from alignwright.job.job import Result
from alignwright.job.needs import without_judge
from alignwright.job.records import write_result


def execute(job: JobContext) -> str:
    """Do one job in its folder; returns a line for the terminal."""
    result = run(job)
    write_result(result, job.folder)
    if result.refusal is not None:
        raise result.refusal
    return result.note


def run(job: JobContext) -> Result:
    """What a job comes to, by the section that its stage's knobs belong to."""
    stage = cast("Any", job.job.stage)
    if (result := without_judge(job.job)) is not None:
        return result
    match job.job.folder:
        case "feedback":
            from alignwright.feedback.run import run as run_feedback

            return run_feedback(stage, job)
        case "aggregate":
            from alignwright.aggregate.run import run as run_aggregate

            return run_aggregate(stage, job)
        case "train":
            from alignwright.train.run import run as run_train

            return run_train(stage, job)
        case "attack":
            from alignwright.attack.run import run as run_attack

            return run_attack(stage, job)
        case "measure":
            from alignwright.measure.run import run as run_measure

            return run_measure(stage, job)
        case "worlds":
            from alignwright.worlds.run import run as run_worlds

            return run_worlds(stage, job)
        case "lens":
            from alignwright.lens.run import run as run_lens

            return run_lens(stage, job)
        case "oversee":
            from alignwright.oversee.run import run as run_oversee

            return run_oversee(stage, job)
        case other:
            raise AssertionError(f"{job.name}: no section is named {other!r}")
