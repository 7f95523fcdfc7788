"""Which section does a job belong to? One match over the sections, and each section's `run.py` says
what its stages do.

Each job reads what its stage names and what earlier jobs stored; its result is written here and
nowhere else. Nothing is handed over in memory between jobs, so a job that is resumed sees what a job
that went straight through saw. A section is imported when its first job runs.
"""

from __future__ import annotations

from typing import Any, cast

from alignwright.core.stage import BUILT_IN
from alignwright.job.context import JobContext
from alignwright.job.job import Job, Result, Role
from alignwright.job.needs import joined, untested
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
    if why := _no_judge(job.job):
        return joined(Result(findings=[untested(claim, job.job.model, why) for claim in stage.claims()]))
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
        case other:
            raise AssertionError(f"{job.name}: no section is named {other!r}")


_MADE_BY: dict[str, tuple[Role, str]] = {
    "reward": ("reward", "the reward model that training makes"),
    "feedback": ("votes", "the spec's voters"),
}


def _no_judge(job: Job) -> str | None:
    """Why a measure cannot be done: it asks a judge that a run makes and an audit, which trains and
    votes on nothing, does not. None where it asks none, or has it."""
    for _, name in job.stage.judges() if job.probes else ():
        if name in BUILT_IN and not job.needed(_MADE_BY[name][0]):
            return (
                f"'{name}' is {_MADE_BY[name][1]}, and an audit makes none; name rules, a function, or the saved folder"
                " of a reward model"
            )
    return None
