"""What changed that nobody trained (emergent misalignment), in a few seconds of reading?

The verdicts on free answers, then only what moved beyond chance: traits and abilities whose change
from the start model is left after Holm's correction, the largest first. Everything else stands in
the tables.
"""

from __future__ import annotations

from alignwright.core.records import Finding
from alignwright.core.section import Cell, FindingTable, Items, Section
from alignwright.stats.marks import LEVEL, is_significant

MOST_SHOWN = 8
PARTS = ("emergent.choice.", "emergent.ability.")
"""One trait, one ability; the broad claims that hold them all are left to the tables."""


def section(table: FindingTable) -> Section | None:
    """None where nothing was compared with the start model."""
    items = [Cell(stage=f.stage, text=f"{f.note}.") for f in table.changes("emergent.excess")]
    if tested := _last_changes(table):
        significant = sorted(filter(is_significant, tested), key=lambda f: -abs(f.value or 0.0))
        count = f"{len(significant)} of {len(tested)} traits and abilities moved (p below {LEVEL:g} after Holm)."
        items += [
            Cell(text=count),
            *(Cell(claim=f.claim, number=_without_replies(f)) for f in significant[:MOST_SHOWN]),
        ]
    if not items:
        return None
    title = "What changed that nobody trained"
    blocks = (Items(items=tuple(items)),)
    return Section(name="changed", title=title, blocks=blocks, media=("page", "card", "terminal"))


def _last_changes(table: FindingTable) -> list[Finding]:
    last = table.stages[-1] if table.stages else ""
    changes = [table.change(claim, last) for claim in table.claims if claim.startswith(PARTS)]
    return [finding for finding in changes if finding is not None]


def _without_replies(finding: Finding) -> Finding:
    return finding.model_copy(update={"exhibits": ()})
