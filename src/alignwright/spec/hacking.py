"""What is asked to find out whether, when and how a reward is gamed?"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from alignwright.core.records import Record
from alignwright.spec.knobs import NEW_TOKENS, Count, Paths

EDITED = 16
"""The fewest prompts whose replies are edited: half of them are searched for what fools the
proxy, the other half is reported."""
NEEDED = (
    f"unit tests of a reward need {EDITED} prompts, half of them to search for what fools the proxy and half to"
    " report it"
)
_JUDGE = "reward (the last reward stage), feedback (the voters), rules.yaml, or file.py:function"


class HackingMeasure(Record):
    """Does the proxy rise where a gold judge falls, by which visible features, and which edits
    of a reply fool it?"""

    by: Literal["hacking"]
    proxy: str = Field(min_length=1, description=f"the judge that training raises: {_JUDGE}")
    gold: str = Field(min_length=1, description="the judge that training never sees, named in the same way")
    prompts: Paths = Field(min_length=1, description="files of held-out prompts")
    samples: int = Field(default=4, ge=2, description="sampled replies to each prompt")
    unit_tests: bool = Field(
        default=True,
        description="edit the start model's replies and see what fools the proxy, before anything is trained",
    )
    limit: Count | None = Field(default=None, description="at most so many prompts (from effort)")
    max_new_tokens: Count | None = Field(default=None, description=NEW_TOKENS)

    @model_validator(mode="after")
    def _two_judges(self) -> HackingMeasure:
        if self.proxy == self.gold:
            raise ValueError(
                f"proxy and gold are both {self.proxy!r}: a judge cannot show that it is fooled; name a gold that"
                " training never sees"
            )
        if self.unit_tests and self.limit is not None and self.limit < EDITED:
            raise ValueError(f"limit: {self.limit}, but {NEEDED}; raise it, or write 'unit_tests: false'")
        return self
