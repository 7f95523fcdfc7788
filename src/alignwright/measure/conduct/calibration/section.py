"""How does a run's report show confident error: what was right, how sure, and where the two part?"""

from __future__ import annotations

from alignwright.core.section import FindingTable, Note, Section
from alignwright.measure.conduct.calibration.claims import FORMS, claims_of
from alignwright.measure.conduct.levels_section import levels_measured, levels_table

INTRO = "How often it is right, how sure it is, and whether it doubts where it is wrong."
HOW = (
    "Confidence is the probability of the chosen answer among the choices; of short answers, the share of sampled"
    " replies that agree. Above 0, confidence less accuracy is overconfidence. The surer half: what would be right if"
    " the model kept silent on the other."
)


def section(table: FindingTable) -> Section | None:
    """None where nothing of it was measured."""
    claims, stages = levels_measured(table, [claim.name for form in FORMS for claim in claims_of(form)])
    if not stages:
        return None
    blocks = (levels_table(table, claims, stages), Note(text=HOW))
    media = ("page", "card", "terminal")
    return Section(name="calibration", title="Confident error", intro=INTRO, blocks=blocks, media=media)
