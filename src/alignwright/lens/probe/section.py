"""Probes in the report: each area beside what anything else would give, and the sweep over the layers."""

from __future__ import annotations

from alignwright.core.section import (
    Block,
    FindingTable,
    LineChart,
    Note,
    Point,
    Section,
    Series,
    Text,
)

PARTS = (
    "auroc", "words", "over_words", "random", "control", "start", "benign", "over_benign", "on_benign", "by_benign",
)  # fmt: skip
INTRO = (
    "Axis: inside. Unit: AUROC on texts of held-out topics (0.5 is chance, below it the sign is wrong). Controls:"
    " random directions, the words alone, control texts where the data has some, the start model, and a harmless"
    " fine-tuning where one is named."
)
HOW = (
    "The chart is the area of each block on the texts that chose the block, so the best of it is too good; the table's"
    " numbers are on texts that took no part. What the words alone tell needed no look inside."
)


def section(table: FindingTable) -> Section | None:
    """None where no probe was fitted."""
    areas = [claim for claim in table.claims if claim.startswith("probe.") and claim.endswith(".auroc")]
    blocks: list[Block] = []
    for claim in areas:
        blocks += _concept(table, claim)
    if not blocks:
        return None
    return Section(
        name="probes", title="Directions for concepts", intro=INTRO, blocks=(*blocks, Note(text=HOW)),
        media=("page", "card", "terminal"), tells=("probe.",),
    )  # fmt: skip


def _concept(table: FindingTable, claim: str) -> list[Block]:
    whole = claim.removesuffix(".auroc")
    stages = [stage for stage in table.stages if table.level(claim, stage)]
    blocks: list[Block] = [table.numbers([f"{whole}.{part}" for part in PARTS], stages)]
    for place, stage in enumerate(stages):
        level = table.level(claim, stage)
        if level is not None and level.note:
            heading = whole.removeprefix("probe.").replace("_", " ").capitalize() if not place else ""
            blocks.append(Text(heading=heading, text=f"{table.stage(stage)}: {level.note}"))
    series = tuple(
        each for place, stage in enumerate(stages) if (each := _sweep(table, claim, stage, place, len(stages)))
    )
    return [*blocks, *([LineChart(series=series)] if series else [])]


def _sweep(table: FindingTable, claim: str, stage: str, place: int, stages: int) -> Series | None:
    level = table.level(claim, stage)
    detail = level.detail if level is not None else {}
    layers = [(int(name.split()[1]), value) for name, value in detail.items() if name.startswith("layer ")]
    line = tuple((float(layer), float(value)) for layer, value in sorted(layers) if isinstance(value, float | int))
    if len(line) < 2:
        return None
    best = max(line, key=lambda point: point[1])
    words = f"{table.stage(stage)}, block {best[0]:.0f}: {best[1]:.2f}"
    colour = "start" if not place else "end" if place == stages - 1 else "mid"
    return Series(name=table.stage(stage), colour=colour, line=line, points=(Point(words=words, x=best[0], y=best[1]),))
