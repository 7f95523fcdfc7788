"""What does each world do with a language model? One match over its stages."""

from __future__ import annotations

from alignwright.core.stage import resolved
from alignwright.job.context import JobContext
from alignwright.job.job import Result, count_statuses
from alignwright.worlds import agent
from alignwright.worlds.knobs import AnyWorld


def run(stage: AnyWorld, job: JobContext) -> Result:
    """Set the job's model to work: one technique so far."""
    episodes = agent.play(
        job.target(),
        stage.world,
        resolved(stage.episodes),
        turns=stage.turns,
        max_new_tokens=resolved(stage.max_new_tokens),
        temperature=stage.temperature,
        seed=job.seed,
    )
    samples = agent.outcomes(episodes)
    return Result(count_statuses(samples), samples)
