"""What does each measure of a recipe do? One match over its stages; all go by the model's replies alone, here or
behind a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from alignwright.core.records import SampleResult
from alignwright.core.stage import resolved
from alignwright.files.items import PushbackItem, RefusalItem
from alignwright.files.wrappers import read_wrappers
from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.job import Result
from alignwright.job.needs import joined
from alignwright.measure.recipes.confession.knobs import ConfessionMeasure
from alignwright.measure.recipes.confession.measure import confession_outcomes
from alignwright.measure.recipes.knobs import AnyRecipeMeasure
from alignwright.measure.recipes.trait.knobs import TraitMeasure
from alignwright.measure.recipes.trait.measure import trait_outcomes
from alignwright.measure.recipes.wrapped.bundled_wrappers import bundled_wrappers
from alignwright.measure.recipes.wrapped.knobs import WrappedMeasure
from alignwright.measure.recipes.wrapped.measure import wrapped_outcomes


def measure_recipe(stage: AnyRecipeMeasure, job: JobContext) -> Result:
    """Measure the job's model."""
    return joined(Result(samples=_outcomes(stage, job)))


def _outcomes(stage: AnyRecipeMeasure, job: JobContext) -> Sequence[SampleResult]:
    target, most = job.target(), resolved(stage.max_new_tokens)
    match stage:
        case TraitMeasure():
            prompts = subsample_evenly(job.data.prompts(stage.prompts), stage.limit)
            return trait_outcomes(target, job.scorer(stage.trait), prompts, stage, seed=job.seed)
        case ConfessionMeasure():
            tasks = subsample_evenly(job.data.prompts(stage.prompts), stage.limit)
            return confession_outcomes(target, tasks, seed=job.seed, max_new_tokens=most)
        case WrappedMeasure():
            requests = job.data.items(stage.requests, RefusalItem, stage.limit)
            questions = job.data.items(stage.questions, PushbackItem, stage.limit)
            wrappers = bundled_wrappers() if stage.wrappers is None else read_wrappers(job.data.path(stage.wrappers))
            return wrapped_outcomes(target, [*requests, *questions], wrappers, seed=job.seed, max_new_tokens=most)
        case _ as never:
            assert_never(never)
