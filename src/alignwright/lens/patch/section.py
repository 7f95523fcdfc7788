"""Patching in the report: which heads and MLPs carry an answer, beside random ones, and where it travels."""

from __future__ import annotations

from alignwright.core.section import (
    Block,
    Cell,
    Colour,
    FindingTable,
    Items,
    LineChart,
    Note,
    Point,
    Section,
    Series,
    Text,
)

PARTS = (
    "gap", "told", "recovered", "recovered_random", "recovered_beyond", "lost", "lost_random", "lost_beyond", "depth",
    "agreement",
)  # fmt: skip
INTRO = (
    "Axis: inside. Unit: part of the gap between the answers' logits after the two prompts. Control: twenty sets of as"
    " many other heads and MLPs. The components were chosen on other pairs than those on which they are tried."
)
HOW = (
    "The chart is what the stream of each block brings back when it is put from the clean run into the corrupt one: at"
    " the tokens that differ, at those after them, and at the last token."
)
ROLES: tuple[tuple[str, str, Colour], ...] = (
    ("changed", "the tokens that differ", "start"),
    ("between", "those after them", "mid"),
    ("layer", "the last token", "end"),
)
_SHOWN = 5


def section(table: FindingTable) -> Section | None:
    """None where nothing was patched."""
    gaps = [claim for claim in table.claims if claim.startswith("patch.") and claim.endswith(".gap")]
    blocks: list[Block] = []
    for claim in gaps:
        blocks += _task(table, claim.removesuffix(".gap"))
    if not blocks:
        return None
    return Section(
        name="patching", title="Which parts carry the answer", intro=INTRO, blocks=(*blocks, Note(text=HOW)),
        media=("page", "card", "terminal"), tells=("patch.",),
    )  # fmt: skip


def _task(table: FindingTable, task: str) -> list[Block]:
    stages = [stage for stage in table.stages if table.level(f"{task}.gap", stage)]
    blocks: list[Block] = [table.numbers([f"{task}.{part}" for part in PARTS], stages)]
    for place, stage in enumerate(stages):
        heading = task.removeprefix("patch.").replace("_", " ").capitalize() if not place else ""
        words = [level.note for part in ("recovered", "lost") if (level := table.level(f"{task}.{part}", stage))]
        if any(words):
            blocks.append(Text(heading=heading, text=f"{table.stage(stage)}: {' '.join(filter(None, words))}"))
        blocks += _paths(table, task, stage)
    last = stages[-1] if stages else ""
    series = _stream(table, task, last)
    return [*blocks, *([LineChart(series=series)] if series else [])]


def _paths(table: FindingTable, task: str, stage: str) -> list[Block]:
    level = table.level(f"{task}.recovered", stage)
    paths = [
        (name.removeprefix("path "), float(value))
        for name, value in (level.detail if level else {}).items()
        if name.startswith("path ") and isinstance(value, float | int)
    ]
    if not paths:
        return []
    items = tuple(Cell(text=f"{name}: {value:.0%} of the gap by this path alone") for name, value in paths[:_SHOWN])
    return [Items(items=items)]


def _stream(table: FindingTable, task: str, stage: str) -> tuple[Series, ...]:
    level = table.level(f"{task}.depth", stage)
    detail = level.detail if level else {}
    series: list[Series] = []
    for prefix, name, colour in ROLES:
        line = tuple(
            sorted(
                (float(key.split()[1]), float(value))
                for key, value in detail.items()
                if key.split()[0] == prefix and len(key.split()) == 2 and isinstance(value, float | int)
            )
        )
        if len(line) < 2:
            continue
        top = max(line, key=lambda point: point[1])
        words = f"{name}, block {top[0]:.0f}: {top[1]:.2f}"
        point = Point(words=words, x=top[0], y=top[1])
        series.append(Series(name=name, colour=colour, line=line, points=(point,)))
    return tuple(series)
