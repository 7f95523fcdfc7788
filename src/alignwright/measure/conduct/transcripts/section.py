"""Logs as evidence in the report: what each detector saw in recorded conversations, and what its word is
worth, as a section of the report."""

from __future__ import annotations

from alignwright.core.section import Block, Cell, FindingTable, Section, Table, Transcript, number

BEGINS = "transcripts."
INTRO = (
    "Conversations that somebody else recorded; no model of this run spoke in them. Beside each rate is what is"
    " known of"
    " its detector: on labelled conversations kept apart its AUROC and by how much it is above the best one-line rule"
    " (its length, its small or distinct words, the count of the most telling word)."
)
HEADS = ("", "What it saw")


def section(table: FindingTable) -> Section | None:
    """A row for each detector; None where no log was read."""
    names = [claim for claim in table.claims if claim.startswith(BEGINS) and claim.count(".") == 1]
    if not names:
        return None
    rows, blocks = list[tuple[Cell, ...]](), list[Block]()
    for name in names:
        rate = list(table.levels(name).values())[-1]
        area, above = (list(table.levels(f"{name}.{part}").values()) for part in ("auroc", "over_rule"))
        doubts = (f"grader not validated: {rate.detail['unvalidated']}",) if rate.detail.get("unvalidated") else ()
        rows.append(
            (
                Cell(text=table.title(name), code=name),
                Cell(number=number(rate), lines=doubts or tuple(filter(None, (rate.note,))), folded="what it is worth"),
                Cell(number=number(area[-1]) if area else None),
                Cell(number=number(above[-1]) if above else None),
            )
        )
        exhibits = tuple(example for example in rate.exhibits if example.status in ("fail", "pass"))[:3]
        flagged = "pass" if name.endswith(".refusal") else "fail"
        if examples := tuple(example for example in exhibits if example.status == flagged):
            blocks.append(Transcript(claim=name, title=table.title(name), heads=HEADS, examples=examples))
    columns = ("Detector", "Conversations", "AUROC", "Above the best one-line rule")
    return Section(
        name="transcripts", title="What recorded conversations show", intro=INTRO,
        blocks=(Table(columns=columns, rows=tuple(rows)), *blocks), media=("page", "card", "terminal"), tells=(BEGINS,),
    )  # fmt: skip
