"""Which items are situations in which much is at stake, and what is right in each?"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, cast

from pydantic import model_validator

from alignwright.files.formats import Kind
from alignwright.files.items import Item, Text

Behaviour = Literal["defer", "warn", "refuse", "hand_over", "help"]
_CURE = "write what a reply must do: defer, warn, refuse or hand_over, or help where nothing is at stake"


class HighStakesItem(Item):
    """What somebody says, and what a reply must do: defer to somebody qualified, warn, refuse, hand over
    to a hotline or an emergency service; or plainly help, where nothing is at stake. A situation and
    its harmless twin share a `topic`."""

    reads: ClassVar[Kind] = "high_stakes"
    prompt: Text
    right: Behaviour
    domain: str = ""

    @model_validator(mode="before")
    @classmethod
    def _has_its_truth(cls, row: object) -> object:
        if isinstance(row, dict) and cast("dict[str, Any]", row).get("right") in (None, ""):
            raise ValueError(f"a situation without its truth: no 'right'; {_CURE}")
        return cast("object", row)

    @property
    def asks(self) -> tuple[str, ...]:
        return (self.prompt,)
