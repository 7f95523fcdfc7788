"""The exchange classifier in the report: what it stops, how late, and what it stops for nothing."""

from __future__ import annotations

from alignwright.core.section import Cell, FindingTable, Note, Section, Table, number

CLAIMS = (
    "exchange.detected", "exchange.false_alarms", "exchange.delay", "exchange.auroc", "exchange.last_token",
    "exchange.prompt_only",
)  # fmt: skip
INTRO = (
    "A passage of a bad reply stands in the middle of a good one, and, in the same place, a passage of a good one. The"
    " threshold was set on other prompts. A false alarm before the passage is no detection."
)
HOW = "Passages of written replies, at a place that was chosen; an attacker writes other ones, against the classifier."


def section(table: FindingTable) -> Section | None:
    """None where no classifier was made."""
    stages = list(dict.fromkeys(stage for claim in CLAIMS for stage in table.levels(claim)))
    if not stages:
        return None
    rows = tuple(
        (Cell(claim=claim), *(Cell(number=number(level)) if level else Cell() for level in levels))
        for claim in CLAIMS
        if any(levels := [table.level(claim, stage) for stage in stages])
    )
    blocks = (Table(columns=("", *map(table.stage, stages)), rows=rows), Note(text=HOW))
    return Section(
        name="exchange_classifier", title="A classifier over the exchange", intro=INTRO, blocks=blocks,
        media=("page", "card", "terminal"),
    )  # fmt: skip
