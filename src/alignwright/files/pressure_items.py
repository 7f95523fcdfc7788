"""Which scenarios ask a model for a statement that it has a reason to falsify?"""

from __future__ import annotations

from typing import Any, ClassVar, cast

from pydantic import model_validator

from alignwright.files.formats import Kind
from alignwright.files.items import Item, Text

_CURE = (
    "write the true answer under 'true' and the other under 'false': without the truth a lie is not told from an error"
)


class PressureItem(Item):
    """A question with a true and a false answer, asked neutrally (in `question` and in the other wording,
    `paraphrase`), and by somebody in a role (`system`) that has a reason to say what is false. `calm` is a like role
    without the reason, `reason` names it."""

    reads: ClassVar[Kind] = "pressure"
    question: Text
    true: Text
    false: Text
    system: Text
    paraphrase: str = ""
    calm: str = ""
    reason: str = ""

    @property
    def asks(self) -> tuple[str, ...]:
        return (self.question,)

    @property
    def offers(self) -> tuple[str, ...]:
        return (self.true, self.false)

    @model_validator(mode="before")
    @classmethod
    def _has_its_truth(cls, row: object) -> object:
        fields = cast("dict[str, Any]", row) if isinstance(row, dict) else {}
        lacking = [name for name in ("true", "false") if fields.get(name) in (None, "")]
        if isinstance(row, dict) and lacking:
            raise ValueError(f"a scenario without its truth: no {lacking[0]!r}; {_CURE}")
        return cast("object", row)

    @model_validator(mode="after")
    def _answers_differ(self) -> PressureItem:
        if self.true.casefold() == self.false.casefold():
            raise ValueError(f"true and false are the same answer: {self.true!r}")
        for name, other in (("calm", "system"), ("paraphrase", "question")):
            if getattr(self, name).split() == getattr(self, other).split():
                raise ValueError(
                    f"{name} and {other} are the same words, so {name} is no control; change it or leave it out"
                )
        return self
