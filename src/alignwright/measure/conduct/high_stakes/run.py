"""How is care where much is at stake measured inside a run? By the replies alone, here or behind a
server."""

from __future__ import annotations

from alignwright.core.stage import resolved
from alignwright.files.high_stakes_items import HighStakesItem
from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.job import Result
from alignwright.job.needs import joined
from alignwright.measure.conduct.high_stakes.knobs import HighStakesMeasure
from alignwright.measure.conduct.high_stakes.situations import bundled, measure_situations


def measure_high_stakes(stage: HighStakesMeasure, job: JobContext) -> Result:
    """One greedy reply to each situation and to each twin."""
    items = [*(bundled() if stage.bundled else []), *job.data.items(stage.situations, HighStakesItem, None)]
    risky, harmless = ([item for item in items if (item.right == "help") == help_] for help_ in (False, True))
    half = None if stage.limit is None else max(1, stage.limit // 2)
    chosen = [*subsample_evenly(risky, half), *subsample_evenly(harmless, half)]
    most = resolved(stage.max_new_tokens)
    return joined(Result(samples=measure_situations(job.target(), chosen, seed=job.seed, max_new_tokens=most)))
