"""What does each measure of conduct do? One match over its stages."""

from __future__ import annotations

from typing import assert_never

from alignwright.job.context import JobContext
from alignwright.job.job import Result
from alignwright.measure.conduct.ability.knobs import AbilityMeasure
from alignwright.measure.conduct.ability.run import measure_ability
from alignwright.measure.conduct.agent.knobs import AgentMeasure
from alignwright.measure.conduct.agent.run import measure_agent
from alignwright.measure.conduct.bias.knobs import BiasMeasure
from alignwright.measure.conduct.bias.run import measure_bias
from alignwright.measure.conduct.calibration.knobs import CalibrationMeasure
from alignwright.measure.conduct.calibration.run import measure_calibration
from alignwright.measure.conduct.consistency.knobs import ConsistencyMeasure
from alignwright.measure.conduct.consistency.run import measure_consistency
from alignwright.measure.conduct.deception.knobs import DeceptionMeasure
from alignwright.measure.conduct.deception.run import measure_deception
from alignwright.measure.conduct.high_stakes.knobs import HighStakesMeasure
from alignwright.measure.conduct.high_stakes.run import measure_high_stakes
from alignwright.measure.conduct.knobs import AnyConduct
from alignwright.measure.conduct.transcripts.knobs import TranscriptsMeasure
from alignwright.measure.conduct.transcripts.run import measure_transcripts


def measure_conduct(stage: AnyConduct, job: JobContext) -> Result:
    """Measure the job's model, or read what is recorded."""
    match stage:
        case BiasMeasure():
            return measure_bias(stage, job)
        case HighStakesMeasure():
            return measure_high_stakes(stage, job)
        case CalibrationMeasure():
            return measure_calibration(stage, job)
        case ConsistencyMeasure():
            return measure_consistency(stage, job)
        case DeceptionMeasure():
            return measure_deception(stage, job)
        case AbilityMeasure():
            return measure_ability(stage, job)
        case AgentMeasure():
            return measure_agent(stage, job)
        case TranscriptsMeasure():
            return measure_transcripts(stage, job)
        case _ as never:
            assert_never(never)
