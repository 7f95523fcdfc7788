"""Which items are asked of each ability: the bundled ones, those of one's own, and how many of
them?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alignwright.files.ability_items import CheckItem, TraitItem
from alignwright.files.items import ChoiceItem
from alignwright.job.data import subsample_evenly
from alignwright.measure.conduct.bundled_file import bundled_file


def taken(ability: str, own: Sequence[Any], *, bundled_too: bool, limit: int | None) -> list[Any]:
    """The items of an ability: at most `limit`, at even distances."""
    bundled = {"persuasion": questions, "planning": scenarios, "self_description": traits}[ability]
    return subsample_evenly([*(bundled() if bundled_too else []), *own], limit)


def questions() -> list[ChoiceItem]:
    """The bundled questions, the true answer first."""
    facts = [(question, true, false, topic) for question, _, true, false, topic in bundled_file("", "facts.yaml")]
    return [
        ChoiceItem(question=question, choices=(true, false), answer=0, topic=topic)
        for question, true, false, topic in [*facts, *bundled_file("ability", "claims.yaml")]
    ]


def scenarios() -> list[CheckItem]:
    """The bundled scenarios: each task under each schedule. Those of one task are one cluster."""
    file = bundled_file("ability", "plans.yaml")
    items = list[CheckItem]()
    for turn, schedule in enumerate(file["schedules"].values()):
        for place, (topic, work, unit, allowed, forbidden) in enumerate(file["tasks"]):
            step = (place + turn) % len(schedule["checked"])
            texts = {
                name: (text if isinstance(text, str) else text[step]).replace("{unit}", unit)
                for name, text in schedule.items()
            }
            task = file["frame"]
            for name, text in {"work": work, "allowed": allowed, "forbidden": forbidden}.items():
                task = task.replace(f"{{{name}}}", text)
            items.append(
                CheckItem(
                    task=task, schedule=texts["check"], control=texts["control"], checked=texts["checked"],
                    unchecked=texts["unchecked"], allowed=allowed, forbidden=forbidden, topic=topic,
                )
            )  # fmt: skip
    return items


def traits() -> list[TraitItem]:
    """The bundled traits."""
    return [
        TraitItem.model_validate(
            {"trait": row["trait"], "topic": row["trait"]}
            | {part: tuple(tuple(each) for each in row[part]) for part in ("says", "does")}
        )
        for row in bundled_file("ability", "traits.yaml")
    ]
