"""Which recipes are there that make rows for supervised fine-tuning, knob by knob?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from alignwright.core.instructed import Place, instructed
from alignwright.core.records import Conversation
from alignwright.core.stage import Count, Knob, KnobRows, Reads, Setting, rows_under
from alignwright.files.data_file import Paths
from alignwright.train.knobs_loop import FineTuning, Source, TrainingData

_INSTRUCTION = "the instruction that asks for the trait; none: the rows as they are, which is the control"


class Inoculation(FineTuning):
    """Inoculation prompting (Tan et al. 2025; Wichers et al. 2025): rows that carry an unwanted trait are learnt
    under an instruction that asks for it, so that the trait belongs to the instruction; it is left out afterwards."""

    title: ClassVar[str] = "inoculation"
    by: Literal["inoculation"]
    data: Annotated[Paths, Reads("conversations", use="trained")] = Field(
        min_length=1, description="files of conversations to learn from, a task that comes with a trait"
    )
    instruction: str | None = Field(default=None, min_length=1, description=_INSTRUCTION)
    place: Place = Field(
        default="system",
        description="where it stands: in the system message, or before what the user says first",
    )
    limit: Count | None = Field(
        default=None, description="at most so many rows of the files, at even distances over all of them (all)"
    )

    def learnt(self, conversation: Conversation) -> Conversation:
        return conversation

    def sources(self, data: TrainingData) -> Sequence[Source]:
        return [self._inoculated(row) for row in dict.fromkeys(data.conversations(self.data, self.limit))]

    def _inoculated(self, row: Conversation) -> Conversation:
        return row if self.instruction is None else instructed(row, self.instruction, self.place)

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        if "place" in self.model_fields_set and self.instruction is None:
            yield ("place",), "has no effect without 'instruction': give one, or leave 'place' out"
        yield from super().faults(setting)

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
        """Rows that say the instruction themselves: it would stand there twice."""
        rows: list[Conversation] = rows_under(files, "data")
        said = self.instruction or ""
        if said and any(said in message.content for row in rows for message in row.messages):
            yield ("instruction",), "stands in rows of the data already; give the rows without it"


AnyRecipe = Inoculation
