"""Steering in the report: what taking the refusal direction out and adding it do, beside random directions."""

from __future__ import annotations

from alignwright.core.section import FindingTable, Note, Section, Table, Text

CLAIMS = (
    "steer.refusal.harmful", "steer.refusal.harmful_ablated", "steer.refusal.harmful_random", "steer.refusal.ablated",
    "steer.refusal.harmless", "steer.refusal.harmless_added", "steer.refusal.harmless_random", "steer.refusal.added",
)  # fmt: skip
INTRO = (
    "Axis: inside. Unit: share of requests refused, and differences of shares. Control: three random directions, of the"
    " same length where they are added."
)
HOW = (
    "The direction is the mean state of harmful requests less that of harmless ones, of other requests than those that"
    " are tried. What counts is the difference beyond random directions: an edit that breaks the model breaks its"
    " refusals too."
)


def section(table: FindingTable) -> Section | None:
    """None where nothing was steered."""
    stages = [stage for stage in table.stages if table.level("steer.refusal.ablated", stage)]
    if not stages:
        return None
    blocks: list[Table | Text | Note] = [table.numbers(CLAIMS, stages)]
    for stage in stages:
        if words := _reading(table, stage):
            blocks.append(Text(text=f"{table.stage(stage)}: {words}"))
    return Section(
        name="steering", title="One direction for refusal", intro=INTRO, blocks=(*blocks, Note(text=HOW)),
        media=("page", "card", "terminal"), tells=("steer.",),
    )  # fmt: skip


def _reading(table: FindingTable, stage: str) -> str:
    parts: list[str] = []
    for claim, what in (("ablated", "taking it out undoes"), ("added", "adding it brings about")):
        level = table.level(f"steer.refusal.{claim}", stage)
        if level is None or level.value is None or level.low is None or level.high is None:
            continue
        sure = "" if level.low > 0 else ", which chance does as well" if level.high >= 0 else ", the other way round"
        points = f"{100 * level.value:.0f} points [{100 * level.low:.0f}, {100 * level.high:.0f}]"
        parts.append(f"{what} {points} of refusals beyond random directions{sure}")
    return "; ".join(parts) + "." if parts else ""
