"""Which measures of recipes are there? The union of their knobs."""

from __future__ import annotations

from alignwright.measure.recipes.confession.knobs import ConfessionMeasure
from alignwright.measure.recipes.trait.knobs import TraitMeasure
from alignwright.measure.recipes.wrapped.knobs import WrappedMeasure

AnyRecipeMeasure = TraitMeasure | WrappedMeasure | ConfessionMeasure
