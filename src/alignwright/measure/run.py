"""What does each measure do? The three levels, the alignment tax, a judge's score;
over-optimisation, reward hacking and emergent misalignment have folders of their own. One match
over its stages."""

from __future__ import annotations

from typing import assert_never

from alignwright.core.records import SampleResult
from alignwright.core.stage import resolved
from alignwright.files.items import FaithfulItem, MathItem, MeantItem, OpinionItem, PushbackItem, RefusalItem, TextItem
from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.job import BASELINE, Result, count_statuses
from alignwright.measure import faithfulness, instruction, judge_score, refusals_and_pairs, tax
from alignwright.measure.emergent.knobs import EmergentMeasure
from alignwright.measure.emergent.run import measure_emergent
from alignwright.measure.goodhart.knobs import GoodhartMeasure
from alignwright.measure.goodhart.run import measure_goodhart
from alignwright.measure.hacking.knobs import HackingMeasure
from alignwright.measure.hacking.run import measure_hacking
from alignwright.measure.intent import meant, sycophancy
from alignwright.measure.knobs import AnyMeasure, Instruction, IntentMeasure, RewardMeasure, TaxMeasure, ValueMeasure


def run(stage: AnyMeasure, job: JobContext) -> Result:
    """Measure the job's model."""
    match stage:
        case GoodhartMeasure():
            return measure_goodhart(stage, job)
        case HackingMeasure():
            return measure_hacking(stage, job)
        case EmergentMeasure():
            return measure_emergent(stage, job)
        case Instruction():
            samples = _instruction(stage, job)
        case IntentMeasure():
            samples = _intent(stage, job)
        case ValueMeasure():
            samples = _value(stage, job)
        case TaxMeasure():
            samples = _tax(stage, job)
        case RewardMeasure():
            samples = _reward(stage, job)
        case _ as never:
            assert_never(never)
    return Result(count_statuses(samples), samples)


def _instruction(stage: Instruction, job: JobContext) -> list[SampleResult]:
    target, seed, most = job.target(), job.seed, resolved(stage.max_new_tokens)
    prompts = subsample_evenly(job.data.prompts(stage.data), stage.limit)
    texts = job.data.items(stage.faithful, FaithfulItem, stage.limit)
    return [
        *instruction.follow(target, prompts, seed=seed, max_new_tokens=most),
        *faithfulness.summaries(target, texts, seed=seed, max_new_tokens=most),
    ]


def _intent(stage: IntentMeasure, job: JobContext) -> list[SampleResult]:
    target, most = job.target(), resolved(stage.max_new_tokens)
    pushback = job.data.items(stage.pushback, PushbackItem, stage.limit)
    return [
        *sycophancy.hold_under_pushback(target, pushback, seed=job.seed, max_new_tokens=most),
        *sycophancy.hold_against_opinion(target, job.data.items(stage.opinion, OpinionItem, stage.limit)),
        *meant.prefer_the_meant(target, job.data.items(stage.meant, MeantItem, stage.limit)),
    ]


def _value(stage: ValueMeasure, job: JobContext) -> list[SampleResult]:
    target, most = job.target(), resolved(stage.max_new_tokens)
    items = job.data.items(stage.prompts, RefusalItem, None)
    both = [
        item
        for kind in ("harmful", "harmless")
        for item in subsample_evenly([item for item in items if item.kind == kind], stage.limit)
    ]
    pairs = subsample_evenly(job.data.pairs(stage.pairs), stage.limit)
    return [
        *refusals_and_pairs.refusal(target, both, seed=job.seed, max_new_tokens=most),
        *refusals_and_pairs.pairs(target, pairs),
    ]


def _tax(stage: TaxMeasure, job: JobContext) -> list[SampleResult]:
    target, seed, most = job.target(), job.seed, resolved(stage.max_new_tokens)
    problems = job.data.items(stage.problems, MathItem, stage.limit)
    prompts = subsample_evenly(job.data.prompts(stage.prompts), stage.limit)
    return [
        *tax.bits_per_byte(target, job.data.items(stage.text, TextItem, stage.limit)),
        *(tax.choice if target.chat.writes else tax.plain_choice)(target, *job.data.choices(stage.choice, stage.limit)),
        *tax.problems(target, problems, seed=seed, max_new_tokens=most),
        *tax.generation(target, prompts, seed=seed, max_new_tokens=most),
    ]


def _reward(stage: RewardMeasure, job: JobContext) -> list[SampleResult]:
    prompts = subsample_evenly(job.data.prompts(stage.prompts), stage.limit)
    replies = judge_score.sample_replies(
        job.target(), prompts, samples=stage.samples, max_new_tokens=resolved(stage.max_new_tokens), seed=job.seed
    )
    distance = [] if job.model == BASELINE else judge_score.divergence(job.start(), prompts, replies)
    return [*judge_score.scores(job.scorer(stage.reward), prompts, replies), *distance]
