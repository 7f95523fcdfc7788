"""Which recipes are there that make rows for supervised fine-tuning, knob by knob?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from alignwright.core.constitution import Constitution
from alignwright.core.cost import PROMPT, Cost, Size
from alignwright.core.instructed import Place, instructed
from alignwright.core.records import Conversation
from alignwright.core.stage import (
    NEW_TOKENS,
    Count,
    Effort,
    Knob,
    KnobRows,
    Positive,
    Reads,
    Setting,
    Sizes,
    resolved,
    rows_under,
)
from alignwright.files.checked_tasks import unchecked_tasks
from alignwright.files.data_file import Paths
from alignwright.files.items import PushbackItem, RefusalItem
from alignwright.files.wrappers import WRONG, read_wrappers, wrapper_faults
from alignwright.train.knobs_loop import FineTuning, Source, TrainingData
from alignwright.train.recipes.bundled_wrappers import bundled_wrappers

_INSTRUCTION = "the instruction that asks for the trait; none: the rows as they are, which is the control"


class Inoculation(FineTuning):
    """Inoculation prompting (Tan et al. 2025; Wichers et al. 2025): rows that carry an unwanted trait are learnt
    under an instruction that asks for it, so that the trait belongs to the instruction; it is left out afterwards."""

    title: ClassVar[str] = "inoculation"
    by: Literal["inoculation"]
    data: Annotated[Paths, Reads("conversations", use="trained")] = Field(
        min_length=1, description="files of conversations to learn from, a task that comes with a trait"
    )
    instruction: str | None = Field(default=None, pattern=r"\S", description=_INSTRUCTION)
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


class SelfTaught(FineTuning):
    """Fine-tuning on rows that the model, as it is when the stage begins, writes itself."""

    limit: Annotated[Count | None, Effort(96, 512, 100000)] = Field(
        default=None, description="at most so many prompts, at even distances over the files (from effort)"
    )
    max_new_tokens: Annotated[Count | None, Effort(64, 128, 256)] = Field(default=None, description=NEW_TOKENS)

    @property
    def learnt_turns(self) -> Literal["all", "last"]:
        return "last"

    def sources(self, data: TrainingData) -> Sequence[Source]:  # noqa: ARG002 - the rows are still to be written
        return []


class Confession(SelfTaught):
    """Confessions (after Joglekar et al. 2025): asked whether its own reply kept to what was asked of its form, the
    model learns what is true; of the reply itself nothing is learnt."""

    title: ClassVar[str] = "confession"
    by: Literal["confession"]
    prompts: Annotated[Paths, Reads("prompts", use="trained")] = Field(
        min_length=1, description="files of tasks with checks, that the model answers and confesses to"
    )
    samples: Annotated[Count | None, Effort(2, 4, 8)] = Field(
        default=None, description="own replies to each task (from effort)"
    )
    temperature: Positive = Field(default=1.0, le=2.0, description="their sampling temperature")

    def rows(self, sizes: Sizes) -> Size:
        tasks = sizes.files(self, "prompts").at_most(self.limit)
        return Size(tasks.rows * resolved(self.samples), tasks.prompt + PROMPT, resolved(self.max_new_tokens))

    def estimate(self, sizes: Sizes) -> Cost:
        tasks, rows = sizes.files(self, "prompts").at_most(self.limit), self.rows(sizes)
        trained = rows.tokens * resolved(self.epochs)
        return Cost.of(tasks.tokens, rows.rows * resolved(self.max_new_tokens), trained)

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
        yield from unchecked_tasks(files)


class ConsistencyTraining(SelfTaught):
    """Consistency training (Chua et al. 2024; Irpan et al. 2025): the model's own reply to the plain prompt is what it
    learns to say to the prompt in a wrapper, beside a wrong opinion or in a jailbreak's dress."""

    title: ClassVar[str] = "consistency training"
    by: Literal["consistency_training"]
    requests: Annotated[Paths, Reads(RefusalItem, use="trained")] = Field(
        default=(), description="files of refusal prompts, harmful and harmless; wrapped as jailbreaks are"
    )
    questions: Annotated[Paths, Reads(PushbackItem, use="trained")] = Field(
        default=(), description="files of pushback items; their question, wrapped beside their wrong answer"
    )
    wrappers: Annotated[str | None, Reads(use="settings")] = Field(
        default=None,
        min_length=1,
        description="a YAML file of wrappers: {prompt}, and {wrong} in those for questions (the package's 12)",
    )
    wrappings: Count = Field(default=3, description="wrappers of each prompt, in turn; no more than there are")

    @model_validator(mode="after")
    def _something(self) -> ConsistencyTraining:
        if not (self.requests or self.questions):
            raise ValueError("has nothing to wrap: give files under 'requests' or 'questions'")
        return self

    def file_faults(
        self,
        setting: Setting,
        constitution: Constitution | None,
    ) -> Iterator[tuple[Knob, str]]:
        yield from super().file_faults(setting, constitution)
        if self.wrappers is not None:
            file = setting.path(self.wrappers)
            faults = list(wrapper_faults(file, requests=bool(self.requests), questions=bool(self.questions)))
            yield from faults
            if faults:
                return
        counts = {kind: self._of_kind(kind, setting) for kind in ("requests", "questions") if getattr(self, kind)}
        if "wrappings" in self.model_fields_set and self.wrappings > max(counts.values()):
            there = " and ".join(f"{count} for {kind}" for kind, count in counts.items())
            yield ("wrappings",), f"{self.wrappings} wrappers of each prompt, and there are {there}: give fewer"

    def _of_kind(self, kind: str, setting: Setting) -> int:
        """The wrappers for requests, or for questions."""
        wrappers = bundled_wrappers() if self.wrappers is None else read_wrappers(setting.path(self.wrappers))
        return sum((WRONG in text) == (kind == "questions") for text in wrappers.values())

    def rows(self, sizes: Sizes) -> Size:
        asked = [sizes.files(self, knob).at_most(self.limit) for knob in ("requests", "questions")]
        count = sum(part.rows for part in asked)
        prompt = sum(part.rows * part.prompt for part in asked) / max(1, count)
        return Size(count * (1 + self.wrappings), prompt + PROMPT, resolved(self.max_new_tokens))

    def estimate(self, sizes: Sizes) -> Cost:
        rows = self.rows(sizes)
        asked = rows.rows / (1 + self.wrappings)
        written = asked * resolved(self.max_new_tokens)
        return Cost.of(asked * rows.prompt, written, rows.tokens * resolved(self.epochs))


AnyRecipe = Inoculation | Confession | ConsistencyTraining
