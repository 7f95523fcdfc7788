"""What training changed inside, in the report: blocks, a direction, predictions and matrices, beside random changes."""

from __future__ import annotations

from alignwright.core.section import (
    Block,
    FindingTable,
    LineChart,
    Note,
    Section,
    Series,
    Text,
)

CLAIMS = (
    "diff.kl", "diff.kl_random", "diff.kl_beyond", "diff.shared", "diff.shared_random", "diff.depth", "diff.rank",
    "diff.modules",
)  # fmt: skip
INTRO = (
    "Axis: inside. Unit: nats a token, and parts of what a block adds or changes. Control: random changes of the"
    " weights, each tensor by as much as its own."
)
HOW = (
    "The chart is what each block changes by itself, beside what it adds: every block is given what the other model's"
    " block reads, so that what came from earlier blocks does not count. What the mean change says by the logit lens is"
    " a hint and no finding: in small models it can seldom be read. How far predictions moved can be had from outside;"
    " where that is done, and along how many directions, cannot, so that nothing outside is a rival of these rows."
)


def section(table: FindingTable) -> Section | None:
    """None where no models were compared."""
    stages = [stage for stage in table.stages if table.level("diff.depth", stage)]
    if not stages:
        return None
    blocks: list[Block] = [table.numbers(CLAIMS, stages)]
    for stage in stages:
        notes = [level.note for claim in CLAIMS if (level := table.level(claim, stage)) and level.note]
        if notes:
            blocks.append(Text(text=f"{table.stage(stage)}: {' '.join(notes)}"))
        shared = table.level("diff.shared", stage)
        if shared is not None and shared.detail.get("said more"):
            more, less = shared.detail["said more"], shared.detail["said less"]
            words = f"By the logit lens the mean change says more of {more}, and less of {less}."
            blocks.append(Text(text=words))
    series = (
        _curve(table, stages[-1], "layer", "its own change"),
        _curve(table, stages[-1], "random", "random changes as large"),
    )
    if all(series):
        blocks.append(LineChart(series=tuple(each for each in series if each)))
    return Section(
        name="diff", title="What training changed inside", intro=INTRO, blocks=(*blocks, Note(text=HOW)),
        media=("page", "card", "terminal"), tells=("diff.",),
    )  # fmt: skip


def _curve(table: FindingTable, stage: str, prefix: str, name: str) -> Series | None:
    level = table.level("diff.depth", stage)
    line = tuple(
        sorted(
            (float(key.split()[1]), float(value))
            for key, value in (level.detail if level else {}).items()
            if key.startswith(f"{prefix} ") and isinstance(value, float | int)
        )
    )
    own = prefix == "layer"
    return Series(name=name, colour="end" if own else "start", dashed=not own, line=line) if len(line) > 1 else None
