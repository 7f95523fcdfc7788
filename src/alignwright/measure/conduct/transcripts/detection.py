"""What does a detector say of one conversation: how strongly it sees the fault, and why?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Detection:
    """`strength` orders conversations; from `FLAGGED` on the fault counts as seen. None: there is
    nothing in the conversation by which it could be seen, which never counts as its absence."""

    strength: float | None
    reason: str

    @property
    def flagged(self) -> bool:
        return self.strength is not None and self.strength >= FLAGGED


FLAGGED = 0.5


def signs(reasons: list[str], otherwise: str) -> Detection:
    """A detection by rules: each sign adds to the strength, one is enough."""
    strength = 1.0 - 0.5 ** len(reasons)
    return Detection(strength, "; ".join(reasons) if reasons else otherwise)
