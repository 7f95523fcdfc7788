"""What can be set where people compare a model's replies with the start model's?"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from alignwright.core.claims import Claim
from alignwright.core.cost import Cost
from alignwright.core.stage import NEW_TOKENS, Count, Effort, Reads, Sizes, Stage, resolved
from alignwright.files.data_file import Paths

PREFERRED = Claim(
    name="value.preferred",
    title="Preferred by people to the start model, ties half",
    axis="value",
    measured="trained",
    paired=False,
)


class PreferredMeasure(Stage):
    """Do people prefer the model's replies to the start model's? The replies are made now; people rate them
    with `alignwright rate RUN`, and their votes are named under `votes`."""

    rated_by_people: ClassVar[bool] = True
    by: Literal["preferred"]
    prompts: Annotated[Paths, Reads("prompts")] = Field(min_length=1, description="files of held-out prompts")
    limit: Annotated[Count | None, Effort(24, 100, 100000)] = Field(
        default=None, description="at most so many prompts (from effort)"
    )
    max_new_tokens: Annotated[Count | None, Effort(96, 256, 512)] = Field(default=None, description=NEW_TOKENS)

    def claims(self) -> tuple[Claim, ...]:
        return (PREFERRED,)

    def estimate(self, sizes: Sizes) -> Cost:
        prompts = sizes.files(self, "prompts").at_most(self.limit)
        return Cost.of(prompts.tokens, prompts.rows * resolved(self.max_new_tokens))
