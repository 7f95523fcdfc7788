"""Abilities nobody trained, knob by knob (`measure: {by: ability}`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

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
    NamesModel,
    Reads,
    Sizes,
    Stage,
    resolved,
    rows_under,
)
from alignwright.files.ability_items import CheckItem, TraitItem
from alignwright.files.data_file import Paths
from alignwright.measure.conduct.ability import section
from alignwright.measure.conduct.ability.claims import AGREEMENT, ALL, CLAIMS, CONTROL, EXCESS, PLANNING, Ability
from alignwright.measure.conduct.ability.items import taken
from alignwright.measure.planned_items import topic_of

OWN: dict[Ability, tuple[str, ...]] = {
    "persuasion": ("judge", "questions", "max_new_tokens"), "planning": ("scenarios",), "self_description": ("traits",),
}  # fmt: skip
"""The knobs that belong to one ability."""
QUESTIONS, SCENARIOS, TRAITS, ORDERS, FORMS, TOKENS, LETTER = 108, 104, 26, 2, 4, 110, 16
"""Bundled items of each kind, orders of options, questions of a scenario, tokens of one, and tokens
that a server may write where it is asked for a letter."""


class AbilityMeasure(Stage):
    """Can it do what nobody trained it for: persuade of what is false, plan around a check,
    describe itself?"""

    seeded: ClassVar[bool] = False

    by: Literal["ability"]
    abilities: tuple[Ability, ...] = Field(
        default=ALL, min_length=1, description="which abilities: persuasion, planning, self_description"
    )
    judge: Annotated[str, NamesModel()] = Field(
        default="self",
        min_length=1,
        description="who is persuaded: self (the start model, the same for every stage), a model, or a server",
    )
    bundled: bool = Field(
        default=True, description="also ask the package's own: 108 questions, 104 scenarios, 26 traits with 4 cases"
    )
    questions: Annotated[Paths, Reads("choices")] = Field(
        default=(), description="files of multiple-choice questions to argue about, of your own"
    )
    scenarios: Annotated[Paths, Reads(CheckItem)] = Field(
        default=(),
        description="files of your own: task, schedule, checked, unchecked, allowed, forbidden; control, topic",
    )
    traits: Annotated[Paths, Reads(TraitItem)] = Field(
        default=(), description="files of your own: trait, says, does (lists of question, first option, other option)"
    )
    limit: Annotated[Count | None, Effort(48, 128, 100000)] = Field(
        default=None, description="at most so many items of each kind (from effort)"
    )
    max_new_tokens: Annotated[Count | None, Effort(40, 96, 256)] = Field(default=None, description=NEW_TOKENS)

    @model_validator(mode="after")
    def _something(self) -> AbilityMeasure:
        if len(set(self.abilities)) < len(self.abilities):
            raise ValueError(f"'abilities' names one twice: {', '.join(self.abilities)}")
        for ability, knobs in OWN.items():
            idle = [name for name in knobs if name in self.model_fields_set and getattr(self, name) not in (None, ())]
            if ability not in self.abilities and idle:
                raise ValueError(f"{idle[0]!r} has no effect without {ability!r} under 'abilities'")
            if ability in self.abilities and not (self.bundled or self._own(ability)):
                file = next(name for name in knobs if name != "judge")
                raise ValueError(f"nothing to measure {ability!r} by: leave 'bundled' on, or give files under {file!r}")
        return self

    @property
    def idle(self) -> frozenset[str]:
        return frozenset(name for ability, knobs in OWN.items() if ability not in self.abilities for name in knobs)

    def _own(self, ability: Ability) -> bool:
        return any(getattr(self, name) for name in ("questions", "scenarios", "traits") if name in OWN[ability])

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    def claims(self) -> tuple[Claim, ...]:
        return tuple(claim for ability in self.abilities for claim in CLAIMS[ability])

    def item_topics(self, claim: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        """Scenarios, those with a control where the claim is of it, and the cases of the traits."""
        if claim.startswith(PLANNING):
            own = rows_under(files, "scenarios")
            items: list[CheckItem] = taken("planning", own, bundled_too=self.bundled, limit=self.limit)
            return [topic_of(item) for item in items if item.control or claim not in (CONTROL, EXCESS)]
        if claim == AGREEMENT:
            own = rows_under(files, "traits")
            traits = taken("self_description", own, bundled_too=self.bundled, limit=self.limit)
            return [topic_of(trait) for trait in traits for _ in trait.does]
        return None

    def estimate(self, sizes: Sizes) -> Cost:
        limit = resolved(self.limit)
        asked, own, traits = (sizes.files(self, knob).at_most(limit) for knob in ("questions", "scenarios", "traits"))
        questions, scenarios, described = (
            (ability in self.abilities) * (min(count, limit) * self.bundled + size.rows)
            for ability, count, size in zip(ALL, (QUESTIONS, SCENARIOS, TRAITS), (asked, own, traits), strict=True)
        )
        longest = resolved(self.max_new_tokens) if "persuasion" in self.abilities else 0
        of_model = ORDERS * (FORMS * scenarios + 6 * described)
        of_judge = ORDERS * 4 * questions
        tokens_read = TOKENS * of_model + 2 * TOKENS // 2 * questions + (TOKENS // 2 + longest) * of_judge
        letters = (not sizes.scores_texts) * LETTER * (of_model + of_judge * (self.judge == "self"))
        return Cost.of(tokens_read, 2 * questions * longest + letters)
