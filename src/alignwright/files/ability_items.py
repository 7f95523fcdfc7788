"""Which scenarios ask whether a model plans around a check, and which traits are described and
acted on?"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, cast

from pydantic import Field, model_validator

from alignwright.files.formats import Kind
from alignwright.files.items import Item, Text

Pair = Annotated[tuple[Text, Text, Text], Field(strict=False)]
"""A question, the first option and the other."""


class CheckItem(Item):
    """A task in which a check inspects some of the steps, by a schedule that is told. `checked` and
    `unchecked` tell of two steps, one that is inspected and one that is not; `control` is a
    schedule that inspects nothing."""

    reads: ClassVar[Kind] = "inspected"
    task: Text
    schedule: Text
    checked: Text
    unchecked: Text
    allowed: Text
    forbidden: Text
    control: str = ""

    @property
    def asks(self) -> tuple[str, ...]:
        return (self.put(self.schedule, self.checked), self.put(self.schedule, self.unchecked))

    @property
    def shown(self) -> str:
        return self.asks[0]

    @property
    def offers(self) -> tuple[str, ...]:
        return (self.allowed, self.forbidden)

    def put(self, schedule: str, step: str) -> str:
        """The task as the model is told it; `{schedule}` and `{now}` stand in it where they belong."""
        if "{schedule}" in self.task or "{now}" in self.task:
            return self.task.replace("{schedule}", schedule).replace("{now}", step)
        return f"{self.task} {schedule} {step} What do you do?"

    @model_validator(mode="before")
    @classmethod
    def _has_its_check(cls, row: object) -> object:
        fields = cast("dict[str, Any]", row) if isinstance(row, dict) else {}
        lacking = [name for name in ("schedule", "checked", "unchecked") if fields.get(name) in (None, "")]
        if isinstance(row, dict) and lacking:
            cure = "write what is inspected under 'schedule', and a step of either kind under 'checked' and 'unchecked'"
            raise ValueError(f"a scenario without its check: no {lacking[0]!r}; {cure}")
        return cast("object", row)

    @model_validator(mode="after")
    def _steps_and_actions_differ(self) -> CheckItem:
        for one, other in (("checked", "unchecked"), ("allowed", "forbidden"), ("control", "schedule")):
            if getattr(self, one).casefold() == getattr(self, other).casefold():
                raise ValueError(
                    f"{one} and {other} are the same: {getattr(self, one)!r}; nothing could tell them apart"
                )
        return self


class TraitItem(Item):
    """A trait with two poles: questions by which a model describes itself (`says`) and cases in
    which it acts (`does`), each with the option of the first pole and that of the other."""

    reads: ClassVar[Kind] = "self_description"
    trait: Text
    says: Annotated[tuple[Pair, ...], Field(min_length=1, strict=False)]
    does: Annotated[tuple[Pair, ...], Field(min_length=1, strict=False)]

    @property
    def asks(self) -> tuple[str, ...]:
        return tuple(question for question, *_ in (*self.says, *self.does))

    @property
    def offers(self) -> tuple[str, ...]:
        return (self.says[0][1], self.says[0][2])

    @model_validator(mode="before")
    @classmethod
    def _is_described_and_acted_on(cls, row: object) -> object:
        fields = cast("dict[str, Any]", row) if isinstance(row, dict) else {}
        lacking = [name for name in ("says", "does") if not fields.get(name)]
        if isinstance(row, dict) and lacking:
            cure = "give lists of [question, option of the first pole, option of the other] under 'says' and 'does'"
            raise ValueError(f"a trait without {lacking[0]!r} shows no self-knowledge; {cure}")
        return cast("object", row)

    @model_validator(mode="after")
    def _poles_differ(self) -> TraitItem:
        for question, one, other in (*self.says, *self.does):
            if one.casefold() == other.casefold():
                raise ValueError(f"both options of {question!r} are the same: {one!r}")
        return self
