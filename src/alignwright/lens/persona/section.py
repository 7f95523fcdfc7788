"""Training data along a trait in the report: its direction beside controls, its push, and the rows that push most."""

from __future__ import annotations

from alignwright.core.section import Block, FindingTable, Note, Section, Text, Transcript

PARTS = (
    "auroc", "random", "shuffled", "words", "over_words", "shift", "shift_beside", "ranking", "ranking_beside",
    "ranking_words", "ranking_over_words", "moved", "moved_beside",
)  # fmt: skip
INTRO = (
    "Axis: inside. Unit: AUROC on pairs of held-out topics, and shares of the gap between replies with the trait and"
    " replies without it. Controls: random directions, directions of shuffled labels, and the words alone."
)
HOW = (
    "A row's push is the mean state over its reply less that over the reply beside it (the model's own, where no other"
    " is given), along the direction: what training on it is predicted to add. It is read before any training. A push"
    " that other directions match is none, and a direction stands for the contrast that it was taken from."
)
HEADS = ("The reply beside it", "A row of the data")


def section(table: FindingTable) -> Section | None:
    """None where no direction of a trait was looked for."""
    traits = [
        claim.split(".")[1] for claim in table.claims if claim.startswith("persona.") and claim.endswith(".auroc")
    ]
    blocks: list[Block] = []
    for trait in traits:
        blocks += _trait(table, trait)
    if not blocks:
        return None
    return Section(
        name="persona", title="Training data along a trait", intro=INTRO, blocks=(*blocks, Note(text=HOW)),
        media=("page", "card", "terminal"), tells=("persona.",),
    )  # fmt: skip


def _trait(table: FindingTable, trait: str) -> list[Block]:
    claims = [f"persona.{trait}.{part}" for part in PARTS if table.levels(f"persona.{trait}.{part}")]
    stages = [stage for stage in table.stages if any(table.level(claim, stage) for claim in claims)]
    blocks: list[Block] = [table.numbers(claims, stages)]
    for place, stage in enumerate(stages):
        if words := _reading(table, trait, stage):
            heading = trait.replace("_", " ").capitalize() if not place else ""
            blocks.append(Text(heading=heading, text=f"{table.stage(stage)}: {words}"))
    for stage in stages:
        shift = table.level(f"persona.{trait}.shift", stage)
        if shift is not None and shift.exhibits:
            title = f"The rows that push most towards {trait.replace('_', ' ')}"
            blocks.append(Transcript(claim=shift.claim, title=title, heads=HEADS, examples=shift.exhibits))
    return blocks


def _reading(table: FindingTable, trait: str, stage: str) -> str:
    levels = (table.level(f"persona.{trait}.{part}", stage) for part in ("auroc", "shift", "ranking", "moved"))
    return " ".join(level.note for level in levels if level is not None and level.note)
