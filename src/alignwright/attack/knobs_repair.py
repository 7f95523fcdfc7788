"""How are a model's failing replies made into comparisons to learn from, knob by knob?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from alignwright.attack.mutation_names import mutation_names
from alignwright.core.cost import PROMPT, Cost
from alignwright.core.records import Share
from alignwright.core.stage import NEW_TOKENS, Count, Effort, Knob, KnobRows, Positive, Reads, Sizes, resolved
from alignwright.core.train_stage import TrainStage
from alignwright.files.data_file import Paths
from alignwright.files.errors import did_you_mean
from alignwright.files.items import RefusalItem

_NAMES = tuple(name for name in mutation_names(table=False, shots=False) if name != "prefill")
"""A reply that was begun is no reply of the model to a conversation that it could learn."""


class Repair(TrainStage):
    """Ask the trained model, and make comparisons of what it did wrong and could do right."""

    changes_model: ClassVar[bool] = False
    makes_preferences: ClassVar[bool] = True
    title: ClassVar[str] = "repair"
    by: Literal["repair"]
    prompts: Annotated[Paths, Reads(RefusalItem, use="trained")] = Field(
        min_length=1, description="files of refusal prompts that training may see, harmless ones and harmful ones"
    )
    ways: tuple[str, ...] = Field(
        default=("direct",),
        min_length=1,
        description="mutations in which the harmful ones are asked; ways that are not named here stay unseen",
    )
    limit: Annotated[Count | None, Effort(400, 2000, 100000)] = Field(
        default=None, description="at most so many prompts (from effort)"
    )
    samples: Annotated[Count | None, Effort(4, 8, 16)] = Field(
        default=None, description="further replies to each prompt, to find a right one among (from effort)"
    )
    temperature: Positive = Field(default=1.0, le=2.0, description="sampling temperature of the further replies")
    max_new_tokens: Annotated[Count | None, Effort(64, 96, 256)] = Field(default=None, description=NEW_TOKENS)
    keep: Share = Field(
        default=1.0,
        description="the share of the replies that pass which is learnt too, each against a sample that fails",
    )
    replay: Share = Field(default=1.0, description="the share of the earlier preferences that is learnt again")

    @field_validator("ways")
    @classmethod
    def _known_ways(cls, ways: tuple[str, ...]) -> tuple[str, ...]:
        for name in (name for way in ways for name in way.split("+")):
            if name not in _NAMES:
                why = "a reply that was begun cannot be learnt from" if name == "prefill" else ""
                raise ValueError(f"there is no mutation {name!r} to learn from; {why or did_you_mean(name, _NAMES)}")
        return ways

    @property
    def learns_from_votes(self) -> bool:
        return self.replay > 0

    @property
    def weights_left(self) -> float:
        return 0.0

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
        rows = [item for file in files if file.knob[0] == "prompts" for item in file.rows]
        for kind, lesson in (("harmless", "refuse"), ("harmful", "answer")):
            if rows and not any(item.kind == kind for item in rows):
                yield (
                    ("prompts",),
                    f"there are no {kind} prompts: a repair without them teaches to {lesson} whatever comes",
                )

    def estimate(self, sizes: Sizes) -> Cost:
        prompts = sizes.files(self, "prompts").at_most(self.limit)
        conversations = prompts.rows * len(self.ways)  # at most: harmless ones are asked plainly alone
        replies = conversations * (1 + resolved(self.samples))  # at most: of what passes the share 'keep' is sampled
        return Cost.of(conversations * 2 * (prompts.prompt + PROMPT), replies * resolved(self.max_new_tokens))
