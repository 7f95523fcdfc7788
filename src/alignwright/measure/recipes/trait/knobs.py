"""How is a trait measured, without and with an instruction that asks for it (`measure: {by: trait}`)?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from alignwright.core.claims import Claim, with_parts
from alignwright.core.cost import Cost
from alignwright.core.instructed import Place
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import (
    NEW_TOKENS,
    Count,
    Effort,
    FilePath,
    KnobRows,
    NamesJudge,
    Reads,
    Sizes,
    Stage,
    resolved,
)
from alignwright.files.data_file import Paths
from alignwright.measure import planned_items
from alignwright.measure.recipes.trait import section

UNPROMPTED = Claim(name="trait.shown", title="Shows the trait, unasked", axis="conduct", better="lower", counts="fail")
PROMPTED = Claim(
    name="trait.prompted", title="Shows the trait under an instruction", axis="conduct", better=None, counts="fail"
)
TASK = Claim(name="trait.task", title="Does the task, by its checks", axis="conduct")
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


class TraitMeasure(Stage):
    """Does the model show a trait where nobody asks for it, does an instruction bring it out, and does it
    still do its task?"""

    by: Literal["trait"]
    prompts: Annotated[Paths, Reads("prompts")] = Field(
        min_length=1, description="files of held-out prompts; where they have checks, these are the task"
    )
    trait: Annotated[str, NamesJudge()] = Field(
        min_length=1, description="what scores the trait: rules.yaml, file.py:function, reward, or ./runs/NAME"
    )
    threshold: float = Field(default=0.5, description="a reply that scores more than this shows the trait")
    instructions: tuple[str, ...] = Field(
        default=(), description="instructions under which the same prompts are asked again, each a part of its own"
    )
    place: Place = Field(default="system", description="where they stand: in the system message, or before the user")
    limit: Annotated[Count | None, Effort(64, 256, 100000)] = Field(
        default=None, description="at most so many prompts (from effort)"
    )
    max_new_tokens: Annotated[Count | None, Effort(48, 96, 256)] = Field(default=None, description=NEW_TOKENS)

    @field_validator("instructions")
    @classmethod
    def _once_each(cls, instructions: tuple[str, ...]) -> tuple[str, ...]:
        if not all(text.strip() for text in instructions) or len(set(instructions)) < len(instructions):
            raise ValueError("an instruction is a text, and each stands there once")
        return instructions

    @model_validator(mode="after")
    def _tells(self) -> TraitMeasure:
        if self.trait == "feedback":
            raise ValueError(
                "'trait: feedback' compares replies with each other, and here is one; name rules or a reward"
            )
        if "place" in self.model_fields_set and not self.instructions:
            raise ValueError("'place' has no effect without 'instructions'; give some, or leave it out")
        return self

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    def claims(self) -> tuple[Claim, ...]:
        return (UNPROMPTED, *(with_parts(PROMPTED, "instruction") if self.instructions else ()), TASK)

    def part_names(self, whole: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        """The instructions, counted."""
        return [instruction_part(place) for place in range(len(self.instructions))]

    def item_topics(self, claim: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        if claim != UNPROMPTED.name:
            return None
        return planned_items.topics_under(files, "prompts", self.limit)

    @classmethod
    def unanswered(cls, claim: str, files: Sequence[KnobRows]) -> str | None:
        if claim == TASK.name and not any(
            row.checks for file in files for row in file.rows if file.knob[0] == "prompts"
        ):
            return "no prompt of 'prompts' has checks, so nothing says whether its task is done"
        return None

    def estimate(self, sizes: Sizes) -> Cost:
        prompts, longest = sizes.files(self, "prompts").at_most(self.limit), resolved(self.max_new_tokens)
        replies = prompts.rows * (1 + len(self.instructions))
        readings = sizes.readings(self.trait)
        return Cost.of(replies * (prompts.prompt + readings * (prompts.prompt + longest)), replies * longest)


def instruction_part(place: int) -> str:
    """What the instruction at a place is called among the parts of a claim."""
    return _ORDINALS[place] if place < len(_ORDINALS) else f"number_{place + 1}"
