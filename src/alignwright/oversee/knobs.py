"""Which protocols of oversight are there, knob by knob? A debate, and a lone consultant, over passages that the judge
may not read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from alignwright.core.claims import Claim
from alignwright.core.cost import Cost
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import (
    NEW_TOKENS,
    Count,
    Effort,
    FilePath,
    Knob,
    KnobRows,
    NamesModel,
    Reads,
    Sizes,
    Stage,
    resolved,
    rows_under,
)
from alignwright.files.data_file import Paths
from alignwright.files.passage_items import PassageItem
from alignwright.job.data import subsample_evenly
from alignwright.oversee import section
from alignwright.oversee.claims import claims_of

Reading = Literal["answers", "letters"]
"""How it is read what a judge holds for right (`judge`)."""
LEAST = 8
_PROMPT, _LETTERS = 120, 8
"""Tokens of what a debater is asked beside the passage, and questions of letters that the judge answers an item."""


class OverPassages(Stage):
    """A judge who may not read the passage answers questions about it, helped by models that may."""

    seeded: ClassVar[bool] = False

    questions: Annotated[Paths, Reads(PassageItem)] = Field(
        min_length=1,
        description="files of passage, question, right, wrong; quote (the sentence that settles it), topic",
    )
    judge: Annotated[str, NamesModel()] = Field(
        default="self",
        min_length=1,
        description="who judges: self (the start model, the same for every stage), a model, or a server",
    )
    reading: Reading = Field(
        default="answers",
        description="how the judge is read: by the likelier of both answers (its weights must be here), or by letters",
    )
    turns: Annotated[Annotated[int, Field(ge=1, le=12)] | None, Effort(2, 3, 3)] = Field(
        default=None, description="arguments of each speaker (from effort)"
    )
    limit: Annotated[Annotated[int, Field(ge=LEAST)] | None, Effort(40, 200, 100000)] = Field(
        default=None, description="at most so many questions (from effort)"
    )
    max_new_tokens: Annotated[Count | None, Effort(48, 96, 160)] = Field(default=None, description=NEW_TOKENS)

    @property
    def protocol(self) -> str:
        """What its claims begin with."""
        return str(getattr(self, "by", ""))

    def claims(self) -> tuple[Claim, ...]:
        return claims_of(self.protocol)

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
        rows = rows_under(files, "questions")
        if 0 < len(rows) < LEAST:
            yield ("questions",), f"{len(rows)} questions: give at least {LEAST}"

    def item_topics(self, claim: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        if claim.endswith((".gap", ".quotes", ".deceived", ".quoted")):
            return None
        rows: list[PassageItem] = subsample_evenly(rows_under(files, "questions"), self.limit)
        return [row.topic or row.id for row in rows] or None

    def arguments_of(self, speakers: int, sizes: Sizes) -> Cost:
        """What so many speakers write, and the judge reads."""
        own, turns, most = (
            sizes.files(self, "questions").at_most(resolved(self.limit)),
            resolved(self.turns),
            resolved(self.max_new_tokens),
        )
        length = turns * speakers * most
        reads = turns * speakers * (own.tokens + own.rows * (_PROMPT + length / 2))
        readings = _LETTERS * own.rows * (_PROMPT + length / 2) + 2 * own.tokens
        return Cost.of(reads + readings, turns * speakers * own.rows * most)


class DebateStage(OverPassages):
    """Two speakers, one for each answer, read the passage and argue; the judge reads what they said (Irving, Christiano
    and Amodei 2018; Khan et al. 2024)."""

    by: Literal["debate"]
    order: Literal["simultaneous", "turns"] = Field(
        default="simultaneous", description="whether both write at once, or the second reads the first's argument"
    )
    best_of: Annotated[int, Field(ge=1, le=32)] = Field(
        default=1, description="of so many arguments drawn the judge's favourite for the speaker's answer is given"
    )

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table, "debate")

    def estimate(self, sizes: Sizes) -> Cost:
        return _times(self.arguments_of(2, sizes), self.best_of)


class ConsultancyStage(OverPassages):
    """One speaker, given the right answer in half of the questions and the wrong one in the others, argues alone."""

    by: Literal["consultancy"]

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table, "consultancy")

    def estimate(self, sizes: Sizes) -> Cost:
        return self.arguments_of(1, sizes)


def _times(cost: Cost, best_of: int) -> Cost:
    return Cost.of(cost.read * (1 + (best_of > 1)), cost.write * best_of)


AnyOversee = DebateStage | ConsultancyStage
