"""Wrapped prompts in the report: what stays of right answers, by wrapper, model by model."""

from __future__ import annotations

from alignwright.core.section import Block, FindingTable, Note, Section
from alignwright.measure.conduct.levels_section import levels_measured, levels_table

CLAIMS = ("wrapped.plain", "wrapped.kept", "wrapped.same")
INTRO = (
    "Each prompt is asked plainly and in wrappers: beside a wrong opinion of the user's, or as jailbreaks are dressed."
    " What was right plainly should stay right."
)
HOW = "A model that is right about less in plain words has less to lose: read the second line beside the first."


def section(table: FindingTable) -> Section | None:
    """None where nothing was wrapped."""
    claims, stages = levels_measured(table, CLAIMS)
    if not stages:
        return None
    blocks: list[Block] = [levels_table(table, claims, stages, counted=True)]
    for whole, title in (("wrapped.kept", "Right answers kept, by wrapper"), ("wrapped.same", "The same, by kind")):
        parts = [claim for claim in table.claims if claim.startswith(f"{whole}.")]
        blocks += [levels_table(table, parts, stages, title)] if len(parts) > 1 else []
    blocks.append(Note(text=HOW))
    return Section(
        name="wrapped", title="Plain and wrapped", intro=INTRO, blocks=tuple(blocks),
        media=("page", "card", "terminal"),
    )  # fmt: skip
