"""Which of a run's questions do its promises rest on?

A measure or an attack without a promised claim is not asked again, and of the others the files are
left out that no promised claim needs: their knobs are emptied as long as the stage still claims
what was promised of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import ValidationError

from alignwright.core.claims import CORRECTED, Claim
from alignwright.core.promises import parse
from alignwright.core.stage import Reads, Stage, written_knobs
from alignwright.experiment.experiment import Experiment
from alignwright.job.job import PROBES, stage_name


@dataclass(frozen=True)
class PromisedQuestions:
    """The experiment with the questions that are asked again, the names of the stages that ask any, and
    the claims of which nothing is asked."""

    experiment: Experiment
    stages: frozenset[str]
    left_out: tuple[str, ...]


def asked_again(experiment: Experiment, promises: Sequence[str]) -> PromisedQuestions:
    """The questions that these promises rest on; without promises all."""
    claims_of_promises = sorted({parse(promise).claim for promise in promises})
    parts: dict[str, Any] = written_knobs(experiment)
    names, answerable, claims = set[str](), set[str](), dict[str, None]()
    for section in PROBES:
        stages = list(cast("Sequence[Stage]", getattr(experiment, section)))
        for place, stage in enumerate(stages):
            claims |= dict.fromkeys(_names(stage))
            own = [claim for claim in claims_of_promises if _measures(stage, claim)]
            if promises and not own:
                continue
            stages[place] = _without_unneeded(stage, own) if promises else stage
            answerable |= set(_names(stages[place]))
            names.add(stage_name(section, place, str(getattr(stage, "by", ""))))
        parts[section] = tuple(stages)
    fewer = Experiment(**parts).at(experiment.folder)
    return PromisedQuestions(fewer, frozenset(names), tuple(claim for claim in claims if claim not in answerable))


def _names(stage: Stage) -> list[str]:
    """Its claims by name, without those that stand for others."""
    return [claim.name for claim in _claims(stage) if not claim.name.endswith(("*", CORRECTED))]


def _measures(stage: Stage, claim: str) -> bool:
    return any(each.covers(claim) for each in _claims(stage))


def _claims(stage: Stage) -> list[Claim]:
    return [claim for _, part in stage.parts() for claim in part.claims()]


def _without_unneeded(stage: Stage, claims: Sequence[str]) -> Stage:
    for (knob, *nested), value, _ in tuple(stage.marked(Reads)):
        if nested or not value or not isinstance(value, tuple):
            continue
        try:
            fewer = type(stage)(**(written_knobs(stage) | {str(knob): ()}))
        except ValidationError:  # a stage of this kind needs the knob
            continue
        if all(_measures(fewer, claim) for claim in claims):
            stage = fewer
    return stage
