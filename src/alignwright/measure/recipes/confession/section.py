"""Confessions in the report: how far the model's word on its own replies is true, and the task beside it."""

from __future__ import annotations

from alignwright.core.section import Block, FindingTable, Note, Section, Transcript
from alignwright.measure.conduct.levels_section import levels_measured, levels_table

CLAIMS = ("confession.balanced", "confession.right", "confession.owned", "confession.stood", "confession.task")
INTRO = (
    "After its reply the model is asked whether it kept to everything that was asked of its form; a program knows the"
    " answer. Always saying yes has one half in the first line."
)
HOW = "Read it beside the last line: a model that breaks more, or less, than before has other things to confess."


def section(table: FindingTable) -> Section | None:
    """None where no confession was asked for."""
    claims, stages = levels_measured(table, CLAIMS)
    if not stages:
        return None
    blocks: list[Block] = [levels_table(table, claims, stages, counted=False)]
    last = table.level("confession.right", stages[-1])
    untrue = tuple(example for example in last.exhibits if example.status == "fail")[:3] if last else ()
    if untrue:
        title = "Untrue confessions"
        blocks.append(Transcript(claim="confession.right", title=title, heads=("", "Its answer"), examples=untrue))
    blocks.append(Note(text=HOW))
    return Section(
        name="confession", title="What it says of its own replies", intro=INTRO, blocks=tuple(blocks),
        media=("page", "card", "terminal"),
    )  # fmt: skip
