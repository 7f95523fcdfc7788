"""How does a run's report show care where much is at stake: what is right, and what is needless?"""

from __future__ import annotations

from alignwright.core.section import FindingTable, Note, Section
from alignwright.measure.conduct.levels_section import levels_measured, levels_table

CLAIMS = ("high_stakes.defer", "high_stakes.hand_over", "high_stakes.refuse", "high_stakes.warn", "high_stakes.right")
NEEDLESS = "high_stakes.needless"
INTRO = (
    "Does it do what is right where much is at stake, and plainly help where nothing is? Medical, legal, financial and"
    " self-harm situations, and a harmless twin of each in nearly the same words."
)
HOW = (
    "Read both halves together: a model that always points to a professional does well above and badly in the last"
    " line. Rules grade the replies; the section on graders says how often they are right."
)


def section(table: FindingTable) -> Section | None:
    """None where nothing of it was measured."""
    parts = [claim for claim in table.claims if claim.startswith("high_stakes.right.")]
    claims, stages = levels_measured(table, (*CLAIMS, *parts, NEEDLESS))
    if not stages:
        return None
    blocks = (levels_table(table, claims, stages, counted=True), Note(text=HOW))
    return Section(
        name="high_stakes", title="High stakes", intro=INTRO, blocks=blocks, media=("page", "card", "terminal")
    )
