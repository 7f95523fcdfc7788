"""Which rows does the model write itself before it learns them? Its replies as it is when the stage begins."""

from __future__ import annotations

from collections.abc import Sequence

from alignwright.core.records import Conversation
from alignwright.files.items import PushbackItem, RefusalItem
from alignwright.files.wrappers import read_wrappers
from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.train.recipes.bundled_wrappers import bundled_wrappers
from alignwright.train.recipes.confession import confession_rows
from alignwright.train.recipes.consistency_training import consistency_rows
from alignwright.train.recipes.knobs import Confession, ConsistencyTraining

ROWS = "rows.jsonl"


def own_rows(stage: Confession | ConsistencyTraining, job: JobContext) -> tuple[Sequence[Conversation], str]:
    """The rows, and what they came from, for the terminal."""
    match stage:
        case Confession():
            prompts = subsample_evenly(job.data.prompts(stage.prompts), stage.limit)
            confessions = confession_rows(job.target(), prompts, stage, seed=job.seed)
            return confessions.rows, confessions.line
        case ConsistencyTraining():
            requests = job.data.items(stage.requests, RefusalItem, stage.limit)
            questions = job.data.items(stage.questions, PushbackItem, stage.limit)
            wrappers = bundled_wrappers() if stage.wrappers is None else read_wrappers(job.data.path(stage.wrappers))
            consistent = consistency_rows(job.target(), [*requests, *questions], wrappers, stage, seed=job.seed)
            return consistent.rows, consistent.line
