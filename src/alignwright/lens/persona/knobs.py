"""A persona vector that looks over training data, knob by knob (`lens: {by: persona}`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from alignwright.core.claims import Claim
from alignwright.core.cost import Cost
from alignwright.core.layer import AnyLayer
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import Count, Effort, Knob, KnobRows, Reads, Sizes, Stage, resolved, rows_under
from alignwright.files.data_file import Paths
from alignwright.files.errors import bad_row_lines
from alignwright.files.training_replies import TrainingReply
from alignwright.lens.persona import section

LEAST = 16
"""Pairs of replies that a direction needs: it is fitted to some, some choose the block, and the others try it."""
TRAIT = r"^[a-z][a-z0-9_]*$"
AREA, GAP = "AUROC", "contrast gaps"
_SHARED = "this reply stands under 'contrast' too: a direction is tried on replies that it was not taken from"


def claims_of(trait: str) -> tuple[Claim, ...]:
    """What is said of this trait: of the direction, of the training data, and of a model that was trained."""
    area = Claim(
        name=f"persona.{trait}.auroc", title=f"A direction for {trait}: held-out area", axis="inside", better=None,
        unit=AREA, paired=False, measured="start",
    )  # fmt: skip
    shift = area.but(
        name=f"persona.{trait}.shift", title=f"How far the training data pushes towards {trait}", unit=GAP, low=None,
        high=None, better="lower",
    )  # fmt: skip
    ranking = area.but(name=f"persona.{trait}.ranking", title=f"Labelled rows told by their push towards {trait}")
    beside = {"promisable": False, "better": None}
    return (
        area,
        area.but(name=f"persona.{trait}.random", title=f"{trait}: random directions, 95th per cent", **beside),
        area.but(name=f"persona.{trait}.shuffled", title=f"{trait}: shuffled labels, 95th per cent", **beside),
        area.but(name=f"persona.{trait}.words", title=f"{trait}: by the words alone", **beside),
        area.but(name=f"persona.{trait}.over_words", title=f"{trait}: beyond the words alone", low=-1.0),
        shift,
        shift.but(
            name=f"persona.{trait}.shift_beside", title=f"The push of other directions ({trait}), 95th per cent",
            **beside,
        ),
        ranking,
        ranking.but(
            name=f"persona.{trait}.ranking_beside", title=f"The same by other directions ({trait}), 95th per cent",
            **beside,
        ),
        ranking.but(name=f"persona.{trait}.ranking_words", title=f"The same by the words alone ({trait})", **beside),
        ranking.but(
            name=f"persona.{trait}.ranking_over_words", title=f"The same beyond the words alone ({trait})", low=-1.0
        ),
        shift.but(
            name=f"persona.{trait}.moved", title=f"How far the trained model's replies moved towards {trait}",
            measured="trained",
        ),
        shift.but(
            name=f"persona.{trait}.moved_beside", title=f"The same along other directions ({trait}), 95th per cent",
            measured="trained", **beside,
        ),
    )  # fmt: skip


class PersonaStage(Stage):
    """Which rows of training data push a model towards a trait, before it is trained on them: along the direction from
    replies without the trait to replies with it, beside random directions and shuffled labels?"""

    seeded: ClassVar[bool] = False
    compares: ClassVar[Literal["nothing", "start", "before", "all"]] = "start"

    by: Literal["persona"]
    trait: str = Field(pattern=TRAIT, max_length=40, description="its name in claims: persona.TRAIT.shift")
    contrast: Annotated[Paths, Reads("pairs")] = Field(
        default=(), description="pairs of replies: chosen shows the trait, rejected does not"
    )
    questions: Annotated[Paths, Reads("prompts")] = Field(
        default=(), description="in place of contrast: prompts that the model answers under both instructions"
    )
    instructions: tuple[str, ...] = Field(
        default=(), description="two system prompts for questions: one that asks for the trait, one that forbids it"
    )
    data: Annotated[Paths, Reads(TrainingReply, use="examined")] = Field(
        min_length=1,
        description="the training data: prompt and reply (or messages), with other (a reply that it is held beside, by"
        " default the model's own) and label (1: known to show the trait)",
    )
    layer: AnyLayer = Field(
        default=None,
        description="the block whose output is read, from 0 (or a part of the depth); by default the best of all on"
        " pairs that are neither fitted to nor tried on",
    )
    limit: Annotated[Annotated[int, Field(ge=LEAST)] | None, Effort(100, 1000, 100000)] = Field(
        default=None, description="at most so many pairs, and rows of data (from effort)"
    )
    max_new_tokens: Annotated[Count | None, Effort(32, 96, 256)] = Field(
        default=None, description="of each reply at most so many tokens are read, and made (from effort)"
    )

    @field_validator("instructions")
    @classmethod
    def _two(cls, instructions: tuple[str, ...]) -> tuple[str, ...]:
        if instructions and (
            len(instructions) != 2 or len(set(instructions)) < 2 or not all(map(str.strip, instructions))
        ):
            raise ValueError("two different texts: the first asks for the trait, the second forbids it")
        return instructions

    @model_validator(mode="after")
    def _one_contrast(self) -> PersonaStage:
        if bool(self.contrast) == bool(self.questions):
            raise ValueError(
                "a direction comes from pairs of replies under 'contrast', or from 'questions' with two 'instructions':"
                " give one of them"
            )
        if bool(self.questions) != bool(self.instructions):
            raise ValueError("'questions' are answered under two 'instructions': give both, or neither")
        return self

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    def claims(self) -> tuple[Claim, ...]:
        return claims_of(self.trait)

    @classmethod
    def unanswered(cls, claim: str, files: Sequence[KnobRows]) -> str | None:
        if claim.endswith(".ranking") and {True, False} - {row.label for row in rows_under(files, "data")}:
            return "no two rows of 'data' have the labels 1 and 0, so nothing says which of them show the trait"
        return None

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
        """Fewer pairs than a direction can be tried on, and rows that it was taken from."""
        for knob, what in (("contrast", "pairs"), ("questions", "questions")):
            rows = rows_under(files, knob)
            if rows and len(rows) < LEAST:
                yield (knob,), f"{len(rows)} {what}: a direction needs at least {LEAST}"
        own = {
            (row.prompt.conversation.last.content, reply.text)
            for row in rows_under(files, "contrast")
            for reply in row.replies
        }
        for file in (file for file in files if file.knob[0] == "data"):
            rows = zip(file.rows, file.numbers, strict=True)
            overlap = [(number, _SHARED) for row, number in rows if (row.dialogue.last.content, row.text) in own]
            yield from ((file.knob, line) for line in bad_row_lines(file.file, overlap))

    def estimate(self, sizes: Sizes) -> Cost:
        limit, longest = resolved(self.limit), resolved(self.max_new_tokens)
        pairs, asked = (sizes.files(self, knob).at_most(limit) for knob in ("contrast", "questions"))
        data = sizes.files(self, "data").at_most(limit)
        read = 2 * (pairs.rows * (pairs.prompt + longest) + 2 * asked.rows * (asked.prompt + longest))
        return Cost.of(read + 3 * data.rows * (data.prompt + longest), (2 * asked.rows + data.rows) * longest)
