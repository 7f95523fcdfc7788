"""How is confident error measured inside a run?"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase

from alignwright.core.stage import resolved
from alignwright.files.items import ChoiceItem
from alignwright.files.short_answer_items import ShortAnswerItem
from alignwright.job.context import JobContext
from alignwright.job.job import Result
from alignwright.job.needs import NotServed, joined, untested
from alignwright.measure.conduct.calibration.choices import ChoiceScores, by_text, calibrate_choices
from alignwright.measure.conduct.calibration.claims import claims_of
from alignwright.measure.conduct.calibration.knobs import CalibrationMeasure
from alignwright.measure.conduct.calibration.short_answers import calibrate_short_answers, selection
from alignwright.measure.listed_choice import letter_logprobs


def measure_calibration(stage: CalibrationMeasure, job: JobContext) -> Result:
    """Multiple choice by log-probabilities, short answers by replies."""
    items, _ = job.data.choices(stage.choice, stage.limit)
    own = job.data.items(stage.short, ShortAnswerItem, None)
    short = selection(own, bundled_too=stage.bundled, limit=stage.limit)
    return joined(*([_choices(stage, job, items)] if items else []), *([_short(stage, job, short)] if short else []))


def _choices(stage: CalibrationMeasure, job: JobContext, items: Sequence[ChoiceItem]) -> Result:
    try:
        scores = _by_letter(job, items) if job.models.served is not None else by_text(job.policy(), items)
    except NotServed as refusal:
        return Result(findings=[untested(claim, job.model, str(refusal)) for claim in claims_of("choice")])
    return Result(samples=calibrate_choices(items, scores, sure=stage.sure))


def _by_letter(job: JobContext, items: Sequence[ChoiceItem]) -> list[ChoiceScores]:
    assert job.models.served is not None, "letters are asked of a model behind a server"
    return [
        ChoiceScores(None, "the server gave no log-probabilities of its letters")
        if logprobs is None
        else ChoiceScores(tuple(logprobs[letter] for letter in ascii_uppercase[: len(item.choices)]))
        for item, logprobs in zip(items, letter_logprobs(job.models.served, items), strict=True)
    ]


def _short(stage: CalibrationMeasure, job: JobContext, items: Sequence[ShortAnswerItem]) -> Result:
    outcomes = calibrate_short_answers(
        job.target(),
        items,
        samples=resolved(stage.samples),
        seed=job.seed,
        sure=stage.sure,
        max_new_tokens=resolved(stage.max_new_tokens),
    )
    return Result(samples=outcomes)
