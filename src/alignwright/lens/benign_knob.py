"""What would fine-tuning on harmless data do? A second model that a look inside stands beside: one knob of all that
ask."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from alignwright.core.stage import NamesModel, Stage


class BenignStage(Stage):
    """A stage whose finding stands beside that of a model which was fine-tuned on something harmless."""

    benign: Annotated[str | None, NamesModel(no_server="a server gives no activations: name a folder, or a Hub id")] = (
        Field(
            default=None,
            min_length=1,
            description="a model fine-tuned from the same start model on harmless data: what it shows as well is no"
            " work of the training that is looked at",
        )
    )
