"""What does each measure of conduct do? One match over its stages."""

from __future__ import annotations

from alignwright.job.context import JobContext
from alignwright.job.job import Result
from alignwright.measure.conduct.bias.knobs import BiasMeasure
from alignwright.measure.conduct.bias.run import measure_bias
from alignwright.measure.conduct.calibration.knobs import CalibrationMeasure
from alignwright.measure.conduct.calibration.run import measure_calibration
from alignwright.measure.conduct.high_stakes.knobs import HighStakesMeasure
from alignwright.measure.conduct.high_stakes.run import measure_high_stakes
from alignwright.measure.conduct.knobs import AnyConduct


def measure_conduct(stage: AnyConduct, job: JobContext) -> Result:
    """Measure the job's model."""
    match stage:
        case BiasMeasure():
            return measure_bias(stage, job)
        case HighStakesMeasure():
            return measure_high_stakes(stage, job)
        case CalibrationMeasure():
            return measure_calibration(stage, job)
