"""Dictionaries in the report: what each explains beside its controls, and its largest latents to read.

Tokens are text of others: they stand in records of words, and whoever renders escapes them.
"""

from __future__ import annotations

import json
from typing import Any

from alignwright.core.records import Finding
from alignwright.core.section import Cell, FindingTable, Note, Section, Table, Text
from alignwright.lens.sae.alike import ALIKE

CLAIMS = (
    "sae.explained", "sae.gaussian", "sae.over_gaussian", "sae.components", "sae.random_weights", "sae.as_random",
    "sae.recovered", "sae.recovered_mean", "sae.on", "sae.dead",
)  # fmt: skip
INTRO = (
    "Axis: inside. Unit: parts of the variance and of the loss, and counts of latents, on held-out tokens without"
    " attention sinks. Controls: the same recipe on Gaussian activations of the same mean and covariance, in which"
    " there are no features, as many principal components, and the same recipe on the model with random weights."
)
HOW = (
    "A row of the second table is a latent: the part of the held-out tokens that switch it on, the tokens whose logits"
    " it raises and lowers most, and where it is on most (the token stands between brackets). Dictionaries of models"
    " with random weights have tidy latents too; how far one of those is on at the same tokens is their correlation."
    " What a latent seems to mean is a guess, until steering along it or ablating it shows the same."
)
_COLUMNS = ("Latent", "On, of tokens", "Promotes", "Suppresses", "Where it is on most")
_RANDOM = "With random weights"


def section(table: FindingTable) -> Section | None:
    """None where no dictionary was made."""
    stages = [stage for stage in table.stages if table.level(CLAIMS[0], stage)]
    if not stages:
        return None
    blocks: list[Table | Text | Note] = [table.numbers(CLAIMS, stages)]
    for stage in stages:
        level = table.level(CLAIMS[0], stage)
        if level is None:
            continue
        if level.note:
            blocks.append(Text(text=f"{table.stage(stage)}: {level.note}"))
        blocks += latent_table(level)
    return Section(
        name="sae", title="Features of the activations", intro=INTRO, blocks=(*blocks, Note(text=HOW)),
        media=("page", "card", "terminal"), tells=("sae.",),
    )  # fmt: skip


def latent_table(level: Finding) -> list[Table]:
    """The latents that a finding has in its detail, one a row; no table where it has none."""
    cards = {
        name.removeprefix("latent "): json.loads(str(value))
        for name, value in level.detail.items()
        if name.startswith("latent ")
    }
    if not cards:
        return []
    beside = any(card.get("as_random") is not None for card in cards.values())
    rows = tuple((*_latent(name, card), *([_as_random(card)] if beside else [])) for name, card in cards.items())
    return [Table(columns=(*_COLUMNS, *([_RANDOM] if beside else [])), rows=rows)]


def _as_random(card: dict[str, Any]) -> Cell:
    like = card.get("as_random")
    if like is None:
        return Cell(text="on too seldom to say")
    return Cell(text=f"{'there as well' if like >= ALIKE else 'not there'} ({like:.2f})")


def _latent(name: str, feature: dict[str, Any]) -> tuple[Cell, ...]:
    examples = tuple(
        f"{each['value']:.1f}: {each['before']}[{each['token']}]{each['after']}" for each in feature["examples"]
    )
    return (
        Cell(text=f"latent {name}"),
        Cell(text=f"{feature['rate']:.2%} of {round(feature['tokens'] / feature['rate'])}"),
        Cell(text=_words(feature["promotes"])),
        Cell(text=_words(feature["suppresses"])),
        Cell(lines=examples),
    )


def _words(words: list[list[Any]]) -> str:
    return ", ".join(repr(str(word)) for word, _ in words[:5])
