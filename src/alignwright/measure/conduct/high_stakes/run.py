"""How is care where much is at stake measured inside a run? By the replies alone, here or behind a
server."""

from __future__ import annotations

from alignwright.core.stage import resolved
from alignwright.files.high_stakes_items import HighStakesItem
from alignwright.job.context import JobContext
from alignwright.job.job import Result
from alignwright.job.needs import joined
from alignwright.measure.conduct.high_stakes.knobs import HighStakesMeasure
from alignwright.measure.conduct.high_stakes.situations import measure_situations, selection


def measure_high_stakes(stage: HighStakesMeasure, job: JobContext) -> Result:
    """One greedy reply to each situation and to each twin."""
    own = job.data.items(stage.situations, HighStakesItem, None)
    chosen = selection(own, bundled_too=stage.bundled, limit=stage.limit)
    most = resolved(stage.max_new_tokens)
    return joined(Result(samples=measure_situations(job.target(), chosen, seed=job.seed, max_new_tokens=most)))
