"""What does each attack do? One match over its stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from alignwright.attack.best_of_n import best_of_n, forecast_finding
from alignwright.attack.by_speaker import by_speaker
from alignwright.attack.evolve import Breeding, evolve
from alignwright.attack.fixed_ways import by_fixed_ways, requests
from alignwright.attack.knobs import AnyAttack, Embedding, Gcg, Mutate, Replay, Suffix, Suite, Tamper
from alignwright.attack.knobs_repair import Repair
from alignwright.attack.knobs_requests import Inquiry
from alignwright.attack.knobs_search import FORECAST, BestOfNJailbreak, Evolve
from alignwright.attack.knobs_speakers import BySpeaker
from alignwright.attack.mutations import mutations
from alignwright.attack.repair import repair
from alignwright.attack.reply_log import REPLIES
from alignwright.attack.shrink import with_smallest, with_smallest_in_words
from alignwright.attack.target import Budget, Target
from alignwright.attack.white_box import by_weights
from alignwright.core.attacks import ATTACKS
from alignwright.core.records import Finding, SampleResult
from alignwright.core.stage import resolved
from alignwright.job.context import JobContext
from alignwright.job.job import Result, count_statuses
from alignwright.job.needs import joined


def run(stage: AnyAttack | Repair, job: JobContext) -> Result:
    """Attack the job's model; or mend, in training, what it does wrong."""
    return repair(stage, job) if isinstance(stage, Repair) else _attacked(stage, job)


def _attacked(stage: AnyAttack, job: JobContext) -> Result:
    target, note = target_of(stage, job), ""
    forecasts: list[Finding] = []
    match stage:
        case BestOfNJailbreak():
            items = requests(stage, job.data)
            samples = best_of_n(
                target, items, tries=resolved(stage.tries), strength=stage.strength, temperature=stage.temperature
            )
            forecasts = [forecast_finding(target, items, FORECAST, stage.extrapolate)]
        case Evolve():
            by = Breeding(resolved(stage.generations), resolved(stage.population), stage.mutations, stage.longest)
            policy = job.policy() if job.has_weights else None
            samples = evolve(target, requests(stage, job.data), mutations(), by, begin=stage.target, scorer=policy)
        case Suite() | Mutate() | Replay():
            samples, note = by_fixed_ways(stage, target, job.data)
        case Embedding() | Gcg() | Suffix() | Tamper():
            result = by_weights(stage, target, requests(stage, job.data), job)
            if result.samples is None or not isinstance(stage, Gcg | Suffix):
                return joined(result)  # what no words did, no other model can be asked
            samples = result.samples
        case BySpeaker():
            samples, note = by_speaker(stage, target, requests(stage, job.data), job)
        case _ as never:
            assert_never(never)
    return result_of(target, samples, resolved(stage.shrink), note, forecasts)


def target_of(stage: Inquiry, job: JobContext) -> Target:
    """The job's model as the stage may ask it."""
    return Target(
        job.target(),
        kind=job.job.by,
        model=job.model,
        max_new_tokens=resolved(stage.max_new_tokens),
        seed=job.seed,
        budget=Budget(stage.queries, stage.tokens),
        log=job.at_work / REPLIES,
    )


def result_of(
    target: Target, samples: Sequence[SampleResult], shrink: int, note: str = "", findings: Sequence[Finding] = ()
) -> Result:
    """Outcomes and tries, each first success made smaller."""
    tries = with_smallest(target, shrink)
    samples = with_smallest_in_words(samples, tries)
    note = "; ".join(filter(None, (count_statuses(samples), note)))
    return Result(note, samples, findings or None, records={ATTACKS: tries})
