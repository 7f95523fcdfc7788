"""What does each attack do? One match over its stages."""

from __future__ import annotations

from alignwright.attack.knobs import AnyAttack
from alignwright.attack.suites import attack_suite, read_wrappers
from alignwright.core.stage import resolved
from alignwright.files.items import RefusalItem
from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.job import Result, count_statuses


def run(stage: AnyAttack, job: JobContext) -> Result:
    """Attack the job's model: one technique so far."""
    harmful = [item for item in job.data.items(stage.prompts, RefusalItem, None) if item.kind == "harmful"]
    wrappers = read_wrappers(job.data.path(stage.file) if stage.file else None)
    samples = attack_suite(
        job.target(),
        subsample_evenly(harmful, stage.limit),
        wrappers,
        seed=job.seed,
        max_new_tokens=resolved(stage.max_new_tokens),
    )
    return Result(count_statuses(samples), samples)
