"""How can a model learn from its own samples, which a judge scores?

All methods share how samples are drawn (`Sampling`). Here are those that choose among samples or
learn from pairs of them; policy gradients are in `knobs_policy_gradient`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from alignwright.core.cost import Cost
from alignwright.core.stage import (
    NEW_TOKENS,
    Count,
    Effort,
    IntentPart,
    Knob,
    NamesJudge,
    Positive,
    Setting,
    Sizes,
    resolved,
)
from alignwright.train.knobs_loop import BETA, STOP, GoodhartStop, Source, Training, TrainingData

SPPO_PASSES = 4
"""Passes over a round's pairs."""
_QUANTILE = (
    "keep a draw from this best share of a prompt's replies instead of the best one (quantilizer; Taylor 2016); none:"
    " the best"
)
_REWARD = (
    "what is to rise: reward (the reward stage before this one), feedback (the spec's voters), rules.yaml,"
    " file.py:function, or ./runs/NAME"
)


class Sampling(Training):
    """How the model's own replies are drawn and judged."""

    intent: ClassVar[tuple[IntentPart, ...]] = ("prompts",)

    epochs: Annotated[Count | None, Effort(1, 2, 4)] = Field(
        default=None, description="passes over the prompts (from effort)"
    )

    reward: Annotated[str, NamesJudge()] = Field(default="reward", min_length=1, description=_REWARD)
    prompts: Annotated[Count | None, Effort(4, 16, 64)] = Field(
        default=None, description="prompts answered in a rollout (from effort)"
    )
    samples: Annotated[Count | None, Effort(4, 4, 8)] = Field(
        default=None, description="replies to each prompt (from effort)"
    )
    max_new_tokens: Annotated[Count | None, Effort(48, 128, 256)] = Field(default=None, description=NEW_TOKENS)
    temperature: Positive = Field(default=1.0, le=2.0, description="sampling temperature")
    unfinished: float | None = Field(
        default=None, description="the score of a reply that was cut at max_new_tokens; none: as it is judged"
    )
    stop: GoodhartStop | None = Field(default=None, description=STOP)

    compares_replies: ClassVar[bool] = False
    """Whether the replies to one prompt are compared with each other."""

    def sources(self, data: TrainingData) -> Sequence[Source]:
        return data.prompts()

    def estimate(self, sizes: Sizes) -> Cost:
        """A rollout's replies are written once, read by judges that are models and by the
        reference, and trained on once a pass."""
        longest, prompts = resolved(self.max_new_tokens), sizes.prompts.rows * resolved(self.epochs)
        replies = prompts * resolved(self.samples)
        tokens = replies * longest + prompts * sizes.prompts.prompt
        whole = Cost.of(tokens * self._reads(sizes), replies * longest, self._trained_tokens(tokens))
        return whole if self.stop is None else self._with_looks(sizes, self.stop, whole)

    def _reads(self, sizes: Sizes) -> int:
        """How often a reply is read."""
        return sizes.readings(self.reward)

    def _trained_tokens(self, tokens: float) -> float:
        """Tokens that are trained on, of those of all rollouts."""
        return tokens

    def _steps(self, rollouts: int, train: int) -> int:
        """Optimiser steps: one for so many tokens of a rollout."""
        return rollouts * math.ceil(train / max(rollouts, 1) / resolved(self.batch_tokens))

    def _with_looks(self, sizes: Sizes, stop: GoodhartStop, whole: Cost) -> Cost:
        rollouts = math.ceil(sizes.prompts.rows * resolved(self.epochs) / resolved(self.prompts))
        readings = sizes.readings(self.reward) + sizes.readings(stop.gold)
        return stop.looks(sizes, whole, self._steps(rollouts, whole.train), readings)

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        yield from super().faults(setting)
        if "prompts" not in setting.intent:
            yield (), "has no prompts to sample replies to: give intent.prompts"
        both = "the replies to one prompt with each other: take at least 2"
        if self.samples == 1 and self.compares_replies:
            yield ("samples",), f"1, but this method compares {both}"
        if self.samples == 1 and self.reward == "feedback":
            yield ("samples",), f"1, but votes compare {both}, or use another reward"
        if self.stop is not None and self.stop.gold == self.reward:
            gold = f"gold is {self.stop.gold!r}, which this stage raises"
            yield ("stop",), f"{gold}: it cannot show that it was gamed; name another judge"


class BestOfN(Sampling):
    """Best-of-n distillation: sample n replies, keep the one judged best, fine-tune on it (RAFT;
    Dong et al. 2023)."""

    compares_replies: ClassVar[bool] = True

    title: ClassVar[str] = "best-of-n"
    by: Literal["best_of_n"]
    samples: Annotated[Count | None, Effort(8, 8, 16)] = Field(
        default=None, description="replies to each prompt (from effort)"
    )
    lr: Positive = Field(default=2e-4, le=0.1, description="peak learning rate")
    quantile: float | None = Field(default=None, gt=0.0, lt=1.0, description=_QUANTILE)

    @model_validator(mode="after")
    def _keeps_one(self) -> BestOfN:
        if self.quantile is not None and self.samples is not None and self.quantile * self.samples < 1 - 1e-9:
            fewer = f"the best {self.quantile:g} of {self.samples} replies is less than one reply"
            raise ValueError(
                f"'quantile': {fewer}; ask for {math.ceil(1 / self.quantile - 1e-9)} samples, or a larger share (1/n"
                " keeps the best)"
            )
        return self

    def _trained_tokens(self, tokens: float) -> float:
        return tokens / resolved(self.samples)

    def _with_looks(self, sizes: Sizes, stop: GoodhartStop, whole: Cost) -> Cost:
        """With replies of the start model, by which it finds how many to choose from."""
        cost = super()._with_looks(sizes, stop, whole)
        if self.quantile is not None:
            return cost
        longest, prompts = resolved(self.max_new_tokens), sizes.files(stop, "prompts").at_most(stop.limit)
        replies = prompts.rows * max(resolved(self.samples), stop.samples)
        readings = sizes.readings(self.reward) + sizes.readings(stop.gold)
        hedge = Cost.of(replies * (prompts.prompt + longest) * readings, replies * longest)
        return Cost(cost.read + hedge.read, cost.write + hedge.write, cost.train, at_most=True)

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        yield from super().faults(setting)
        if self.quantile is not None and self.samples is None:
            samples = self.fill(setting.effort)["samples"]
            if self.quantile * samples < 1 - 1e-9:
                yield (
                    ("quantile",),
                    (
                        f"{self.quantile:g} of the {samples} replies of effort {setting.effort} is less than one: give"
                        " samples, too"
                    ),
                )


class OnlineDpo(Sampling):
    """DPO on pairs of the model's own fresh samples (Guo et al. 2024): the best against the
    worst by the judge."""

    compares_replies: ClassVar[bool] = True

    title: ClassVar[str] = "online DPO"
    by: Literal["online_dpo"]
    beta: Positive = Field(default=0.1, le=10.0, description=BETA)


class Sppo(Sampling):
    """Self-play preference optimisation (Wu et al. 2024), towards the Nash equilibrium of the
    judge's preferences."""

    compares_replies: ClassVar[bool] = True

    title: ClassVar[str] = "SPPO"
    by: Literal["sppo"]
    beta: Positive = Field(
        default=0.1, le=10.0, description="how small a step each round takes: 1/eta, for win rates around one half"
    )

    def _trained_tokens(self, tokens: float) -> float:
        return tokens * SPPO_PASSES


OnlineStage = OnlineDpo | Sppo
