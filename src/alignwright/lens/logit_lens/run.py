"""How is the logit lens held to a model inside a run?"""

from __future__ import annotations

from alignwright.core.stage import resolved
from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.job import Result
from alignwright.job.needs import joined, measured_with
from alignwright.lens.logit_lens.knobs import LogitLensStage
from alignwright.lens.logit_lens.logit_lens import settle


def measure_logit_lens(stage: LogitLensStage, job: JobContext) -> Result:
    """Of each prompt, where its next word is settled."""
    prompts = subsample_evenly(job.data.prompts(stage.prompts), resolved(stage.limit))
    return joined(measured_with(job.policy, lambda policy: settle(policy, prompts), stage.claims(), job.model))
