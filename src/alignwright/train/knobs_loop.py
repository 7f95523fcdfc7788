"""What do all ways of training share?

The knobs of the one optimiser loop, and the words for knobs that several methods have.

Left out on purpose: knobs with one right answer (AdamW, its betas, warm-up and cosine, LoRA
targets, loss mask, padding side).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, Protocol

from pydantic import Field, model_validator

from alignwright.core.claims import Claim
from alignwright.core.constitution import Constitution
from alignwright.core.cost import REPLY, Cost, Size
from alignwright.core.records import Conversation, Labelled, Preference, Prompt
from alignwright.core.stage import (
    Count,
    Effort,
    Knob,
    KnobRows,
    NamesJudge,
    Positive,
    Reads,
    Setting,
    Sizes,
    Stage,
    resolved,
)
from alignwright.core.train_stage import TrainStage
from alignwright.files.data_file import Paths
from alignwright.files.direction_header import direction_fault

Unit = Annotated[float, Field(gt=0.0, le=1.0)]
LabelSmoothing = Annotated[float, Field(ge=0.0, lt=0.5)]
STOP = "{by: goodhart, ...}: stop where a held-out gold judge turns, and keep its highest point; none: go on to the end"
BETA = "how firmly the start model is held to: larger moves less"
NO_PREFERENCES = "has no preferences to learn from: add feedback (pairs need {by: written}), or intent.people"
Source = Preference | Labelled | Conversation | Prompt | str
"""What a row came from: a preference, a reply labelled by itself, a conversation to learn from,
a prompt to answer, or plain text."""
_RANK = 100
"""An adapter has at most about rank / 100 of the model's weights (of SmolLM2's 135 million it
has rank / 440)."""
WATCHED = 4
"""The fewest held-out prompts by which it can be told that gold has turned; 16 are better."""


class TrainingData(Protocol):
    """What a stage may ask for to learn from. In a job all of it is there; before a run what no voter
    and no model has still to make."""

    def texts(self, files: Sequence[str], limit: int | None) -> list[str]: ...

    def conversations(self, files: Sequence[str], limit: int | None) -> list[Conversation]: ...

    def prompts(self) -> list[Prompt]:
        """The prompts of `intent`, to be answered."""
        ...

    def preferences(self, *, required: bool = True) -> list[Preference]:
        """What votes were pooled to; there must be some, where they are `required`."""
        ...

    def labelled(self) -> list[Labelled]:
        """Replies that are labelled by themselves."""
        ...

    def chosen(self) -> list[Conversation]:
        """Each prompt with each preferred reply on which no vote was lost."""
        ...

    def revisions(self) -> list[Conversation]:
        """Those of them that a voter made itself."""
        ...


class Training(TrainStage):
    """Knobs of the optimiser loop, the same for every method."""

    epochs: Annotated[Count | None, Effort(1, 2, 2)] = Field(
        default=None, description="passes over the data, or over the prompts (from effort)"
    )
    lr: Positive = Field(default=1e-4, le=0.1, description="peak learning rate")
    rank: Annotated[int | None, Effort(16, 32, 64)] = Field(
        default=None,
        ge=0,
        description="rank of the LoRA adapter that all stages continue; 0 trains all weights (from effort)",
    )
    batch_tokens: Annotated[int | None, Effort(1024, 4096, 16384)] = Field(
        default=None, ge=64, description="tokens in an optimiser step (from effort)"
    )
    max_tokens: Annotated[int | None, Effort(512, 1024, 2048)] = Field(
        default=None, ge=16, description="the longest row in tokens; longer rows are left out and counted (from effort)"
    )
    checkpoint_every: Count = Field(
        default=20, description="steps between the checkpoints from which an interrupted run goes on"
    )

    def sources(self, data: TrainingData) -> Sequence[Source]:
        """What it learns from: preferences, where a method does not say otherwise."""
        return data.preferences()

    @property
    def weights_left(self) -> float:
        return 1.0 if self.rank == 0 else min(1.0, (self.rank or _RANK) / _RANK)

    def rows(self, sizes: Sizes) -> Size:
        """The rows of one pass."""
        rows = sizes.training_rows(self)
        return self.voted(sizes) if rows is None else rows

    def voted(self, sizes: Sizes) -> Size:
        """The rows of preferences that are still to be voted on: the written pairs stand for them."""
        pairs, prompts = sizes.pairs, sizes.prompts
        return pairs if pairs.rows else Size(prompts.rows, prompts.prompt, 2 * REPLY)

    def estimate(self, sizes: Sizes) -> Cost:
        return Cost.of(train=self.rows(sizes).tokens * resolved(self.epochs))

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        first = next(((loc, stage) for loc, stage in setting.before if _adapts(stage)), None)
        if first is None or not self.changes_model or self.rank is None:
            return
        loc, stage = first
        rank = adapter_rank(stage, setting)
        if self.rank != rank:
            yield (
                ("rank",),
                (
                    f"{self.rank}, but this stage continues the adapter of {loc[0]}.{loc[1]}, whose rank is {rank};"
                    " leave it out here"
                ),
            )


class FineTuning(Training):
    """Supervised fine-tuning on conversations, wherever they come from."""

    epochs: Annotated[Count | None, Effort(1, 2, 3)] = Field(
        default=None, description="passes over the data (from effort)"
    )
    lr: Positive = Field(default=2e-4, le=0.1, description="peak learning rate")
    prevent: Annotated[str | None, Reads(use="settings")] = Field(
        default=None,
        min_length=1,
        description="preventative steering: a safetensors file with the direction of an unwanted trait, as persona and"
        " steer keep them, which is added while it is trained and left out afterwards",
    )

    def file_faults(
        self,
        setting: Setting,
        constitution: Constitution | None,
    ) -> Iterator[tuple[Knob, str]]:
        """A direction that cannot be read, or is of another model."""
        yield from super().file_faults(setting, constitution)
        if self.prevent is not None and (why := direction_fault(setting.path(self.prevent), None, setting.model)):
            yield ("prevent",), why

    @property
    def learnt_turns(self) -> Literal["all", "last"]:
        """Which of a conversation's assistant turns are learnt."""
        return "all"


