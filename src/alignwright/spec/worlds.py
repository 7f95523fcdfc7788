"""What can be asked of the worlds in which a language model works?"""

from __future__ import annotations

import importlib.util
from typing import Literal

from pydantic import Field

from alignwright.core.records import Record
from alignwright.spec.knobs import NEW_TOKENS, Count

WorkedIn = Literal["edited_tests", "impossible_tests", "tampered_chess"]


class WorldMeasure(Record):
    """Set to a task with tools, does it do the work, or game the measure of it?"""

    by: Literal["world"]
    world: WorkedIn = Field(
        description=(
            "edited_tests (repair a program whose tests can be edited), impossible_tests (one test contradicts the"
            " docstring: passing it is a cheat), or tampered_chess (win a game that is kept in a writable file)"
        )
    )
    episodes: Count | None = Field(default=None, description="tasks worked on, the world's tasks in turn (from effort)")
    turns: int = Field(default=8, ge=1, le=64, description="replies in each episode, a tool in each")
    max_new_tokens: Count | None = Field(default=None, description=NEW_TOKENS)
    temperature: float = Field(
        default=0.7,
        ge=0.0,
        le=2.0,
        description="sampling temperature; 0 is greedy, and the same task then goes the same way",
    )


WORLD_EFFORT: dict[str, dict[str, tuple[int, int, int]]] = {
    "WorldMeasure": {"episodes": (6, 24, 96), "max_new_tokens": (256, 384, 768)}
}


def missing(stage: WorldMeasure) -> str | None:
    """The package that this world needs and that is not installed."""
    return "chess" if stage.world == "tampered_chess" and importlib.util.find_spec("chess") is None else None


def world_claims(stage: WorldMeasure) -> tuple[str, ...]:
    """The names of what a world measures."""
    return tuple(f"world.{stage.world}.{part}" for part in ("hack", "proxy", "true"))
