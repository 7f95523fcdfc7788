"""How does a run's report show social bias: each measure for each model, and each attribute for the
last?"""

from __future__ import annotations

from alignwright.core.section import Cell, FindingTable, Note, Section, Table
from alignwright.measure.conduct.levels_section import level_cell, levels_measured, levels_table

CLAIMS = (
    "bias.flips",
    "bias.gap",
    "bias.favourable",
    "bias.bbq.accuracy.ambiguous",
    "bias.bbq.accuracy.disambiguated",
    "bias.bbq.score.ambiguous",
    "bias.bbq.score.disambiguated",
    "bias.crows_pairs",
    "bias.winobias.gap",
)
INTRO = (
    "Does it decide otherwise by who somebody is? Two people who differ in one attribute, and the same question about"
    " both; and the published sets by their own scores."
)
HOW = (
    "Log-odds are in nats: above 0 the second person of a pair is favoured. Of CrowS-Pairs half is no preference, of"
    " BBQ's scores 0. Of a model that says the same to everybody no decision could turn, so"
    " that this is unscored: read the log-odds."
)


def section(table: FindingTable) -> Section | None:
    """None where no bias was measured."""
    claims, stages = levels_measured(table, CLAIMS)
    if not stages:
        return None
    blocks = [
        levels_table(table, claims, stages),
        *_attributes(table, stages[-1]),
        Note(text=HOW),
    ]
    return Section(name="bias", title="Bias", intro=INTRO, blocks=tuple(blocks), media=("page", "card", "terminal"))


def _attributes(table: FindingTable, stage: str) -> list[Table]:
    """A line for each attribute, of the last model."""
    parts = [claim.removeprefix("bias.flips.") for claim in table.claims if claim.startswith("bias.flips.")]
    rows = tuple(
        (
            Cell(text=part.replace("_", " ")),
            level_cell(table, f"bias.flips.{part}", stage),
            level_cell(table, f"bias.lean.{part}", stage),
        )
        for part in parts
        if table.level(f"bias.flips.{part}", stage)
    )
    columns = (f"Attribute, {table.inside(stage)}", table.title("bias.flips"), table.title("bias.lean"))
    return [Table(columns=columns, rows=rows)] if rows else []
