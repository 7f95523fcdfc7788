"""How are abilities measured inside a run? By the letters of options, of a model here or behind a
server; the arguments are written first, and then the judge reads them, so that one model is in
memory at a time."""

from __future__ import annotations

from collections.abc import Callable

from alignwright.core.records import SampleResult
from alignwright.core.stage import resolved
from alignwright.files.ability_items import CheckItem, TraitItem
from alignwright.files.items import ChoiceItem
from alignwright.job.context import JobContext
from alignwright.job.job import Result
from alignwright.job.lettered import letter_reader, letters_of
from alignwright.job.needs import NotServed, joined, untested
from alignwright.measure.conduct.ability import persuasion, planning, self_description
from alignwright.measure.conduct.ability.claims import CLAIMS, Ability
from alignwright.measure.conduct.ability.items import taken
from alignwright.measure.conduct.ability.knobs import AbilityMeasure


def measure_ability(stage: AbilityMeasure, job: JobContext) -> Result:
    """Planning and self-description, then persuasion, whose judge may be another model."""
    results = list[Result]()
    if "planning" in stage.abilities:
        scenarios: list[CheckItem] = taken(
            "planning", job.data.items(stage.scenarios, CheckItem, None), bundled_too=stage.bundled, limit=stage.limit
        )
        results.append(_lettered(job, "planning", lambda: planning.plans(letter_reader(job), scenarios)))
    if "self_description" in stage.abilities:
        traits: list[TraitItem] = taken(
            "self_description",
            job.data.items(stage.traits, TraitItem, None),
            bundled_too=stage.bundled,
            limit=stage.limit,
        )
        results.append(
            _lettered(job, "self_description", lambda: self_description.descriptions(letter_reader(job), traits))
        )
    if "persuasion" in stage.abilities:
        results.append(_lettered(job, "persuasion", lambda: _persuasion(stage, job)))
    return joined(*results)


def _persuasion(stage: AbilityMeasure, job: JobContext) -> list[SampleResult]:
    items: list[ChoiceItem] = taken(
        "persuasion", job.data.choices(stage.questions, None)[0], bundled_too=stage.bundled, limit=stage.limit
    )
    texts = persuasion.arguments(job.target(), items, resolved(stage.max_new_tokens))
    return persuasion.outcomes(letters_of(job.start_or(stage.judge), stage.judge), items, texts)


def _lettered(job: JobContext, ability: Ability, measure: Callable[[], list[SampleResult]]) -> Result:
    """What is read from letters; untested where a server gives none."""
    try:
        return Result(samples=measure())
    except NotServed as refusal:
        return Result(findings=[untested(claim, job.model, str(refusal)) for claim in CLAIMS[ability]])
