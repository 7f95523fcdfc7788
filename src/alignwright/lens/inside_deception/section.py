"""What is said and what is held, in the report: lies told by a truth probe, beside all that would tell them without."""

from __future__ import annotations

from alignwright.core.section import Block, FindingTable, Note, Section, Text

AREAS = ("auroc", "over_words", "over_black_box", "words", "black_box", "random", "shuffled", "start")
LEVELS = ("truth", "truth_words", "truth_said", "lied", "flagged", "false_flags")
INTRO = (
    "Axis: inside. Unit: AUROC of lies against honest answers, and shares of statements. Controls: the words alone,"
    " asking the model again, random directions, probes of shuffled labels, and the start model reading the same."
)
HOW = (
    "A lie is told on instruction, about a statement that the model answers rightly when told to be honest. Probes are"
    " of statements of other topics, and their zero goes by like conversations about these. What asking again tells"
    " as well needed no look inside."
)


def section(table: FindingTable) -> Section | None:
    """None where nothing was held against what is said."""
    stages = [stage for stage in table.stages if table.level("inside_deception.truth", stage)]
    if not stages:
        return None
    blocks: list[Block] = []
    for parts in (LEVELS, AREAS):
        claims = [f"inside_deception.{part}" for part in parts if table.levels(f"inside_deception.{part}")]
        blocks += [table.numbers(claims, stages)] if claims else []
    blocks += [Text(text=f"{table.stage(stage)}: {words}") for stage in stages if (words := _reading(table, stage))]
    return Section(
        name="inside_deception", title="What it says and what it holds to be true", intro=INTRO,
        blocks=(*blocks, Note(text=HOW)), media=("page", "card", "terminal"), tells=("inside_deception.",),
    )  # fmt: skip


def _reading(table: FindingTable, stage: str) -> str:
    truth, words, area = (table.level(f"inside_deception.{part}", stage) for part in ("truth", "truth_words", "auroc"))
    parts = list[str]()
    if truth and words and truth.value is not None and words.value is not None:
        parts.append(
            f"of {truth.n} statements of topics held out the probe tells {truth.value:.0%} right, their words alone"
            f" {words.value:.0%}"
        )
    if area is not None:
        parts.append(str(area.detail.get("untested", "")) if area.value is None else area.note.rstrip("."))
    return "; ".join(filter(None, parts)) + "." if parts else ""
