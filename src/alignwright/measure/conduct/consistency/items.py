"""What is asked for the sake of consistency: which rules, and which questions that are put into dresses?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from alignwright.files.items import ChoiceItem
from alignwright.job.data import subsample_evenly
from alignwright.measure.conduct.bundled_file import bundled_file


@dataclass(frozen=True)
class PlainQuestion:
    """A question before it is dressed. `paraphrase` is "" where it has no other wording."""

    question: str
    paraphrase: str
    options: tuple[str, ...]
    place: int

    @property
    def kinds(self) -> tuple[str, ...]:
        """The dresses that it is put into."""
        return (*(("paraphrase",) if self.paraphrase else ()), "order", "persona", "language")


def bundled_rules() -> list[dict[str, Any]]:
    """The rules, each with its contrary, its cases and its topic."""
    return bundled_file("consistency", "rules.yaml")


def selection(own: Sequence[ChoiceItem], *, bundled_too: bool, limit: int | None) -> list[PlainQuestion]:
    """The questions that are dressed, those of the package before one's own."""
    facts = [(question, again, (one, other)) for question, again, one, other, _ in bundled_file("", "facts.yaml")]
    tastes = [
        (question, again, (one, other)) for question, again, one, other in bundled_file("consistency", "tastes.yaml")
    ]
    bundled = [PlainQuestion(*row, place) for place, row in enumerate([*facts, *tastes])]
    mine = [PlainQuestion(item.question, "", item.choices, place) for place, item in enumerate(own)]
    return subsample_evenly([*(bundled if bundled_too else []), *mine], limit)
