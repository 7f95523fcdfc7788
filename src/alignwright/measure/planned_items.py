"""Which items will a claim of a measure be a share of, by the rows of its files? The topic of each."""

from __future__ import annotations

from collections.abc import Sequence

from alignwright.core.records import Comparison, Prompt
from alignwright.core.stage import KnobRows, rows_under
from alignwright.files.items import Item, RefusalItem
from alignwright.job.data import subsample_evenly


def topics_under(files: Sequence[KnobRows], knob: str, limit: int | None) -> list[str] | None:
    """Of the rows that are taken of a knob's files; None where it names none."""
    return [topic_of(row) for row in subsample_evenly(rows_under(files, knob), limit)] or None


def refusal_topics(files: Sequence[KnobRows], kind: str, limit: int | None) -> list[str] | None:
    """Of the refusal prompts of one kind."""
    rows: list[RefusalItem] = [item for item in rows_under(files, "prompts") if item.kind == kind]
    return [topic_of(item) for item in subsample_evenly(rows, limit)] or None


def pair_topics(files: Sequence[KnobRows], principle: str, limit: int | None) -> list[str] | None:
    """Of the held-out pairs, or of those of one principle."""
    rows: list[Comparison] = subsample_evenly(rows_under(files, "pairs"), limit)
    return [topic_of(row) for row in rows if principle in ("", row.prompt.principle)] or None


def principles_of(pairs: Sequence[Comparison]) -> list[str]:
    """The principles that pairs are of, each once."""
    return list(dict.fromkeys(pair.prompt.principle for pair in pairs if pair.prompt.principle))


def topic_of(row: Item | Prompt | Comparison) -> str:
    """What the row's result will be clustered by: an item without a topic is a cluster of its own."""
    if isinstance(row, Comparison):
        return row.prompt.topic or row.key
    return row.topic or row.id
