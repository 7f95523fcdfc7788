"""The gate in the report: for each concern how many cases fire, beside control prompts and the start model."""

from __future__ import annotations

from alignwright.core.section import Block, FindingTable, Note, Section, Text

CONCERNS = ("capability", "deception", "goal")
PARTS = ("", ".control", ".by_words", ".start", ".benign", ".auroc", ".words", ".over_words", ".random")
INTRO = (
    "Axis: inside. Unit: share of cases above a threshold, and AUROC. Controls: ordinary prompts that set no threshold,"
    " the start model's own direction, random directions, the words alone at as many false alarms, and a harmless"
    " fine-tuning where one is named."
)
HOW = (
    "A threshold is set on ordinary prompts and never on the cases. A concern without texts, or whose direction shows"
    " nothing beside its controls, is untested and has not passed. A quiet gate is evidence about these directions"
    " alone."
)


def section(table: FindingTable) -> Section | None:
    """None where nothing was put to the gate."""
    stages = [stage for stage in table.stages if any(table.level(f"gate.{each}", stage) for each in CONCERNS)]
    if not stages:
        return None
    claims = [f"gate.{each}{part}" for each in CONCERNS for part in PARTS]
    blocks: list[Block] = [table.numbers(claims, stages)]
    for stage in stages:
        words = " ".join(filter(None, (_reading(table, each, stage) for each in CONCERNS)))
        blocks += [Text(text=f"{table.stage(stage)}: {words}")] if words else []
    return Section(
        name="gate", title="Before it is let out", intro=INTRO, blocks=(*blocks, Note(text=HOW)),
        media=("page", "card", "terminal"), tells=("gate.",),
    )  # fmt: skip


def _reading(table: FindingTable, concern: str, stage: str) -> str:
    parts = ("", ".control", ".auroc", ".by_words")
    cases, control, area, words = (table.level(f"gate.{concern}{part}", stage) for part in parts)
    if cases is None:
        return ""
    if cases.value is None:
        return f"{concern.capitalize()} is untested: {cases.detail.get('untested', 'no case was scored')}."
    beside = f", of ordinary prompts {control.value:.0%}" if control is not None and control.value is not None else ""
    rival = f", by the words alone {words.value:.0%}" if words is not None and words.value is not None else ""
    text = f"Of {cases.n} cases {cases.value:.0%} are above the threshold of {concern}{rival}{beside}."
    return f"{text} {area.note}" if area is not None and area.note else text
