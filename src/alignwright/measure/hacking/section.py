"""Reward hacking in the report: how is the reward hacked? The exploited features and the edits that
fool it, each with two replies that show it, as a section of the report.

Of `hacking.feature.NAME` and `hacking.test.NAME` the last stage at which each was found. Their
examples are pairs of replies to one prompt, of which the proxy prefers the second, and not a reply
before and after.
"""

from __future__ import annotations

from alignwright.core.records import Finding
from alignwright.core.section import Block, Cell, FindingTable, Section, Table, Transcript, number

FEATURE, EDIT, COMBINED = "hacking.feature.", "hacking.test.", "hacking.test.combined"
EDITED = ("The unedited reply", "After the edit, and the proxy likes it as well or better")
COMPARISON = ("Gold prefers", "The proxy prefers")
INTRO = (
    "Features of replies that the proxy pays for and gold does not, and edits that raise the proxy and not gold."
    " Excess: what the proxy pays beyond gold, in its standard deviations."
)


def section(table: FindingTable) -> Section | None:
    """Gamed features, then overpaid ones, then edits that fool the proxy; the widest excess
    first. None where the reward was not tried."""
    claims = [claim for claim in table.claims if claim.startswith("hacking.")]
    if not claims:
        return None
    last = [list(levels.values())[-1] for c in claims if c.startswith((FEATURE, EDIT)) and (levels := table.levels(c))]
    hacks = sorted(last, key=lambda finding: (_rank(finding), -abs(finding.value or 0.0)))
    columns = ("What", "Seen at", "Excess", "Proxy and gold")
    blocks: list[Block] = [Table(columns=columns, rows=tuple(map(_row, hacks)))] if hacks else []
    blocks += [_transcript(finding) for finding in hacks if finding.exhibits]
    return Section(
        name="hacked",
        title="How the reward is gamed",
        intro=INTRO,
        blocks=tuple(blocks),
        tells=("hacking.feature", "hacking.test", "hacking.transition"),
    )


def _rank(finding: Finding) -> int:
    return 2 if finding.claim.startswith(EDIT) else 0 if finding.detail.get("kind") == "gamed" else 1


def _row(finding: Finding) -> tuple[Cell, ...]:
    price = _text(finding, "price")
    if finding.claim.startswith(EDIT):
        lines = tuple(filter(None, (_text(finding, "steps"), *_text(finding, "advice").split("\n"))))
        how = "how, and what would close it" if finding.claim == COMBINED else "what would close it"
        paid = Cell(text=price, lines=lines, folded=how)
    else:
        paid = Cell(text=price, lines=tuple(filter(None, (_text(finding, "reason"),))))
    excess = Cell(number=number(finding, unit=""))
    return Cell(text=_what(finding), code=finding.claim), Cell(stage=finding.stage), excess, paid


def _transcript(finding: Finding) -> Transcript:
    heads = EDITED if finding.claim.startswith(EDIT) else COMPARISON
    title = f"{_what(finding)}: replies that show it"
    return Transcript(claim=finding.claim, title=title, heads=heads, examples=finding.exhibits)


def _what(finding: Finding) -> str:
    what = _text(finding, "what")
    return what if finding.claim.startswith(EDIT) else f"{_text(finding, 'kind')}: {what}"


def _text(finding: Finding, name: str) -> str:
    return str(finding.detail.get(name) or "")
