"""The logit lens in the report: how deep the next word is settled, beside its control."""

from __future__ import annotations

from alignwright.core.section import FindingTable, Note, Section, Table, Text

CLAIMS = ("logit_lens.depth", "logit_lens.half", "logit_lens.control")
INTRO = (
    "Axis: inside. Unit: part of the depth, and shares of prompts. Control: the stream's coordinates shuffled, so that"
    " what still agrees agrees by the head's favourites alone."
)
HOW = "A late depth says as much of the lens as of the model; what is to be compared are models."


def section(table: FindingTable) -> Section | None:
    """None where nothing was read off the stream."""
    stages = [stage for stage in table.stages if table.level(CLAIMS[0], stage)]
    if not stages:
        return None
    depth, half, control = (table.level(claim, stages[-1]) for claim in CLAIMS)
    blocks: list[Table | Text | Note] = [table.numbers(CLAIMS, stages)]
    if depth and half and control and None not in (depth.value, half.value, control.value):
        words = (
            f"Of {depth.n} prompts {half.value:.0%} have their next word settled at half the depth, where"
            f" {control.value:.0%} would by the head alone; on average it is settled at {depth.value:.2f} of the depth."
        )
        blocks.append(Text(text=words))
    return Section(
        name="logit_lens", title="Where the next word is settled", intro=INTRO, blocks=(*blocks, Note(text=HOW)),
        media=("page", "card", "terminal"), tells=("logit_lens.",),
    )  # fmt: skip
