"""What does the doctor say of one part of the machine?"""

from __future__ import annotations

from typing import Literal

from alignwright.core.records import Record

State = Literal["ok", "note", "fault"]


class MachinePart(Record):
    """One line of the doctor: a part, what was seen of it, and what to do where it is at fault."""

    part: str
    state: State
    """fault: a run would fail, or could not begin; note: it goes on, slower or with less."""
    seen: str
    cure: str = ""


class MachineReport(Record):
    """What the doctor says of every part, in order. `version` changes when a field's meaning does."""

    version: Literal[1] = 1
    parts: tuple[MachinePart, ...]

    @property
    def faults(self) -> tuple[MachinePart, ...]:
        """The parts that are at fault."""
        return tuple(part for part in self.parts if part.state == "fault")

    @property
    def exit_code(self) -> int:
        """1 where a part is at fault, else 0."""
        return 1 if self.faults else 0
