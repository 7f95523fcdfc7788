"""Which axioms of social choice did the rule keep on the votes that it was given, and by which votes was
one broken?"""

from __future__ import annotations

from alignwright.core.section import Block, Cell, FindingTable, Note, Section, Table, Text, Transcript, number

PREFIX = "aggregate.axiom."
HOW = (
    "An axiom is held against every comparison of three or more replies of which it says anything. No rule keeps all of"
    " them on all votes (Arrow 1951), so this is what was given up here, and for whom. The example is the smallest part"
    " of the run's own votes that breaks the axiom."
)


def section(table: FindingTable) -> Section | None:
    """None where no comparison had three replies."""
    findings = [f for f in table.findings if f.claim.startswith(PREFIX)]
    if not findings:
        return None
    rows = tuple(
        (
            Cell(claim=f.claim, code=f.claim.removeprefix(PREFIX)),
            Cell(number=number(f), counted=True),
            Cell(text=f.note or "none is broken"),
        )
        for f in findings
    )
    blocks: list[Block] = [
        Text(text=_sentence([f.claim.removeprefix(PREFIX) for f in findings if f.value])),
        Table(columns=("axiom", "broken", "smallest example"), rows=rows),
    ]
    blocks += [
        Transcript(
            claim=f.claim, title=f.note, heads=("Should not stand below", "Stands above it"), examples=f.exhibits
        )
        for f in findings
        if f.exhibits
    ]
    return Section(
        name="axioms",
        title="What the rule of the votes gives up",
        blocks=(*blocks, Note(text=HOW)),
        media=("page", "card"),
        tells=(PREFIX,),
    )


def _sentence(names: list[str]) -> str:
    if not names:
        return "On these votes the rule broke none of the axioms."
    return f"On these votes the rule broke {', '.join(names)}."
