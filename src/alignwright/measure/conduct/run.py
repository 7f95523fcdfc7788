"""What does each measure of conduct do? One match over its stages."""

from __future__ import annotations

from alignwright.job.context import JobContext
from alignwright.job.job import Result
from alignwright.measure.conduct.bias.run import measure_bias
from alignwright.measure.conduct.knobs import AnyConduct


def measure_conduct(stage: AnyConduct, job: JobContext) -> Result:
    """Measure the job's model."""
    return measure_bias(stage, job)
