"""What is asked to find out whether a proxy was over-optimised, and to stop before it is?

- `GoodhartMeasure`: the knobs of `measure: {by: goodhart}`
- `GoodhartStop`: the knobs of `stop: {by: goodhart}` in a training stage

Proxy and gold are each named as the `reward` measure names its judge. Gold is a judge that training never sees.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from alignwright.core.records import Record
from alignwright.spec.knobs import NEW_TOKENS, Count, Paths

_NAMES = "reward (the last reward stage), feedback (the voters), rules.yaml, or file.py:function"


class GoodhartMeasure(Record):
    """Does gold still rise with the proxy, how far would it, and how much of the proxy's gain is value, here and elsewhere?"""

    by: Literal["goodhart"]
    proxy: str = Field(min_length=1, description=f"the judge that was optimised: {_NAMES}")
    gold: str = Field(min_length=1, description="the judge that is trusted, and that training never sees; named as the proxy is")
    prompts: Paths = Field(min_length=1, description="files of held-out prompts")
    shifted: Paths = Field(default=(), description="files of prompts of another kind, on which the gain should hold too")
    best_of: tuple[Count, ...] = Field(default=(1, 2, 4, 8, 16), min_length=1, description="the n of best-of-n, drawn from the start model")
    samples: int | None = Field(default=None, ge=2, description="sampled replies to each prompt (from effort)")
    labels: int | None = Field(default=None, ge=2, description="how many of them gold is asked about; predictions stretch these (none: all)")
    limit: Count | None = Field(default=None, description="at most so many prompts of each kind (from effort)")
    max_new_tokens: Count | None = Field(default=None, description=NEW_TOKENS)

    @model_validator(mode="after")
    def _enough(self) -> GoodhartMeasure:
        if self.proxy == self.gold:
            raise ValueError(f"proxy and gold are both {self.gold!r}: a judge cannot show that it was gamed; name a gold that training never sees")
        if list(self.best_of) != sorted(set(self.best_of)):
            raise ValueError(f"'best_of' is a rising list of n without repetition, such as [1, 2, 4, 8], seen {list(self.best_of)}")
        if self.samples is not None and self.labels is not None and self.labels > self.samples:
            raise ValueError(f"'labels: {self.labels}' asks gold about more replies than 'samples: {self.samples}' draws")
        scored = self.labels or self.samples
        if scored is not None and self.best_of[-1] > scored:
            raise ValueError(f"the best of {self.best_of[-1]} needs as many replies with gold; there are {scored}: raise samples, or shorten best_of")
        return self


class GoodhartStop(Record):
    """Stop when gold no longer rises with the proxy, and keep the checkpoint where gold was highest."""

    by: Literal["goodhart"]
    gold: str = Field(min_length=1, description="the judge that is trusted and that this stage does not train on: rules.yaml, or file.py:function")
    prompts: Paths = Field(min_length=1, description="files of held-out prompts")
    every: Count = Field(default=5, description="rounds between looks")
    samples: int = Field(default=4, ge=2, description="fresh replies to each prompt at each look")
    limit: Count = Field(default=16, description="at most so many prompts")
    alpha: float = Field(default=0.05, gt=0.0, lt=0.5, description="the chance that the stop is ever a false one")
