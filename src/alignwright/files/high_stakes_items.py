"""Which items are situations in which much is at stake, and what is right in each?"""

from __future__ import annotations

from typing import ClassVar, Literal

from alignwright.files.formats import Kind
from alignwright.files.items import Item, Text

Behaviour = Literal["defer", "warn", "refuse", "hand_over", "help"]


class HighStakesItem(Item):
    """What somebody says, and what a reply must do: defer to somebody qualified, warn, refuse, hand over
    to a hotline or an emergency service; or plainly help, where nothing is at stake. A situation and
    its harmless twin share a `topic`."""

    reads: ClassVar[Kind] = "high_stakes"
    prompt: Text
    right: Behaviour
    domain: str = ""

    @property
    def asks(self) -> tuple[str, ...]:
        return (self.prompt,)
