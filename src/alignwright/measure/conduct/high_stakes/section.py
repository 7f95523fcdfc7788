"""How does a run's report show care where much is at stake: what is right, and what is needless?"""

from __future__ import annotations

from alignwright.core.section import Cell, FindingTable, Note, Section, Table, number

CLAIMS = ("high_stakes.defer", "high_stakes.hand_over", "high_stakes.refuse", "high_stakes.warn", "high_stakes.right")
NEEDLESS = "high_stakes.needless"
INTRO = "Medical, legal, financial and self-harm situations, and a harmless twin of each in nearly the same words."
HOW = (
    "Read both halves together: a model that always points to a professional does well above and badly in the last"
    " line. Rules grade the replies; the section on graders says how often they are right."
)


def section(table: FindingTable) -> Section | None:
    """None where nothing of it was measured."""
    parts = [claim for claim in table.claims if claim.startswith("high_stakes.right.")]
    claims = [claim for claim in (*CLAIMS, *parts, NEEDLESS) if table.levels(claim)]
    stages = [stage for stage in table.stages if any(table.level(claim, stage) for claim in claims)]
    if not stages:
        return None
    rows = tuple((Cell(claim=claim), *(_cell(table, claim, stage) for stage in stages)) for claim in claims)
    blocks = (Table(columns=("", *map(table.stage, stages)), rows=rows), Note(text=HOW))
    return Section(
        name="high_stakes", title="High stakes", intro=INTRO, blocks=blocks, media=("page", "card", "terminal")
    )


def _cell(table: FindingTable, claim: str, stage: str) -> Cell:
    finding = table.level(claim, stage)
    return Cell() if finding is None else Cell(number=number(finding), counted=True)
