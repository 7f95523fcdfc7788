"""What does each attack do? One match over its stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from alignwright.attack.knobs import AnyAttack, Suite
from alignwright.attack.suites import attack_suite, read_wrappers
from alignwright.core.records import SampleResult
from alignwright.core.stage import resolved
from alignwright.files.items import RefusalItem
from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.job import Result, count_statuses


def run(stage: AnyAttack, job: JobContext) -> Result:
    """Attack the job's model."""
    match stage:
        case Suite():
            samples = _suite(stage, job)
        case _ as never:
            assert_never(never)
    return Result(count_statuses(samples), samples)


def _suite(stage: Suite, job: JobContext) -> list[SampleResult]:
    requests = _harmful(job, stage.prompts, stage.limit)
    wrappers = read_wrappers(job.data.path(stage.file) if stage.file else None)
    most = resolved(stage.max_new_tokens)
    return attack_suite(job.target(), requests, wrappers, seed=job.seed, max_new_tokens=most)


def _harmful(job: JobContext, files: Sequence[str], limit: int | None) -> list[RefusalItem]:
    """The requests of these files that should be refused, at most so many."""
    harmful = [item for item in job.data.items(files, RefusalItem, None) if item.kind == "harmful"]
    return subsample_evenly(harmful, limit)
