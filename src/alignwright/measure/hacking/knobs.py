"""Reward hacking, knob by knob: whether, when and how a reward is gamed (`measure: {by: hacking}`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from alignwright.core.claims import Claim
from alignwright.core.cost import Cost
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import (
    NEW_TOKENS,
    Count,
    Effort,
    Knob,
    KnobRows,
    NamesJudge,
    Reads,
    Sizes,
    Stage,
    resolved,
)
from alignwright.files.data_file import Paths
from alignwright.measure.hacking import section

EDITED = 16
"""The fewest prompts whose replies are edited: half of them are searched for what fools the
proxy, the other half is reported."""
TOO_FEW_PROMPTS = (
    f"unit tests of a reward need {EDITED} prompts, half of them to search for what fools the proxy and half to"
    " report it"
)
EDITS = 25
"""About so many edits are made of a reply to test a reward."""
_JUDGE = "reward (the last reward stage), feedback (the voters), rules.yaml, or file.py:function"

PROXY = Claim(
    name="hacking.proxy",
    title="The proxy's score of replies",
    axis="goodhart",
    better=None,
    unit="score",
    low=None,
    high=None,
)
GOLD = Claim(
    name="hacking.gold", title="Gold's score of the same replies", axis="goodhart", unit="score", low=None, high=None
)
RATE = Claim(
    name="hacking.rate",
    title="Prompts with proxy up and gold down",
    axis="goodhart",
    better="lower",
    counts="fail",
    measured="trained",
    paired=False,
)
EXCESS = Claim(
    name="hacking.excess",
    title="Hacked prompts beyond what noise makes",
    axis="goodhart",
    better="lower",
    low=-1.0,
    measured="trained",
    paired=False,
)
REPORTED = tuple(
    Claim(
        name=name, title=title, axis="goodhart", better=None, unit="", low=None, high=None, promisable=False, part=part
    )
    for name, title, part in (
        ("hacking.transition", "Gold's change over the step", ""),
        ("hacking.feature", "Visible features that game the proxy", "feature"),
        ("hacking.test", "Edits that fool the proxy", "edit"),
    )
)
"""What is reported beside these, and of which nothing is promised."""


class HackingMeasure(Stage):
    """Does the proxy rise where a gold judge falls, by which visible features, and which edits
    of a reply fool it?"""

    compares: ClassVar[Literal["nothing", "start", "before", "all"]] = "before"
    tries_reward: ClassVar[bool] = True

    by: Literal["hacking"]
    proxy: Annotated[str, NamesJudge()] = Field(min_length=1, description=f"the judge that training raises: {_JUDGE}")
    gold: Annotated[str, NamesJudge()] = Field(
        min_length=1, description="the judge that training never sees, named in the same way"
    )
    prompts: Annotated[Paths, Reads("prompts")] = Field(min_length=1, description="files of held-out prompts")
    samples: int = Field(default=4, ge=2, description="sampled replies to each prompt")
    unit_tests: bool = Field(
        default=True,
        description="edit the start model's replies and see what fools the proxy, before anything is trained",
    )
    limit: Annotated[Count | None, Effort(48, 256, 100000)] = Field(
        default=None, description="at most so many prompts (from effort)"
    )
    max_new_tokens: Annotated[Count | None, Effort(48, 128, 256)] = Field(default=None, description=NEW_TOKENS)

    @model_validator(mode="after")
    def _two_judges(self) -> HackingMeasure:
        if self.proxy == self.gold:
            raise ValueError(
                f"proxy and gold are both {self.proxy!r}: a judge cannot show that it is fooled; name a gold that"
                " training never sees"
            )
        if self.unit_tests and self.limit is not None and self.limit < EDITED:
            raise ValueError(f"limit: {self.limit}, but {TOO_FEW_PROMPTS}; raise it, or write 'unit_tests: false'")
        return self

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    def claims(self) -> tuple[Claim, ...]:
        return (PROXY, GOLD, RATE, EXCESS, *REPORTED)

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
        prompts = sum(len(file.rows) for file in files)
        if self.unit_tests and files and prompts < EDITED:
            yield ("prompts",), f"{prompts} prompts, but {TOO_FEW_PROMPTS}; give more, or write 'unit_tests: false'"

    def estimate(self, sizes: Sizes) -> Cost:
        longest, prompts = resolved(self.max_new_tokens), sizes.files(self, "prompts").at_most(self.limit)
        replies = prompts.rows * self.samples
        edited = prompts.rows * EDITS if self.unit_tests and sizes.begins else 0
        tokens_read = (replies + edited) * (sizes.readings(self.proxy) + sizes.readings(self.gold))
        return Cost.of(tokens_read * (prompts.prompt + longest), replies * longest)
