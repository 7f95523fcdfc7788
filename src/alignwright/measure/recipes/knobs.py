"""Which measures of recipes are there? The union of their knobs."""

from __future__ import annotations

from alignwright.measure.recipes.trait.knobs import TraitMeasure

AnyRecipeMeasure = TraitMeasure
