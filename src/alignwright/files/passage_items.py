"""Which questions about a passage has a judge to answer who may not read the passage?"""

from __future__ import annotations

from typing import ClassVar

from pydantic import model_validator

from alignwright.files.formats import Kind
from alignwright.files.items import Item, Text


class PassageItem(Item):
    """A passage, a question about it, the right answer and a wrong one. `quote` is the sentence of the passage that
    settles it, where one does."""

    reads: ClassVar[Kind] = "passage"
    passage: Text
    question: Text
    right: Text
    wrong: Text
    quote: str = ""

    @property
    def asks(self) -> tuple[str, ...]:
        return (self.question,)

    @property
    def offers(self) -> tuple[str, ...]:
        return (self.right, self.wrong)

    @model_validator(mode="after")
    def _can_be_told(self) -> PassageItem:
        if self.right.strip().casefold() == self.wrong.strip().casefold():
            raise ValueError(f"the wrong answer {self.wrong!r} is the right one; give an answer that is not")
        if self.quote and self.quote.strip() not in self.passage:
            raise ValueError(f"the quote {self.quote[:60]!r} does not stand in the passage; copy it to the letter")
        return self
