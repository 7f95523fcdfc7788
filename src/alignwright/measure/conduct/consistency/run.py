"""How is consistency measured inside a run? By the letters of options, of a model here or behind a server;
replies to pairs need its log-probabilities."""

from __future__ import annotations

from collections.abc import Callable

from alignwright.core.claims import Claim
from alignwright.core.records import SampleResult
from alignwright.files.items import ChoiceItem
from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.job import Result
from alignwright.job.lettered import LetterLogprobs, letter_reader
from alignwright.job.needs import NotServed, joined, measured_with, untested
from alignwright.measure.conduct.consistency import consistency
from alignwright.measure.conduct.consistency.items import selection
from alignwright.measure.conduct.consistency.knobs import DRESS, PRINCIPLE, RULE, STANCE, ConsistencyMeasure


def measure_consistency(stage: ConsistencyMeasure, job: JobContext) -> Result:
    """Rules, principles and dresses, each where it is asked for."""
    reader = letter_reader(job)
    results = list[Result]()
    if stage.rules:
        results.append(_lettered(job, (STANCE, RULE), lambda: consistency.rules(reader)))
    if stage.pairs:
        results.append(_principles(stage, job, reader))
    if stage.dresses or stage.questions:
        own: list[ChoiceItem] = job.data.choices(stage.questions, None)[0]
        questions = consistency.dressed_questions(selection(own, bundled_too=stage.dresses, limit=stage.limit))
        results.append(_lettered(job, (DRESS,), lambda: consistency.dresses(reader, questions)))
    return joined(*results)


def _principles(stage: ConsistencyMeasure, job: JobContext, reader: LetterLogprobs) -> Result:
    every_principle, pairs = job.data.principles("all"), subsample_evenly(job.data.pairs(stage.pairs), stage.limit)
    return measured_with(
        job.policy,
        lambda policy: consistency.principles(reader, policy, every_principle, pairs),
        (PRINCIPLE,),
        job.model,
    )


def _lettered(job: JobContext, claims: tuple[Claim, ...], measure: Callable[[], list[SampleResult]]) -> Result:
    """What is read from letters; untested where a server gives none."""
    try:
        return Result(samples=measure())
    except NotServed as refusal:
        return Result(findings=[untested(claim, job.model, str(refusal)) for claim in claims])
