"""Whom does each trained model serve better than the start model did, the worst-off group first?

A panel for each group: what the model wins from the start model in the eyes of its voters, with the
start model's own 1/2 as a line. Beneath it the numbers, and what fairness costs by the votes alone.
"""

from __future__ import annotations

from alignwright.core.records import Finding
from alignwright.core.section import (
    Block,
    Cell,
    FindingTable,
    Intervals,
    Mark,
    Note,
    Panel,
    Section,
    Table,
    Text,
    number,
)
from alignwright.core.wording import interval
from alignwright.core.wording import number as in_words

WIN, REGRET, WORST, PRICE = "values.win_rate", "values.regret", "values.worst_win_rate", "values.price_of_fairness"
HOW = (
    "A dot is what a model wins from the start model among given replies, in the eyes of one group's voters; the line"
    " is the start model's own 1/2, bars are 95% intervals of each group by itself. The interval of the worst-off"
    " group pays for the choice among the groups. These are not votes on replies that the model wrote."
)


def section(table: FindingTable) -> Section | None:
    """None where no trained model was measured."""
    stages = list(table.levels(WORST))
    if not stages:
        return None
    last = stages[-1]
    claims = [claim for claim in table.claims if claim.startswith(f"{WIN}.") and table.level(claim, last)]
    claims = sorted(claims, key=lambda claim: _value(table.level(claim, last)))
    panels = tuple(
        Panel(claim=claim, low=0.0, high=1.0, lines=(0.5,), marks=tuple(_mark(table, claim, s) for s in stages))
        for claim in claims
    )
    worst = table.level(WORST, last)
    assert worst is not None
    blocks: list[Block] = [Text(text=_sentence(worst)), Intervals(panels=panels), _numbers(table, claims, last)]
    if (price := next(iter(table.levels(PRICE).values()), None)) is not None:
        blocks.append(Text(text=_price(price)))
    return Section(
        name="worst_off",
        title="Who is better off, and who is worst off",
        blocks=(*blocks, Note(text=HOW)),
        media=("page", "card", "terminal"),
        tells=(f"{WIN}.", f"{REGRET}."),
    )


def _value(finding: Finding | None) -> float:
    return 1.0 if finding is None or finding.value is None else finding.value


def _mark(table: FindingTable, claim: str, stage: str) -> Mark:
    level = table.level(claim, stage)
    label = stage.removeprefix("train.")
    if level is None or level.value is None:
        return Mark(label=label, trained=True, words=f"{table.inside(stage)}: not measured")
    words = f"{table.inside(stage)}: {in_words(level.value, level.unit)} {interval(level)}"
    return Mark(label=label, words=words, value=level.value, low=level.low, high=level.high, trained=True)


def _sentence(worst: Finding) -> str:
    group, value = worst.detail.get("group", "one"), in_words(worst.value, worst.unit)
    if worst.low is not None and worst.low > 0.5:
        then = "so every group is shown to be better off than with the start model"
    elif worst.high is not None and worst.high < 0.5:
        then = "so at least one group is shown to be worse off than with the start model"
    else:
        then = "which leaves open whether every group is better off than with the start model"
    return f"Worst off is the group {group}: the model wins {value} {interval(worst)} from the start model, {then}."


def _numbers(table: FindingTable, claims: list[str], stage: str) -> Table:
    rows = [(claim.removeprefix(f"{WIN}."), claim, claim.replace(WIN, REGRET)) for claim in claims]
    rows.append(("all voters", WIN, REGRET))
    return Table(
        columns=("group, worst off first", "won from the start model", "short of its own best"),
        rows=tuple(
            (Cell(text=name), *(_cell(table.level(claim, stage)) for claim in (win, regret)))
            for name, win, regret in rows
        ),
    )


def _cell(level: Finding | None) -> Cell:
    return Cell() if level is None else Cell(number=number(level))


def _price(price: Finding) -> str:
    lost, gain = in_words(price.value, price.unit), float(price.detail.get("gain") or 0.0)
    return (
        f"Where the worst-off group is served as well as can be, all voters together win {lost} {interval(price)} less"
        f" often, and that group {in_words(gain, price.unit)} more often (n={price.n})."
    )
