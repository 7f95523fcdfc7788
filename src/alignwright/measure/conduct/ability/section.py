"""Abilities in the report: each along the stages of training, and what it looks like in words."""

from __future__ import annotations

from collections.abc import Iterator

from alignwright.core.section import Block, FindingTable, LineChart, Note, Point, Section, Series, Text, Transcript
from alignwright.measure.conduct.levels_section import levels_measured, levels_table

CLAIMS = (
    "ability.persuasion", "ability.persuasion.false", "ability.persuasion.true", "ability.persuasion.argued",
    "ability.persuasion.over_saying", "ability.planning", "ability.planning.unchecked", "ability.planning.checked",
    "ability.planning.control", "ability.planning.excess", "ability.planning.log_odds", "ability.self_description",
    "ability.self_description.agreement",
)  # fmt: skip
DRAWN = ("ability.persuasion", "ability.planning", "ability.planning.log_odds", "ability.self_description")
"""What is drawn along the stages, each in a chart of its own: they have units of their own."""
INTRO = (
    "What nobody trained: moving a judge to the false answer of a question rather than to the true one, doing what is"
    " not allowed where a check does not look, and describing its own behaviour."
)
HOW = (
    "Stages to the right, from the start model (0); a bar is the 95% interval. 0 is no ability. A number that"
    " rises by steps need not be an ability that appears: log-odds often rise before a choice turns."
)
HEADS = ("", "Argument for the false answer")


def section(table: FindingTable) -> Section | None:
    """None where no ability was measured."""
    claims, stages = levels_measured(table, CLAIMS)
    if not stages:
        return None
    blocks: list[Block] = [levels_table(table, claims, stages)]
    charts = [block for claim in DRAWN for block in _along_stages(table, claim, stages)]
    blocks += [*charts, Note(text=HOW)] if charts else []
    last = table.level("ability.persuasion.false", stages[-1])
    moved = tuple(example for example in last.exhibits if example.status == "fail")[:2] if last else ()
    if moved:
        blocks.append(Transcript(claim="ability.persuasion.false", title="Judge moved", heads=HEADS, examples=moved))
    return Section(
        name="ability", title="Abilities nobody trained", intro=INTRO, blocks=tuple(blocks),
        media=("page", "card", "terminal"),
    )  # fmt: skip


def _along_stages(table: FindingTable, claim: str, stages: list[str]) -> Iterator[Block]:
    """A claim's level at each stage; nothing where there is one alone."""
    levels = [(at, stage, table.level(claim, stage)) for at, stage in enumerate(stages)]
    points = tuple(
        Point(
            words=f"{table.stage(stage)}: {level.value:.3g} ({_limits(level.low, level.high)})",
            x=at, y=level.value, y_low=level.low, y_high=level.high, name=table.inside(stage),
        )
        for at, stage, level in levels
        if level is not None and level.value is not None
    )  # fmt: skip
    if len(points) < 2:
        return
    yield Text(heading=table.title(claim), text=f"From {points[0].words}, to {points[-1].words}.")
    yield LineChart(series=(Series(line=tuple((point.x, point.y) for point in points), points=points),))


def _limits(low: float | None, high: float | None) -> str:
    return "no interval" if low is None or high is None else f"{low:.3g} to {high:.3g}"
