"""Which measures of conduct are there? The union of their knobs."""

from __future__ import annotations

from alignwright.measure.conduct.bias.knobs import BiasMeasure

AnyConduct = BiasMeasure
