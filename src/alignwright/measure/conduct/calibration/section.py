"""How does a run's report show confident error: what was right, how sure, and where the two part?"""

from __future__ import annotations

from alignwright.core.section import Block, FindingTable, Note, Section
from alignwright.measure.conduct.calibration.claims import FORMS, claims_of
from alignwright.measure.conduct.levels_section import levels_measured, levels_table

INTRO = "How often is it right, how sure is it, and does it doubt where it is wrong?"
TITLES = {"choice": "Multiple choice", "short": "Short answers"}
ORDER = (
    "accuracy", "confident_error", "undoubted", "overconfidence", "ece", "selective", "brier", "rms", "aurc", "fitted",
    "ece_half", "ece_fitted",
)  # fmt: skip
"""What a decision rests on first."""
HOW = (
    "Confidence is the probability of the chosen answer among the choices; of short answers, the share of sampled"
    " replies that agree. Above 0, confidence less accuracy is overconfidence. The surer half: what would be right if"
    " the model kept silent on the other; where it is no better than the whole, its confidence is no ground for keeping"
    " silent."
)


def section(table: FindingTable) -> Section | None:
    """None where nothing of it was measured."""
    blocks = list[Block]()
    for form in FORMS:
        names = sorted((claim.name for claim in claims_of(form)), key=lambda name: ORDER.index(name.rpartition(".")[2]))
        claims, stages = levels_measured(table, names)
        if stages:
            one = levels_table(table, claims, stages)
            blocks.append(one.model_copy(update={"columns": (TITLES[form], *one.columns[1:])}))
    if not blocks:
        return None
    media = ("page", "card", "terminal")
    every = (*blocks, Note(text=HOW))
    return Section(name="calibration", title="Confident error", intro=INTRO, blocks=every, media=media)
