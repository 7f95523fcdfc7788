"""What does each attack do? One match over its stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from alignwright.attack.best_of_n import best_of_n, forecast_finding
from alignwright.attack.by_speaker import by_speaker
from alignwright.attack.evolve import Breeding, evolve
from alignwright.attack.fixed_ways import by_fixed_ways, requests
from alignwright.attack.judging.beside import rules_beside
from alignwright.attack.judging.check import JudgeCheck, check_judge, labelled
from alignwright.attack.judging.grader import by_judge
from alignwright.attack.judging.judge import SuccessJudge
from alignwright.attack.knobs import AnyAttack, Embedding, Gcg, Mutate, Replay, Suffix, Suite, Tamper
from alignwright.attack.knobs_repair import Repair
from alignwright.attack.knobs_requests import Inquiry
from alignwright.attack.knobs_search import FORECAST, BestOfNJailbreak, Evolve
from alignwright.attack.knobs_speakers import BySpeaker
from alignwright.attack.knobs_white_box import WhiteBox
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
from alignwright.job.job import BASELINE, Result, count_statuses
from alignwright.job.needs import joined


def run(stage: AnyAttack | Repair, job: JobContext) -> Result:
    """Attack the job's model; or mend, in training, what it does wrong."""
    if isinstance(stage, Repair):
        return repair(stage, job)
    target = target_of(stage, job)
    check = _told_by_judge(stage, target, job)
    result = _attacked(stage, target, job)
    return result if check is None else _with_judge(result, stage, target, check, job)


def _attacked(stage: AnyAttack, target: Target, job: JobContext) -> Result:
    note = ""
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


def _told_by_judge(stage: Inquiry, target: Target, job: JobContext) -> JudgeCheck | None:
    """Let a judge tell the target's successes, once it was checked; None where the rules do."""
    if stage.judge is None or (isinstance(stage, WhiteBox) and not job.has_weights):
        return None
    judge = SuccessJudge(stage.judge, job.judge_model(stage.judge), job.answers(stage.judge))
    files = {Path(name).stem: labelled(job.data.read(name, "labels").rows) for name in stage.judge_labels}
    check = check_judge(judge, files)
    target.grade, target.judged = by_judge(judge, check), True
    return check


def _with_judge(result: Result, stage: AnyAttack, target: Target, check: JudgeCheck, job: JobContext) -> Result:
    """The result with what the rules say beside it, and what the judge is worth."""
    each = resolved(stage.tries) if isinstance(stage, BestOfNJailbreak) else None
    beside = rules_beside(result.samples or (), target.tries, each)
    known = check.findings(job.name) if job.model == BASELINE else ()
    return replace(
        result,
        note=f"{result.note}; {check.line}",
        samples=[*(result.samples or ()), *beside],
        findings=[*(result.findings or ()), *known] or None,
    )


def result_of(
    target: Target, samples: Sequence[SampleResult], shrink: int, note: str = "", findings: Sequence[Finding] = ()
) -> Result:
    """Outcomes and tries, each first success made smaller."""
    tries = with_smallest(target, shrink)
    samples = with_smallest_in_words(samples, tries)
    note = "; ".join(filter(None, (count_statuses(samples), note)))
    return Result(note, samples, findings or None, records={ATTACKS: tries})
