"""Which two prompts differ in one thing only, and what should be said after each: what patching is done with?"""

from __future__ import annotations

from typing import ClassVar

from pydantic import model_validator

from alignwright.files.formats import Kind
from alignwright.files.items import Item, Text


class PromptPair(Item):
    """A `clean` prompt, after which `answer` comes next, and a `corrupt` one of as many tokens, after which `wrong`
    does. Of each only the first token is looked at, with a space where the text has one."""

    reads: ClassVar[Kind] = "contrast_pair"
    clean: Text
    corrupt: Text
    answer: Text
    wrong: Text

    @model_validator(mode="after")
    def _two(self) -> PromptPair:
        for one, other in (("clean", "corrupt"), ("answer", "wrong")):
            if getattr(self, one) == getattr(self, other):
                raise ValueError(f"{one!r} and {other!r} are the same, so nothing can be told apart")
        return self

    @property
    def asks(self) -> tuple[str, ...]:
        return (self.clean,)
