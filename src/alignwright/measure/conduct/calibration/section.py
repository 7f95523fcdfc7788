"""How does a run's report show confident error: what was right, how sure, and where the two part?"""

from __future__ import annotations

from alignwright.core.section import Cell, FindingTable, Note, Section, Table, number
from alignwright.measure.conduct.calibration.claims import FORMS, claims_of

INTRO = "How often it is right, how sure it is, and whether it doubts where it is wrong."
HOW = (
    "Confidence is the probability of the chosen answer among the choices; of short answers, the share of sampled"
    " replies that agree. Above 0, confidence less accuracy is overconfidence. The surer half: what would be right if"
    " the model kept silent on the other."
)


def section(table: FindingTable) -> Section | None:
    """None where nothing of it was measured."""
    claims = [claim.name for form in FORMS for claim in claims_of(form) if table.levels(claim.name)]
    stages = [stage for stage in table.stages if any(table.level(claim, stage) for claim in claims)]
    if not stages:
        return None
    rows = tuple((Cell(claim=claim), *(_cell(table, claim, stage) for stage in stages)) for claim in claims)
    blocks = (Table(columns=("", *map(table.stage, stages)), rows=rows), Note(text=HOW))
    media = ("page", "card", "terminal")
    return Section(name="calibration", title="Confident error", intro=INTRO, blocks=blocks, media=media)


def _cell(table: FindingTable, claim: str, stage: str) -> Cell:
    finding = table.level(claim, stage)
    return Cell() if finding is None else Cell(number=number(finding))
