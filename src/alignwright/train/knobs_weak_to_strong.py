"""How does a weak model teach a strong one what is right, knob by knob (`train: {by: weak_to_strong}`)?

It is a kind of `train` and not of `oversee`, because it trains: three reward models with the one loss
and loop of all of them. The sections do not import one another, and a weak label that went through a
file from one to the other would leave the split into teacher's, student's and held-out prompts to
two stages that cannot see each other's. What it leaves is a reward model like any other, so that a
policy can be trained on the student.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from alignwright.core.claims import Claim
from alignwright.core.cost import Cost
from alignwright.core.records import Share
from alignwright.core.stage import Count, Knob, NamesModel, Positive, Setting, Sizes, resolved
from alignwright.train.knobs_loop import NO_PREFERENCES, Training

WEAK = Claim(
    name="weak_to_strong.weak", title="Weak teacher right on held-out pairs", axis="feedback", better=None,
    measured="once", promisable=False,
)  # fmt: skip
STUDENT = Claim(
    name="weak_to_strong.student", title="Strong student of its labels right", axis="feedback", measured="once"
)
CEILING = WEAK.but(name="weak_to_strong.ceiling", title="Strong model of true labels right")
RECOVERED = Claim(
    name="weak_to_strong.gap_recovered", title="Of the gap from teacher to ceiling recovered", axis="feedback",
    unit="part of the gap", low=None, high=None, measured="once",
)  # fmt: skip
_NO_SERVER = "its weights are trained to label; give a model that is here"


class WeakToStrong(Training):
    """Weak-to-strong generalisation (Burns et al. 2023): a weak reward model labels the pairs that a strong one learns
    from; beside both the same strong model on true labels. The student judges; the model itself stays as it is."""

    changes_model: ClassVar[bool] = False
    makes_reward: ClassVar[bool] = True

    title: ClassVar[str] = "weak to strong"
    by: Literal["weak_to_strong"]
    lr: Positive = Field(default=3e-4, le=0.1, description="peak learning rate of all three")
    weak: Annotated[str | None, NamesModel(no_server=_NO_SERVER)] = Field(
        default=None, min_length=1, description="the weak model; none: the model's own first blocks"
    )
    blocks: Count | None = Field(default=None, description="so many of them (a quarter)")
    confidence: Share = Field(
        default=0.5, description="how much of a label is the student's own certainty in the end; 0 only imitates"
    )
    warmup: Share = Field(default=0.2, description="part of the steps over which it rises to that")
    labels: Literal["soft", "hard"] = Field(
        default="soft", description="soft: the teacher's probability is the label; hard: its winner is certain"
    )
    heldout: float = Field(
        default=0.3, gt=0.0, lt=1.0, description="share of prompts kept apart, on which all three are tried"
    )

    @model_validator(mode="after")
    def _one_teacher(self) -> WeakToStrong:
        if self.weak is not None and self.blocks is not None:
            raise ValueError("'blocks' cuts the model itself, and 'weak' names another: give one of them")
        if self.confidence == 0 and "warmup" in self.model_fields_set:
            raise ValueError("'warmup' has no effect with 'confidence: 0'; leave it out")
        return self

    @property
    def learns_from_votes(self) -> bool:
        return True

    @property
    def weights_left(self) -> float:
        return super().weights_left * 3

    def claims(self) -> tuple[Claim, ...]:
        return (WEAK, STUDENT, CEILING, RECOVERED)

    def estimate(self, sizes: Sizes) -> Cost:
        tokens = self.rows(sizes).tokens
        return Cost.of(2 * tokens * self.heldout, train=1.5 * tokens * (1 - self.heldout) * resolved(self.epochs))

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        if not setting.preferences:
            yield (), NO_PREFERENCES
