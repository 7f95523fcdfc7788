"""What does each measure of a recipe do? One match over its stages."""

from __future__ import annotations

from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.job import Result
from alignwright.job.needs import joined
from alignwright.measure.recipes.knobs import AnyRecipeMeasure
from alignwright.measure.recipes.trait.measure import trait_outcomes


def measure_recipe(stage: AnyRecipeMeasure, job: JobContext) -> Result:
    """Measure the job's model by its replies alone, here or behind a server."""
    prompts = subsample_evenly(job.data.prompts(stage.prompts), stage.limit)
    scorer = job.scorer(stage.trait)
    return joined(Result(samples=trait_outcomes(job.target(), scorer, prompts, stage, seed=job.seed)))
