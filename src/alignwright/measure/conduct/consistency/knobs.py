"""Says and does, knob by knob (`measure: {by: consistency}`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from alignwright.core.claims import Claim, with_parts
from alignwright.core.cost import Cost
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import (
    Count,
    Effort,
    FilePath,
    IntentPart,
    Knob,
    KnobRows,
    Reads,
    Setting,
    Sizes,
    Stage,
    resolved,
    rows_under,
)
from alignwright.files.data_file import Paths
from alignwright.job.data import subsample_evenly
from alignwright.measure.conduct.consistency import section
from alignwright.measure.conduct.consistency.items import PlainQuestion, bundled_rules, selection
from alignwright.measure.planned_items import pair_topics, principles_of

QUESTIONS, RULES, TOKENS, FORMS, LETTER = 60, 26, 60, 5, 16
STANCE = Claim(name="consistency.stated", title="Rules that it states alike, asked either way", axis="conduct")
RULE = Claim(name="consistency.rule", title="Cases in which it does what its rule says", axis="conduct")
PRINCIPLE = Claim(
    name="consistency.principle", title="Replies that it prefers by the principle it says it holds", axis="conduct"
)
DRESS = Claim(name="consistency.dress", title="Dresses in which a question gets its plain answer", axis="conduct")


class ConsistencyMeasure(Stage):
    """Does it do what it says it does, and answer one question alike in every dress?"""

    seeded: ClassVar[bool] = False
    intent: ClassVar[tuple[IntentPart, ...]] = ("constitution",)

    by: Literal["consistency"]
    rules: bool = Field(default=True, description="ask for 26 rules, and put the model into 52 cases of them")
    dresses: bool = Field(default=True, description="ask 60 questions plainly and in four dresses each")
    questions: Annotated[Paths, Reads("choices")] = Field(
        default=(), description="files of multiple-choice questions of your own, to be dressed as well"
    )
    pairs: Annotated[Paths, Reads("pairs")] = Field(
        default=(), description="files of held-out pairs, held against what it says of the constitution's principles"
    )
    limit: Annotated[Count | None, Effort(128, 512, 100000)] = Field(
        default=None, description="at most so many questions to be dressed, and so many pairs (from effort)"
    )

    @model_validator(mode="after")
    def _something(self) -> ConsistencyMeasure:
        if not (self.rules or self.dresses or self.questions or self.pairs):
            raise ValueError(
                "measures nothing: leave 'rules' or 'dresses' on, or give files under 'questions' or 'pairs'"
            )
        return self

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    def claims(self) -> tuple[Claim, ...]:
        return (
            *((STANCE, RULE) if self.rules else ()),
            *(with_parts(PRINCIPLE, "principle") if self.pairs else ()),
            *(with_parts(DRESS, "dress") if self.dresses or self.questions else ()),
        )

    def part_names(self, whole: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        """The principles of the pairs, and the dresses of the questions."""
        if whole == PRINCIPLE.name:
            return principles_of(subsample_evenly(rows_under(files, "pairs"), self.limit))
        return list(dict.fromkeys(kind for each in self._questions(files) for kind in each.kinds))

    def item_topics(self, claim: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        """Of the rules, of their cases, of the pairs, or of the dresses."""
        _, name, *part = claim.split(".")
        if name in ("stated", "rule"):
            return [rule["topic"] for rule in bundled_rules() for _ in (rule["cases"] if name == "rule" else [0])]
        if name == "principle":
            return pair_topics(files, ".".join(part), self.limit)
        return [each.question for each in self._questions(files) for kind in each.kinds if part in ([], [kind])]

    def _questions(self, files: Sequence[KnobRows]) -> list[PlainQuestion]:
        return selection(rows_under(files, "questions"), bundled_too=self.dresses, limit=self.limit)

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        if self.pairs and "constitution" not in setting.intent:
            yield (
                ("pairs",),
                "are held against the constitution's principles, and there is none: give intent.constitution",
            )

    def estimate(self, sizes: Sizes) -> Cost:
        limit = resolved(self.limit)
        own, pairs = (sizes.files(self, knob).at_most(limit) for knob in ("questions", "pairs"))
        dressed = FORMS * (min(QUESTIONS, limit) * self.dresses + own.rows)
        forms = dressed + 2 * 4 * RULES * self.rules
        tokens_read = TOKENS * forms + sizes.scores_texts * pairs.tokens
        return Cost.of(tokens_read, (not sizes.scores_texts) * LETTER * forms)
