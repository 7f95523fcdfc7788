"""What is asked to find out whether a proxy was over-optimised, and to stop before it is?

- `GoodhartMeasure`: the knobs of `measure: {by: goodhart}`
- `GoodhartStop`: the knobs of `stop: {by: goodhart}` in a training stage

Proxy and gold are each named as the `reward` measure names its judge. Gold is a judge that training
never sees.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from alignwright.core.records import Record
from alignwright.spec.knobs import NEW_TOKENS, Count, Paths

_NAMES = "reward (the last reward stage), feedback (the voters), rules.yaml, file.py:function, or ./runs/NAME"

WATCHED = 4
"""The fewest held-out prompts by which it can be told that gold has turned; 16 are better."""


class GoodhartMeasure(Record):
    """Does gold still rise with the proxy, how far would it, and how much of the proxy's gain is
    value, here and elsewhere?"""

    by: Literal["goodhart"]
    proxy: str = Field(min_length=1, description=f"the judge that was optimised: {_NAMES}")
    gold: str = Field(
        min_length=1, description="the judge that is trusted, and that training never sees; named as the proxy is"
    )
    prompts: Paths = Field(min_length=1, description="files of held-out prompts")
    shifted: Paths = Field(
        default=(), description="files of prompts of another kind, on which the gain should hold too"
    )
    best_of: tuple[Count, ...] = Field(
        default=(1, 2, 4, 8, 16),
        min_length=1,
        description="the n of best-of-n; gold is asked about as many replies to each prompt as the largest",
    )
    samples: int | None = Field(
        default=None,
        ge=2,
        description=(
            "replies to each prompt, all seen by the proxy; those that gold does not see stretch its labels (from"
            " effort)"
        ),
    )
    limit: Count | None = Field(default=None, description="at most so many prompts of each kind (from effort)")
    max_new_tokens: Count | None = Field(default=None, description=NEW_TOKENS)

    @model_validator(mode="after")
    def _enough(self) -> GoodhartMeasure:
        if self.proxy == self.gold:
            raise ValueError(
                f"proxy and gold are both {self.gold!r}: a judge cannot show that it was gamed; name a gold that"
                " training never sees"
            )
        if list(self.best_of) != sorted(set(self.best_of)):
            raise ValueError(
                f"'best_of' is a rising list of n without repetition, such as [1, 2, 4, 8], seen {list(self.best_of)}"
            )
        if self.best_of[-1] < 2:
            raise ValueError("'best_of: [1]' chooses nothing; end it with 2 or more")
        if self.samples is not None and self.best_of[-1] > self.samples:
            raise ValueError(
                f"the best of {self.best_of[-1]} needs as many replies, and 'samples' is {self.samples}; raise it, or"
                " shorten best_of"
            )
        return self


class GoodhartStop(Record):
    """Stop when gold no longer rises with the proxy, and keep the checkpoint where gold was highest."""

    by: Literal["goodhart"]
    gold: str = Field(
        min_length=1,
        description=(
            "the judge that is trusted, and that this stage does not raise: rules.yaml, file.py:function, reward"
        ),
    )
    prompts: Paths = Field(min_length=1, description="files of held-out prompts")
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
