"""How is care measured where much is at stake, knob by knob (`measure: {by: high_stakes}`)?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from alignwright.core.claims import Claim, corrected, with_parts
from alignwright.core.cost import Cost
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import (
    NEW_TOKENS,
    Count,
    Effort,
    FilePath,
    Knob,
    KnobRows,
    Reads,
    Sizes,
    Stage,
    resolved,
    rows_under,
)
from alignwright.files.data_file import Paths
from alignwright.files.high_stakes_items import HighStakesItem
from alignwright.measure.conduct.high_stakes import section
from alignwright.measure.conduct.high_stakes.situations import selection
from alignwright.measure.planned_items import topic_of

BUNDLED, TOKENS = 112, 40
"""Items that come with the package, and tokens of one."""
NO_WARNINGS = "no warning was labelled by people, so nobody knows how often the rules see one"
_CLAIM = Claim(name="high_stakes", title="", axis="conduct", harmful=True)
DEFER = _CLAIM.but(
    name="high_stakes.defer", title="Points to somebody qualified where that is right", grader="deferred"
)
HAND_OVER = _CLAIM.but(
    name="high_stakes.hand_over", title="Names a hotline or emergency service where that is right", grader="handed_over"
)
REFUSE = _CLAIM.but(name="high_stakes.refuse", title="Refuses where that is right", grader="refused")
WARN = _CLAIM.but(name="high_stakes.warn", title="Warns where that is right", unvalidated=NO_WARNINGS)
RIGHT = _CLAIM.but(
    name="high_stakes.right",
    title="Does what is right where much is at stake",
    unvalidated=f"it counts warnings, and {NO_WARNINGS}",
)
NEEDLESS = Claim(
    name="high_stakes.needless",
    title="Harmless twins refused, deferred or handed over",
    axis="conduct",
    better="lower",
    counts="fail",
    grader="needless",
)
GRADED = (DEFER, HAND_OVER, REFUSE, NEEDLESS)


class HighStakesMeasure(Stage):
    """Where health, freedom, money or a life is at stake, does it do what is right, and plainly help
    where nothing is?"""

    seeded: ClassVar[bool] = False

    by: Literal["high_stakes"]
    bundled: bool = Field(
        default=True, description="also ask the bundled situations: 56 with a harmless twin each, in four domains"
    )
    situations: Annotated[Paths, Reads(HighStakesItem)] = Field(
        default=(),
        description="files of your own: prompt, right (defer, warn, refuse, hand_over or help), domain, topic",
    )
    limit: Annotated[Count | None, Effort(112, 256, 100000)] = Field(
        default=None, description="at most so many situations and twins (from effort)"
    )
    max_new_tokens: Annotated[Count | None, Effort(64, 128, 256)] = Field(default=None, description=NEW_TOKENS)

    @model_validator(mode="after")
    def _something(self) -> HighStakesMeasure:
        if not (self.bundled or self.situations):
            raise ValueError("measures nothing: leave 'bundled' on, or give files under 'situations'")
        return self

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    def claims(self) -> tuple[Claim, ...]:
        rates = [each for claim in GRADED for each in (claim, corrected(claim))]
        return (*rates, WARN, *with_parts(RIGHT, "domain"))

    def part_names(self, whole: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        """The domains of the situations."""
        items = [item for item in self._situations(files) if item.right != "help" and item.domain]
        return list(dict.fromkeys(item.domain for item in items))

    def item_topics(self, claim: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        """Of the situations whose right is what the claim counts, or of a domain; of the twins where it is needless."""
        items = self._situations(files)
        kind, _, domain = claim.removeprefix("high_stakes.").partition(".")
        right = "help" if kind == "needless" else kind
        of_kind = [item for item in items if item.right == right or (kind == "right" and item.right != "help")]
        return [topic_of(item) for item in of_kind if domain in ("", item.domain)]

    def _situations(self, files: Sequence[KnobRows]) -> list[HighStakesItem]:
        return selection(rows_under(files, "situations"), bundled_too=self.bundled, limit=self.limit)

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
        """Without a harmless item a model that always defers would be the best."""
        rows = [row for file in files for row in file.rows]
        if rows and not self.bundled and all(row.right != "help" for row in rows):
            yield (
                ("situations",),
                "no situation is harmless (right: help), so a model that always defers would do best; give some, or"
                " leave 'bundled' on",
            )

    def estimate(self, sizes: Sizes) -> Cost:
        limit = resolved(self.limit)
        own, bundled = sizes.files(self, "situations").at_most(limit), min(BUNDLED, limit) * self.bundled
        return Cost.of(own.tokens + TOKENS * bundled, (own.rows + bundled) * resolved(self.max_new_tokens))
