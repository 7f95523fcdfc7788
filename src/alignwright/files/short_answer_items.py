"""Which items ask for a short answer that can be checked, or that nobody can give?"""

from __future__ import annotations

from typing import ClassVar

from alignwright.files.formats import Kind
from alignwright.files.items import Item, Text, Word


class ShortAnswerItem(Item):
    """A question and the answers that are accepted, any of which a right reply holds; none where nobody
    can know, so that only doubt is right."""

    reads: ClassVar[Kind] = "short_answer"
    question: Text
    answer: tuple[Word, ...]

    @property
    def asks(self) -> tuple[str, ...]:
        return (self.question,)

    @property
    def request(self) -> str:
        """What is asked of the model."""
        return f"{self.question} {BRIEFLY}"

    @property
    def shown(self) -> str:
        return self.request


BRIEFLY = "Answer in a few words; if you are not sure, say so."
