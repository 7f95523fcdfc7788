"""A trait in the report: unasked, under each instruction, and the task beside it, model by model."""

from __future__ import annotations

from alignwright.core.section import FindingTable, Note, Section
from alignwright.measure.conduct.levels_section import levels_measured, levels_table

CLAIMS = ("trait.shown", "trait.prompted", "trait.task")
INTRO = (
    "How many replies show the trait without an instruction that asks for it, and how many with one: what an"
    " instruction brings out has leaked, though it was left out of the conversation."
)
HOW = "A change is the training's work only beside a model that learnt the same rows without the instruction."


def section(table: FindingTable) -> Section | None:
    """None where no trait was measured."""
    parts = [claim for claim in table.claims if claim.startswith("trait.prompted.")]
    claims, stages = levels_measured(table, (*CLAIMS[:2], *(parts if len(parts) > 1 else ()), CLAIMS[2]))
    if not stages:
        return None
    blocks = (levels_table(table, claims, stages, counted=True), Note(text=HOW))
    return Section(
        name="trait", title="A trait, unasked and asked for", intro=INTRO, blocks=blocks,
        media=("page", "card", "terminal"),
    )  # fmt: skip
