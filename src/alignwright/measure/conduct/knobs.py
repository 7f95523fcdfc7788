"""Which measures of conduct are there? The union of their knobs."""

from __future__ import annotations

from alignwright.measure.conduct.bias.knobs import BiasMeasure
from alignwright.measure.conduct.calibration.knobs import CalibrationMeasure
from alignwright.measure.conduct.high_stakes.knobs import HighStakesMeasure

AnyConduct = BiasMeasure | HighStakesMeasure | CalibrationMeasure
