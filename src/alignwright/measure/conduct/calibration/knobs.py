"""How is confident error measured, knob by knob (`measure: {by: calibration}`)?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from alignwright.core.claims import Claim
from alignwright.core.cost import Cost
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import (
    NEW_TOKENS,
    Count,
    Effort,
    FilePath,
    KnobRows,
    Reads,
    Sizes,
    Stage,
    resolved,
    rows_under,
)
from alignwright.files.data_file import Paths
from alignwright.files.short_answer_items import ShortAnswerItem
from alignwright.measure.conduct.calibration import section
from alignwright.measure.conduct.calibration.claims import claims_of
from alignwright.measure.conduct.calibration.short_answers import selection
from alignwright.measure.planned_items import topic_of, topics_under

BUNDLED, TOKENS, LETTER = 110, 40, 16
"""Short questions that come with the package, tokens of one, and tokens that a server may write where it
is asked for a letter."""


ERRORS, NO_MEANS = ("ece", "ece_half", "ece_fitted"), ("rms", "aurc", "selective")
"""Calibration errors, and other numbers of all answers together, of which nothing is known beforehand."""


class CalibrationMeasure(Stage):
    """Is it as often right as it is sure, and does it doubt where it is wrong?"""

    by: Literal["calibration"]
    choice: Annotated[Paths, Reads("choices")] = Field(
        default=(), description="files of multiple-choice items: ours, TruthfulQA's, MMLU's, ARC's"
    )
    bundled: bool = Field(
        default=True, description="also ask the bundled short questions: 82 with an answer, 28 that nobody can answer"
    )
    short: Annotated[Paths, Reads(ShortAnswerItem)] = Field(
        default=(), description="files of short questions of your own: question, answer (a list; [] where nobody knows)"
    )
    samples: Annotated[Count | None, Effort(4, 10, 20)] = Field(
        default=None, description="sampled replies to each short question, whose agreement is the confidence"
    )
    sure: float = Field(
        default=0.9, gt=0.0, le=1.0, description="a wrong answer of at least this confidence is a confident error"
    )
    bins: Annotated[int, Field(ge=2)] = Field(
        default=10, description="bins of the calibration error, each of as many items"
    )
    limit: Annotated[Count | None, Effort(128, 512, 100000)] = Field(
        default=None, description="at most so many items of each kind (from effort)"
    )
    max_new_tokens: Annotated[Count | None, Effort(16, 24, 48)] = Field(default=None, description=NEW_TOKENS)

    @model_validator(mode="after")
    def _something(self) -> CalibrationMeasure:
        if not (self.choice or self.bundled or self.short):
            raise ValueError("measures nothing: leave 'bundled' on, or give files under 'choice' or 'short'")
        idle = [name for name in ("samples", "max_new_tokens") if name in self.idle & self.model_fields_set]
        if idle:
            raise ValueError(f"{idle[0]!r} has no effect without short questions ('bundled' or 'short')")
        return self

    @property
    def idle(self) -> frozenset[str]:
        return frozenset() if self._asks_short else frozenset({"samples", "max_new_tokens"})

    @property
    def _asks_short(self) -> bool:
        return self.bundled or bool(self.short)

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    def claims(self) -> tuple[Claim, ...]:
        return (*(claims_of("choice") if self.choice else ()), *(claims_of("short") if self._asks_short else ()))

    def item_topics(self, claim: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        """Of the choices, or of the short questions: all for `undoubted`, those with an answer for the others. Of
        half of the choices a temperature is fitted, of which the other half is measured."""
        _, form, part = claim.split(".")
        if part in NO_MEANS:
            return None
        if form == "choice":
            topics = topics_under(files, "choice", self.limit)
            return topics[1::2] if topics and part in ("fitted", "ece_half", "ece_fitted") else topics
        short = selection(rows_under(files, "short"), bundled_too=self.bundled, limit=self.limit)
        return [topic_of(item) for item in short if item.answer or part == "undoubted"]

    def best_limit(self, claim: str, sizes: Sequence[int]) -> float | None:
        """Of the calibration errors; what a model can reach at best of the others depends on what it knows."""
        from alignwright.stats.power import limit_where_calibrated

        return limit_where_calibrated(sizes, self.bins) if claim.rpartition(".")[2] in ERRORS else None

    def why_converses(self) -> str | None:
        return "short questions are put to the model ('choice' alone needs none)" if self._asks_short else None

    def estimate(self, sizes: Sizes) -> Cost:
        limit = resolved(self.limit)
        choice, short = (sizes.files(self, knob).at_most(limit) for knob in ("choice", "short"))
        questions = short.rows + min(BUNDLED, limit) * self.bundled
        read = short.tokens + TOKENS * (questions - short.rows)
        letters = (not sizes.scores_texts) * LETTER * choice.rows
        if not self._asks_short:
            return Cost.of(choice.tokens, letters)
        replies = 1 + resolved(self.samples)
        return Cost.of(choice.tokens + read * replies, letters + questions * replies * resolved(self.max_new_tokens))
