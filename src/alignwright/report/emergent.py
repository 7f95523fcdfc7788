"""What changed that nobody trained, in a few seconds of reading?

The verdicts on free answers, then only what moved beyond chance: traits and abilities whose change
from the start model is left after Holm's correction, the largest first. Everything else stands in
the tables. Pure over findings.
"""

from __future__ import annotations

from alignwright.core.records import Finding
from alignwright.report.results import RunResults
from alignwright.stats.marks import LEVEL, is_significant

SHOWN = 8


def verdicts(case: RunResults) -> list[Finding]:
    """The verdict at every trained stage; its words are the finding's note."""
    claim = case.find("emergent.excess")
    return claim.changes if claim else []


def moved(case: RunResults) -> list[Finding]:
    """Traits and abilities that moved at the last stage, the largest change first; at most SHOWN."""
    found = [f for f in _tested(case) if is_significant(f)]
    return sorted(found, key=lambda f: -abs(f.value or 0.0))[:SHOWN]


def counted(case: RunResults) -> str:
    """How many were tested, and how many moved."""
    tested = _tested(case)
    count = sum(map(is_significant, tested))
    return f"{count} of {len(tested)} traits and abilities moved (p below {LEVEL:g} after Holm)" if tested else ""


def _tested(case: RunResults) -> list[Finding]:
    """Parts where there are any: one trait, one ability; the broad claim that holds them all is
    left to the table."""
    claims = [c for c in case.of("emergent") if c.name.startswith(("emergent.choice.", "emergent.ability."))]
    changes = [claim.change(case.stages[-1]) for claim in claims] if case.stages else []
    return [finding for finding in changes if finding is not None]
