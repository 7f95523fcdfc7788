"""Which stages are there, section by section? The unions of each section's knobs, joined."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from alignwright.aggregate.knobs import AnyAggregate
from alignwright.attack.knobs import AnyAttack
from alignwright.attack.knobs_repair import Repair
from alignwright.feedback.knobs import AnyFeedback, Collect
from alignwright.lens.knobs import AnyLens
from alignwright.measure.knobs import AnyMeasure as OwnMeasure
from alignwright.oversee.knobs import AnyOversee
from alignwright.train.knobs import AnyTrain as OwnTrain
from alignwright.worlds.knobs import AnyWorld

AnyTrain = OwnTrain | Repair
Train = Annotated[AnyTrain, Field(discriminator="by")]
AnyMeasure = OwnMeasure | AnyWorld
Measure = Annotated[AnyMeasure, Field(discriminator="by")]
Lens = Annotated[AnyLens, Field(discriminator="by")]
Oversee = Annotated[AnyOversee, Field(discriminator="by")]
AnyStage = Collect | AnyFeedback | AnyAggregate | AnyTrain | AnyAttack | AnyMeasure | AnyLens | AnyOversee
