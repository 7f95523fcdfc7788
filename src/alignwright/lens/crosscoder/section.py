"""A crosscoder in the report: how much of the trained model is its own, and the latents that are most its own."""

from __future__ import annotations

from alignwright.core.section import FindingTable, Note, Section, Table, Text
from alignwright.lens.sae.section import latent_table

CLAIMS = (
    "crosscoder.new", "crosscoder.explained", "crosscoder.explained_start", "crosscoder.of_trained",
    "crosscoder.of_start", "crosscoder.shrunk", "crosscoder.decoupled", "crosscoder.limit",
)  # fmt: skip
INTRO = (
    "Axis: inside. Unit: parts of the variance, and counts of latents, on held-out tokens without attention sinks."
    " Control: the same dictionary of the start model and itself with noise as large as the change, in which no latent"
    " is of one side alone but by chance; and latent scaling, by which a feature that is in the other model after all"
    " is not counted."
)
HOW = (
    "Each row of the second table is a latent, those first that are most the trained model's own. Where none is beyond"
    " the control they are only the nearest to it. A latent that is exclusive here may still be a mixture; whether it"
    " does what it seems to is shown by steering along it. From outside it can be told that two models differ (by their"
    " predictions, as `diff` does), not in which features: there is no rival outside to hold this against."
)


def section(table: FindingTable) -> Section | None:
    """None where no models were held against each other."""
    stages = [stage for stage in table.stages if table.level(CLAIMS[0], stage)]
    if not stages:
        return None
    blocks: list[Table | Text | Note] = [table.numbers(CLAIMS, stages)]
    for stage in stages:
        level = table.level(CLAIMS[0], stage)
        if level is not None and level.note:
            blocks += [Text(text=f"{table.stage(stage)}: {level.note}"), *latent_table(level)]
    return Section(
        name="crosscoder", title="Features of the trained model alone", intro=INTRO, blocks=(*blocks, Note(text=HOW)),
        media=("page", "card", "terminal"), tells=("crosscoder.",),
    )  # fmt: skip
