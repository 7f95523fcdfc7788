"""Which items show a social bias: decisions about two people who differ in one attribute, BBQ's
questions, CrowS-Pairs' sentences, WinoBias's pronouns?

A row that could not show what it is for (two people who differ in two attributes, a pronoun that
fits neither occupation) is refused when read, with its line.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from alignwright.files.formats import Kind
from alignwright.files.items import ChoiceItem, Item, Text

SLOT = re.compile(r"\{(\w+)\}")
YES_OR_NO = ("Yes", "No")


class DecisionPair(Item):
    """A decision about a person, as a text with slots in braces, and two people, `a` and `b`, whose
    attributes fill them: alike in all but one. `favourable`: which answer is good for the person."""

    reads: ClassVar[Kind] = "decision"
    question: Text
    a: dict[str, Text]
    b: dict[str, Text]
    favourable: Literal["yes", "no"] = "yes"

    @cached_property
    def attribute(self) -> str:
        """The one in which the two differ."""
        return next(name for name in self.a if self.a[name] != self.b[name])

    @property
    def sides(self) -> tuple[str, str]:
        """The question about each of the two."""
        return self.question.format(**self.a), self.question.format(**self.b)

    @property
    def asks(self) -> tuple[str, ...]:
        return self.sides

    @property
    def offers(self) -> tuple[str, ...]:
        return YES_OR_NO

    @model_validator(mode="after")
    def _one_attribute(self) -> DecisionPair:
        slots = set(SLOT.findall(self.question))
        if SLOT.sub("", self.question).count("{") or SLOT.sub("", self.question).count("}"):
            raise ValueError("a brace of the question that is no slot; a slot is a name in braces, such as {age}")
        for side, attributes in (("a", self.a), ("b", self.b)):
            if attributes.keys() != slots:
                wrong = sorted(attributes.keys() ^ slots)
                raise ValueError(
                    f"{side!r} and the slots of the question do not match: {', '.join(wrong)} is in one of them alone"
                )
        differ = [name for name in self.a if self.a[name] != self.b[name]]
        if len(differ) > 1:
            raise ValueError(
                f"the two differ in {len(differ)} attributes ({', '.join(differ)}), so that neither could be held to"
                " account for another decision; give a pair for each, alike in the others"
            )
        if not differ:
            raise ValueError("the two are alike in every attribute, so no decision could differ")
        return self


class BbqItem(Item):
    """A question of BBQ (Parrish et al. 2022): an answer that names the group of which the
    stereotype is, one that names another, and one that says that it cannot be known."""

    reads: ClassVar[Kind] = "bbq"
    question: Text
    choices: tuple[Text, Text, Text]
    answer: int = Field(ge=0, le=2)
    unknown: int = Field(ge=0, le=2)
    biased: int = Field(ge=0, le=2)
    ambiguous: bool

    @property
    def asks(self) -> tuple[str, ...]:
        return (self.question,)

    @property
    def offers(self) -> tuple[str, ...]:
        return self.choices

    @property
    def as_choice(self) -> ChoiceItem:
        return ChoiceItem(question=self.question, choices=self.choices, answer=self.answer, topic=self.topic)

    @model_validator(mode="after")
    def _three_answers(self) -> BbqItem:
        if self.biased == self.unknown:
            raise ValueError("the biased answer is the one that says that it cannot be known")
        if self.ambiguous != (self.answer == self.unknown):
            raise ValueError(
                "in an ambiguous context the right answer is that it cannot be known, and in another it is not"
            )
        if len(set(self.choices)) < len(self.choices):
            raise ValueError("two answers are the same")
        return self


class CrowsPair(Item):
    """Two sentences of CrowS-Pairs (Nangia et al. 2020), of which the first is more stereotyping."""

    reads: ClassVar[Kind] = "crows"
    more: Text
    less: Text

    @property
    def shown(self) -> str:
        return f"{self.more} {self.less}"

    @model_validator(mode="after")
    def _differ(self) -> CrowsPair:
        if self.more == self.less:
            raise ValueError("the two sentences are the same")
        return self


class WinoBiasItem(Item):
    """A sentence of WinoBias (Zhao et al. 2018): whom does its pronoun mean, the occupation that is
    `right` or the `other`? `pro`: the pronoun is the one that the stereotype of the right one expects."""

    reads: ClassVar[Kind] = "winobias"
    sentence: Text
    pronoun: Text
    right: Text
    other: Text
    pro: bool

    @property
    def as_choice(self) -> ChoiceItem:
        """Whom the pronoun means, the two in the order in which the sentence names them."""
        lower = self.sentence.casefold()
        both = sorted((self.right, self.other), key=lambda name: lower.find(name.casefold()))
        question = f'{self.sentence}\n\nWho is meant by "{self.pronoun}" in this sentence?'
        return ChoiceItem(
            question=question, choices=(both[0], both[1]), answer=both.index(self.right), topic=self.topic
        )

    @property
    def key(self) -> str:
        """What this sentence shares with the one that has the other pronoun."""
        return f"{self.right} | {_PRONOUN.sub('_', self.sentence)}".casefold()

    @property
    def asks(self) -> tuple[str, ...]:
        return (self.as_choice.question,)

    @property
    def offers(self) -> tuple[str, ...]:
        return self.as_choice.choices


_PRONOUN = re.compile(r"\b(?:he|she|him|her|his|hers|himself|herself)\b", re.IGNORECASE)
