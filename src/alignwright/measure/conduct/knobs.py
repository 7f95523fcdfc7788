"""Which measures of conduct are there? The union of their knobs."""

from __future__ import annotations

from alignwright.measure.conduct.ability.knobs import AbilityMeasure
from alignwright.measure.conduct.agent.knobs import AgentMeasure
from alignwright.measure.conduct.bias.knobs import BiasMeasure
from alignwright.measure.conduct.calibration.knobs import CalibrationMeasure
from alignwright.measure.conduct.consistency.knobs import ConsistencyMeasure
from alignwright.measure.conduct.deception.knobs import DeceptionMeasure
from alignwright.measure.conduct.high_stakes.knobs import HighStakesMeasure
from alignwright.measure.conduct.transcripts.knobs import TranscriptsMeasure

AnyConduct = (
    BiasMeasure
    | HighStakesMeasure
    | CalibrationMeasure
    | ConsistencyMeasure
    | DeceptionMeasure
    | AbilityMeasure
    | AgentMeasure
    | TranscriptsMeasure
)