def _adapts(stage: Stage) -> bool:
    return isinstance(stage, Training) and stage.changes_model


def adapter_rank(stage: Stage, setting: Setting) -> int:
    """The rank of the adapter that a stage trains: that of the first stage which has one."""
    first = next((before for _, before in setting.before if _adapts(before)), stage)
    assert isinstance(first, Training)
    return first.fill(setting.effort)["rank"] if first.rank is None else first.rank


STOPPED = Claim(
    name="training.stopped",
    title="Stopped where gold turned; the step that was kept",
    axis="training",
    better=None,
    unit="",
    high=None,
    promisable=False,
)


class GoodhartStop(Stage):
    """Stop when gold no longer rises with the proxy, and keep the checkpoint where gold was highest."""

    by: Literal["goodhart"]
    gold: Annotated[str, NamesJudge()] = Field(
        min_length=1,
        description=(
            "the judge that is trusted, and that this stage does not raise: rules.yaml, file.py:function, reward"
        ),
    )
    prompts: Annotated[Paths, Reads("prompts", use="watched")] = Field(
        min_length=1, description="files of held-out prompts"
    )
    every: Count = Field(default=5, description="optimiser steps between looks")
    samples: int = Field(default=4, ge=2, description="fresh replies to each prompt at each look")
    limit: int = Field(default=16, ge=WATCHED, description="at most so many prompts")
    max_new_tokens: Count = Field(default=64, description="the longest of these replies in tokens")
    alpha: float = Field(default=0.05, gt=0.0, lt=0.5, description="the chance that the stop is ever a false one")

    @model_validator(mode="after")
    def _own_scale(self) -> GoodhartStop:
        if self.gold == "feedback":
            raise ValueError(
                "'gold: feedback' compares siblings with each other, so its mean can neither rise nor fall; name rules"
                " or a reward"
            )
        return self

    def claims(self) -> tuple[Claim, ...]:
        return (STOPPED,)

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
        prompts = sum(len(file.rows) for file in files)
        if files and prompts < WATCHED:
            yield (
                ("prompts",),
                (
                    f"{prompts} prompts, by which nobody could tell that gold has turned: give {WATCHED} at the very"
                    " least, better 16"
                ),
            )

    def looks(self, sizes: Sizes, whole: Cost, steps: int, readings: int) -> Cost:
        """A stage's cost with the looks at it: each writes fresh replies, which the model reads as
        it is and as it began, and the judges (`readings`)."""
        prompts = sizes.files(self, "prompts").at_most(self.limit)
        replies = (1 + steps // self.every) * prompts.rows * self.samples
        read = replies * (prompts.prompt + self.max_new_tokens) * (2 + readings)
        return Cost(whole.read + round(read), whole.write + replies * self.max_new_tokens, whole.train, at_most=True)
