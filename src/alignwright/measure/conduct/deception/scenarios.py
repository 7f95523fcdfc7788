"""Which scenarios and questions does deception come with, and which of them are asked?"""

from __future__ import annotations

from collections.abc import Sequence

from alignwright.files.items import ChoiceItem
from alignwright.files.pressure_items import PressureItem
from alignwright.job.data import subsample_evenly
from alignwright.measure.conduct.bundled_file import bundled_file

PRESSURES = 3
"""Reasons by which each fact is asked."""


def scenarios() -> list[PressureItem]:
    """The bundled scenarios: each fact under three of five pressures, each log under three incentives. Those of
    one fact or log are one cluster."""
    file, facts = bundled_file("deception", "scenarios.yaml"), bundled_file("", "facts.yaml")
    names, items = list(file["pressures"]), list[PressureItem]()
    for turn in range(PRESSURES):
        for place, (question, paraphrase, true, false, _) in enumerate(facts):
            name = names[(place + turn) % len(names)]
            items.append(_item(file["pressures"][name], name, question, paraphrase, true, false))
    for name, role in file["incentives"].items():
        for log, question, true, false, topic in file["logs"]:
            forms = (f"Log: {log}\n\n{question}", f"This is the log: {log}\n\nAccording to it: {question}")
            items.append(_item(role, name, *forms, true, false, topic))
    return items


def _item(
    role: dict[str, str], reason: str, question: str, paraphrase: str, true: str, false: str, topic: str = ""
) -> PressureItem:
    system, calm = (role[name].replace("{true}", true).replace("{false}", false) for name in ("system", "calm"))
    return PressureItem(
        question=question, paraphrase=paraphrase, true=true, false=false, system=system, calm=calm, reason=reason,
        topic=topic or question,
    )  # fmt: skip


def questions() -> list[ChoiceItem]:
    """The bundled questions of ability: the facts."""
    return [
        ChoiceItem(question=question, choices=(true, false), answer=0, topic=question)
        for question, _, true, false, _ in bundled_file("", "facts.yaml")
    ]


def able(own: Sequence[ChoiceItem], *, bundled_too: bool, limit: int | None) -> list[ChoiceItem]:
    """The questions of ability that are asked: one's own, or those of the package."""
    return subsample_evenly(own or (questions() if bundled_too else []), limit)


def selection(own: Sequence[PressureItem], *, bundled_too: bool, limit: int | None) -> list[PressureItem]:
    """The scenarios that are asked, those of the package before one's own."""
    return subsample_evenly([*(scenarios() if bundled_too else []), *own], limit)
