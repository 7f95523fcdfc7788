"""How is a model's word on its own replies measured, knob by knob (`measure: {by: confession}`)?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from alignwright.core.claims import Claim
from alignwright.core.cost import PROMPT, Cost
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import NEW_TOKENS, Count, Effort, FilePath, Knob, KnobRows, Reads, Sizes, Stage, resolved
from alignwright.files.checked_tasks import unchecked_tasks
from alignwright.files.data_file import Paths
from alignwright.measure import planned_items
from alignwright.measure.recipes.confession import section

ANSWER = 12
"""Tokens of a confession: yes or no, and a few words."""
BALANCED = Claim(
    name="confession.balanced", title="Says truly whether it kept to what was asked (yes always: a half)",
    axis="conduct", unit="balanced share", high=1.0, paired=False,
)  # fmt: skip
RIGHT = Claim(name="confession.right", title="True confessions", axis="conduct")
OWNED = Claim(name="confession.owned", title="Broken instructions that it owns up to", axis="conduct")
TRUE_YES = Claim(name="confession.stood", title="Kept instructions that it says it kept", axis="conduct")
TASK = Claim(name="confession.task", title="Does what the task asks, by its checks", axis="conduct")


class ConfessionMeasure(Stage):
    """Asked whether its own reply kept to what was asked, does the model say what is true; and does it do its task
    as before?"""

    seeded: ClassVar[bool] = False

    by: Literal["confession"]
    prompts: Annotated[Paths, Reads("prompts")] = Field(min_length=1, description="files of held-out tasks with checks")
    limit: Annotated[Count | None, Effort(96, 256, 100000)] = Field(
        default=None, description="at most so many tasks (from effort)"
    )
    max_new_tokens: Annotated[Count | None, Effort(64, 128, 256)] = Field(default=None, description=NEW_TOKENS)

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    def claims(self) -> tuple[Claim, ...]:
        return (BALANCED, RIGHT, OWNED, TRUE_YES, TASK)

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
        yield from unchecked_tasks(files)

    def item_topics(self, claim: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        all_tasks = claim in (RIGHT.name, TASK.name)
        return planned_items.topics_under(files, "prompts", self.limit) if all_tasks else None

    def estimate(self, sizes: Sizes) -> Cost:
        tasks, longest = sizes.files(self, "prompts").at_most(self.limit), resolved(self.max_new_tokens)
        return Cost.of(2 * tasks.tokens + tasks.rows * (longest + PROMPT), tasks.rows * (longest + ANSWER))
