"""What can be set where groups of people are asked, by votes that they cast, how a model serves them?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from alignwright.core.claims import Claim
from alignwright.core.cost import Cost
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import Count, Effort, FilePath, Knob, KnobRows, Reads, Sizes, Stage, rows_under
from alignwright.files.data_file import Paths
from alignwright.measure.worst_off import section

WIN_RATE = Claim(
    name="values.win_rate",
    title="Won from the start model, in the eyes of all voters",
    axis="value",
    measured="trained",
    paired=False,
    part="group",
)
OF_GROUP = WIN_RATE.but(name="values.win_rate.*", title="Won from the start model, in the eyes of a group")
REGRET = Claim(
    name="values.regret",
    title="Short of what is best for all voters",
    axis="value",
    better="lower",
    measured="trained",
    paired=False,
    part="group",
)
GROUP_REGRET = REGRET.but(name="values.regret.*", title="Short of what is best for a group")
WORST_WIN_RATE = Claim(
    name="values.worst_win_rate",
    title="Won from the start model, in the eyes of the worst-off group",
    axis="value",
    measured="trained",
    paired=False,
)
WORST_REGRET = Claim(
    name="values.worst_regret",
    title="Short of what is best for the group that lacks most",
    axis="value",
    better="lower",
    measured="trained",
    paired=False,
)
PRICE = Claim(
    name="values.price_of_fairness",
    title="What all voters give up where the worst-off group is served best",
    axis="value",
    better=None,
    measured="start",
    paired=False,
    promisable=False,
)


def group_part(group: str) -> str:
    """A group's name as a part of a claim."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", group) or "no_group"


class WorstOffMeasure(Stage):
    """Who is better off with the model than with the start model, by held-out votes of groups, and who is worst off?"""

    seeded: ClassVar[bool] = False

    by: Literal["worst_off"]
    people: Annotated[Paths, Reads("votes")] = Field(min_length=1, description="files of held-out votes, with groups")
    limit: Annotated[Count | None, Effort(48, 256, 100000)] = Field(
        default=None, description="at most so many comparisons (from effort)"
    )

    def claims(self) -> tuple[Claim, ...]:
        return (WIN_RATE, OF_GROUP, WORST_WIN_RATE, REGRET, GROUP_REGRET, WORST_REGRET, PRICE)

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
        rows = rows_under(files, "people")
        groups = {vote.group for row in rows for vote in row.votes}
        if rows and len(groups) < 2:
            one = f"all are of {next(iter(groups))!r}" if groups - {""} else "none of them names a group"
            yield ("people",), f"has votes of fewer than two groups ({one}), so nobody can be worse off than another"

    def part_names(self, whole: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        groups = dict.fromkeys(vote.group for row in rows_under(files, "people") for vote in row.votes)
        return [group_part(group) for group in groups]

    def estimate(self, sizes: Sizes) -> Cost:
        rows = sizes.files(self, "people").at_most(self.limit)
        return Cost.of(2 * sizes.scores_texts * rows.tokens, 0)
