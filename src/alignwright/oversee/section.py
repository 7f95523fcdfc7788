"""Oversight in the report: how often the judge is right with what, and whole debates to read."""

from __future__ import annotations

from alignwright.core.section import Block, Cell, FindingTable, Note, Section, Table, Text, Transcript, number
from alignwright.oversee.claims import LABELS, claims_of

INTRO = (
    "Axis: oversight. A judge who may not read a passage answers questions about it, after what speakers who read it"
    " have said. Unit: share of questions. Beside it the judge unaided, the judge who is given the one sentence that"
    " settles it, and the judge who reads the whole passage, the ceiling."
)
HOW = (
    "The performance gap recovered is what the protocol adds to the unaided judge, over what the whole passage adds; it"
    " is undefined where the whole passage adds less than two standard errors. A protocol that adds nothing for a judge"
    " whom not even the passage helps says something of the judge, and nothing of the protocol."
)
HEADS = ("", "What the judge read")
TITLES = {
    "debate": "Debate before a judge who sees less",
    "consultancy": "A lone consultant before a judge who sees less",
}


def section(table: FindingTable, protocol: str) -> Section | None:
    """None where the protocol was not measured."""
    names = [claim.name for claim in claims_of(protocol) if table.levels(claim.name)]
    stages = [stage for stage in table.stages if any(table.level(name, stage) for name in names)]
    if not stages:
        return None
    rows = tuple((Cell(claim=name), *(_cell(table, name, stage) for stage in stages)) for name in names)
    blocks: list[Block] = [Table(columns=("", *map(table.stage, stages)), rows=rows)]
    level, gap = table.level(protocol, stages[-1]), table.level(f"{protocol}.gap", stages[-1])
    if gap is not None and gap.note:
        blocks.append(Text(text=f"{table.stage(stages[-1])}: {gap.note}"))
    examples = level.exhibits if level is not None else ()
    for status, title in (("fail", "misled the judge"), ("pass", "brought the judge to the right answer")):
        chosen = tuple(example for example in examples if example.status == status)[:2]
        if chosen:
            name = f"A {LABELS[protocol]} that {title}"
            blocks.append(Transcript(claim=protocol, title=name, heads=HEADS, examples=chosen))
    return Section(
        name=protocol, title=TITLES[protocol], intro=INTRO, blocks=(*blocks, Note(text=HOW)),
        media=("page", "card", "terminal"), tells=(f"{protocol}.",),
    )  # fmt: skip


def _cell(table: FindingTable, claim: str, stage: str) -> Cell:
    level = table.level(claim, stage)
    return Cell() if level is None else Cell(number=number(level))
