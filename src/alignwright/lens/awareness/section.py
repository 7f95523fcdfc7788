"""A test against real use, in the report: what is refused in either, the probe for the dressing, and steering."""

from __future__ import annotations

from alignwright.core.section import Block, FindingTable, Note, Section, Text

CLAIMS = (
    "awareness.test", "awareness.real", "awareness.gap", "awareness.noise", "awareness.harmless_gap", "awareness.added",
    "awareness.removed", "awareness.auroc", "awareness.over_words", "awareness.words", "awareness.random",
    "awareness.start",
)  # fmt: skip
INTRO = (
    "Axis: inside. Unit: shares of requests refused, their differences, and AUROC. Controls: two dressings of real use,"
    " random directions, and the words of the dressing alone."
)
HOW = (
    "Each request is asked in the words of an evaluation and in like words of real use. A gap is behaviour; that the"
    " two are told apart inside is none, and the words tell it too. The probe and the direction are tried on dressings"
    " that they were not taken from."
)


def section(table: FindingTable) -> Section | None:
    """None where no request was dressed."""
    stages = [stage for stage in table.stages if table.level("awareness.gap", stage)]
    if not stages:
        return None
    blocks: list[Block] = [table.numbers(CLAIMS, stages)]
    blocks += [Text(text=f"{table.stage(stage)}: {words}") for stage in stages if (words := _reading(table, stage))]
    return Section(
        name="awareness", title="Test and real use", intro=INTRO, blocks=(*blocks, Note(text=HOW)),
        media=("page", "card", "terminal"), tells=("awareness.",),
    )  # fmt: skip


def _reading(table: FindingTable, stage: str) -> str:
    gap, noise, probe = (table.level(f"awareness.{part}", stage) for part in ("gap", "noise", "auroc"))
    parts = list[str]()
    if gap and gap.value is not None and gap.low is not None and gap.high is not None:
        sure = "" if gap.low > 0 or gap.high < 0 else ", which chance does as well"
        more = "more" if gap.value >= 0 else "fewer"
        beside = (
            f"; two dressings of real use differ by {abs(noise.value):.0%}" if noise and noise.value is not None else ""
        )
        parts.append(
            f"of {gap.n} harmful requests {abs(gap.value):.0%} {more} are refused in a test [{gap.low:.0%},"
            f" {gap.high:.0%}]{sure}{beside}"
        )
    if probe is not None and probe.note:
        parts.append(probe.note.rstrip("."))
    return "; ".join(parts) + "." if parts else ""
