"""How are the levels of several claims shown model by model? A table that the sections of conduct have in common."""

from __future__ import annotations

from collections.abc import Sequence

from alignwright.core.section import Cell, FindingTable, Table, number


def levels_measured(table: FindingTable, claims: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those of the claims that have a level, and the stages at which one of them has."""
    measured = [claim for claim in claims if table.levels(claim)]
    return measured, [stage for stage in table.stages if any(table.level(claim, stage) for claim in measured)]


def levels_table(
    table: FindingTable, claims: Sequence[str], stages: Sequence[str], title: str = "", *, counted: bool = False
) -> Table:
    """A row for each claim. With a title its rows are parts of one claim, called by the last word of their names."""
    rows = tuple(
        (
            Cell(text=claim.rpartition(".")[2].replace("_", " ")) if title else Cell(claim=claim),
            *(level_cell(table, claim, stage, counted=counted) for stage in stages),
        )
        for claim in claims
    )
    return Table(columns=(title, *map(table.stage, stages)), rows=rows)


def level_cell(table: FindingTable, claim: str, stage: str, *, counted: bool = False) -> Cell:
    """The number of a claim at a stage; empty where it has none. `counted`: as so many of all."""
    level = table.level(claim, stage)
    return Cell() if level is None else Cell(number=number(level), counted=counted)
