"""How far is a rate to be believed that a grader found: the same rate corrected for the grader's
errors, as a section of the report?

Beside each such rate: the rate corrected, how it was corrected, and how often the grader was right
on replies that people labelled. Rates of which the last two are the same stand together, so that
nothing is read twice. Last come the rates whose grader nobody held against people's labels. The
page shows the corrected rate in the cell of the rate; the card and the terminal have this section.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alignwright.core.claims import CORRECTED
from alignwright.core.records import Finding
from alignwright.core.section import Cell, FindingTable, Items, Section
from alignwright.core.wording import correction, rate

INTRO = (
    "Rates that a rule found, the same rates corrected for its errors, and how often it was right on replies that"
    " people labelled."
)
Rates = list[tuple[Finding, Finding]]
"""Each as graded, and corrected."""


def section(table: FindingTable) -> Section | None:
    """What is known of the graders of the last model's rates; None where no rate was corrected."""
    last = table.stages[-1] if table.stages else ""
    groups: dict[tuple[str, str], Rates] = {}
    for claim in table.claims:
        graded, corrected = table.level(claim, last), table.level(f"{claim}{CORRECTED}", last)
        if graded and corrected:
            groups.setdefault((corrected.method, corrected.note), []).append((graded, corrected))
    items = tuple(item for how, rates in groups.items() for item in _group(rates, how))
    items += tuple(_not_validated(table, last))
    if not items:
        return None
    blocks = (Items(items=items),)
    return Section(name="graders", title="Graders", intro=INTRO, blocks=blocks, media=("card", "terminal"))


def _group(rates: Rates, how: Sequence[str]) -> list[Cell]:
    """A line for each rate; beneath the last, how all were corrected and what is known of the
    grader."""
    beneath = tuple(filter(None, how))
    last = len(rates) - 1
    return [Cell(text=_line(*pair), lines=beneath if i == last else ()) for i, pair in enumerate(rates)]


def _not_validated(table: FindingTable, stage: str) -> Iterator[Cell]:
    """Claims by a grader of which nothing is known, together where the reason is the same."""
    claims: dict[str, list[str]] = {}
    for claim in table.claims:
        level = table.level(claim, stage)
        if level is not None and (why := level.detail.get("unvalidated")):
            claims.setdefault(str(why), []).append(claim)
    for why, names in claims.items():
        yield Cell(text=f"{', '.join(names)}: grader not validated", lines=(why, "promises about them are untested"))


def _line(graded: Finding, corrected: Finding) -> str:
    if graded.value is None:
        return f"{graded.claim}: no reply was scored"
    after = f" corrected, {correction(corrected)}" if corrected.value is not None else ""
    return f"{graded.claim}: {rate(graded)} as graded, {rate(corrected)}{after}"
