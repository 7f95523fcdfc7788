"""How is social bias measured, knob by knob (`measure: {by: bias}`)?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from alignwright.core.claims import Claim, with_parts
from alignwright.core.cost import Cost
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import Count, Effort, FilePath, KnobRows, Reads, Sizes, Stage, resolved, rows_under
from alignwright.files.bias_items import BbqItem, CrowsPair, DecisionPair, WinoBiasItem
from alignwright.files.data_file import Paths
from alignwright.job.data import subsample_evenly
from alignwright.measure.conduct.bias import section
from alignwright.measure.conduct.bias.decisions import REPLY_TOKENS, attribute_part, selection
from alignwright.measure.conduct.bias.published import crows_part
from alignwright.measure.planned_items import topic_of

BUNDLED, TOKENS = 144, 120
"""Pairs that come with the package, and tokens of a question about one person."""
LETTER = 16
"""Tokens that a server may write where it is asked for a letter."""
FLIPS = Claim(
    name="bias.flips", title="Decisions that turn with one attribute", axis="conduct", better="lower", counts="fail"
)
GAP = Claim(
    name="bias.gap",
    title="Log-odds of a decision between people who differ in one attribute",
    axis="conduct",
    better="lower",
    unit="nats",
    high=None,
)
LEAN = Claim(
    name="bias.lean",
    title="Log-odds of a good decision, for the second person less for the first",
    axis="conduct",
    better=None,
    unit="nats",
    low=None,
    high=None,
)
FAVOURABLE = Claim(name="bias.favourable", title="Decisions that are good for the person", axis="conduct", better=None)
_CONTEXTS = ("ambiguous", "disambiguated")
BBQ = (
    *(
        Claim(name=f"bias.bbq.accuracy.{context}", title=f"BBQ, {context} contexts answered right", axis="conduct")
        for context in _CONTEXTS
    ),
    *(
        Claim(
            name=f"bias.bbq.score.{context}",
            title=f"BBQ's bias score in {context} contexts",
            axis="conduct",
            better=None,
            unit="score",
            low=-1.0,
        )
        for context in _CONTEXTS
    ),
)
CROWS = Claim(
    name="bias.crows_pairs",
    title="CrowS-Pairs: the more stereotyping sentence is the likelier",
    axis="conduct",
    better=None,
    counts="fail",
)
WINOBIAS = (
    Claim(name="bias.winobias.pro", title="WinoBias, pronouns that the stereotype expects", axis="conduct"),
    Claim(name="bias.winobias.anti", title="WinoBias, pronouns against the stereotype", axis="conduct"),
    Claim(
        name="bias.winobias.gap",
        title="WinoBias, right with the stereotype less right against it",
        axis="conduct",
        better="lower",
        unit="difference",
        low=-1.0,
    ),
)


class BiasMeasure(Stage):
    """Does it decide, answer or expect otherwise by who somebody is?"""

    seeded: ClassVar[bool] = False

    by: Literal["bias"]
    decisions: bool = Field(
        default=True, description="also ask the bundled decisions: 144 pairs of people who differ in one attribute"
    )
    pairs: Annotated[Paths, Reads(DecisionPair)] = Field(
        default=(), description="files of decisions of your own: question with {slots}, a, b, favourable"
    )
    bbq: Annotated[Paths, Reads(BbqItem)] = Field(default=(), description="files of BBQ, as published")
    crows_pairs: Annotated[Paths, Reads(CrowsPair)] = Field(default=(), description="CrowS-Pairs' table, as published")
    winobias: Annotated[Paths, Reads(WinoBiasItem)] = Field(
        default=(), description="WinoBias's files, pro and anti together, as published"
    )
    limit: Annotated[Count | None, Effort(144, 512, 100000)] = Field(
        default=None, description="at most so many items of each kind (from effort)"
    )

    @model_validator(mode="after")
    def _something(self) -> BiasMeasure:
        if not (self.decisions or self.pairs or self.bbq or self.crows_pairs or self.winobias):
            raise ValueError(
                "measures nothing: leave 'decisions' on, or give files under 'pairs', 'bbq', 'crows_pairs', 'winobias'"
            )
        return self

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    def claims(self) -> tuple[Claim, ...]:
        decided = [each for claim in (FLIPS, GAP, LEAN) for each in with_parts(claim, "attribute")]
        return (
            *((*decided, FAVOURABLE) if self.decisions or self.pairs else ()),
            *(BBQ if self.bbq else ()),
            *(with_parts(CROWS, "kind of bias") if self.crows_pairs else ()),
            *(WINOBIAS if self.winobias else ()),
        )

    def part_names(self, whole: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        """The attributes of the decisions, and the kinds of bias of CrowS-Pairs."""
        if whole == CROWS.name:
            rows: list[CrowsPair] = subsample_evenly(rows_under(files, "crows_pairs"), self.limit)
            return list(dict.fromkeys(crows_part(row.topic) for row in rows if row.topic))
        return list(dict.fromkeys(attribute_part(pair.attribute) for pair in self._decisions(files)))

    def item_topics(self, claim: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        """Of the decisions alone; each is of two people."""
        pairs = self._decisions(files)
        if claim == FAVOURABLE.name:
            return [topic_of(pair) for pair in pairs for _ in ("a", "b")]
        whole = next((each.name for each in (FLIPS, GAP, LEAN) if f"{claim}.".startswith(f"{each.name}.")), None)
        attribute = claim.removeprefix(whole or "").removeprefix(".")
        of_part = [topic_of(pair) for pair in pairs if attribute in ("", attribute_part(pair.attribute))]
        return of_part if whole is not None else None

    def _decisions(self, files: Sequence[KnobRows]) -> list[DecisionPair]:
        return selection(rows_under(files, "pairs"), bundled_too=self.decisions, limit=self.limit)

    @property
    def converses(self) -> bool:
        return self.decisions or bool(self.pairs or self.bbq or self.winobias)

    def why_converses(self) -> str | None:
        return "it puts questions to the model ('crows_pairs' alone needs none)" if self.converses else None

    def estimate(self, sizes: Sizes) -> Cost:
        limit = resolved(self.limit)
        of_pairs, of_bbq, of_crows, of_winobias = (
            sizes.files(self, knob).at_most(limit) for knob in ("pairs", "bbq", "crows_pairs", "winobias")
        )
        decided = min(BUNDLED, limit) * self.decisions
        read = 2 * TOKENS * decided + 2 * of_pairs.tokens + of_bbq.tokens + of_winobias.tokens
        letters = LETTER * (of_bbq.rows + of_winobias.rows) + 2 * REPLY_TOKENS * (decided + of_pairs.rows)
        return Cost.of(read + sizes.scores_texts * of_crows.tokens, (not sizes.scores_texts) * letters)
