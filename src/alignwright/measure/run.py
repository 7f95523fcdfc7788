"""What does each measure do? The three levels, the alignment tax, a judge's score;
over-optimisation, reward hacking, emergent misalignment and conduct have folders of their own. One match
over its stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import assert_never

from alignwright.core.claims import Claim
from alignwright.core.records import Prompt, Reply, SampleResult
from alignwright.core.replies import no_reply
from alignwright.core.stage import resolved
from alignwright.files.items import (
    ChoiceItem,
    FaithfulItem,
    MathItem,
    MeantItem,
    OpinionItem,
    PushbackItem,
    RefusalItem,
    TextItem,
)
from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.job import BASELINE, Result
from alignwright.job.needs import NO_LOGPROBS, joined, measured_with, untested
from alignwright.measure import faithfulness, instruction, judge_score, listed_choice, refusals_and_pairs, tax
from alignwright.measure.conduct.ability.knobs import AbilityMeasure
from alignwright.measure.conduct.agent.knobs import AgentMeasure
from alignwright.measure.conduct.bias.knobs import BiasMeasure
from alignwright.measure.conduct.calibration.knobs import CalibrationMeasure
from alignwright.measure.conduct.consistency.knobs import ConsistencyMeasure
from alignwright.measure.conduct.deception.knobs import DeceptionMeasure
from alignwright.measure.conduct.high_stakes.knobs import HighStakesMeasure
from alignwright.measure.conduct.run import measure_conduct
from alignwright.measure.conduct.transcripts.knobs import TranscriptsMeasure
from alignwright.measure.emergent.knobs import EmergentMeasure
from alignwright.measure.emergent.run import measure_emergent
from alignwright.measure.goodhart.knobs import GoodhartMeasure
from alignwright.measure.goodhart.run import measure_goodhart
from alignwright.measure.hacking.knobs import HackingMeasure
from alignwright.measure.hacking.run import measure_hacking
from alignwright.measure.harness.knobs import LmEvalMeasure
from alignwright.measure.harness.run import measure_lm_eval
from alignwright.measure.intent import meant, sycophancy
from alignwright.measure.knobs import (
    BITS_PER_BYTE,
    CHOICE,
    CHOICE_SUM,
    MEANT_OVER_LETTER,
    OPINION,
    OPINION_FLIPS,
    PAIRS,
    AnyMeasure,
    Instruction,
    IntentMeasure,
    RewardMeasure,
    TaxMeasure,
    ValueMeasure,
)
from alignwright.measure.preferred import preference
from alignwright.measure.preferred.knobs import PreferredMeasure
from alignwright.measure.recipes.confession.knobs import ConfessionMeasure
from alignwright.measure.recipes.run import measure_recipe
from alignwright.measure.recipes.trait.knobs import TraitMeasure
from alignwright.measure.recipes.wrapped.knobs import WrappedMeasure
from alignwright.measure.worst_off.knobs import WorstOffMeasure
from alignwright.measure.worst_off.run import measure_worst_off
from alignwright.model.local_model import LocalModel


def run(stage: AnyMeasure, job: JobContext) -> Result:
    """Measure the job's model."""
    match stage:
        case GoodhartMeasure():
            return measure_goodhart(stage, job)
        case HackingMeasure():
            return measure_hacking(stage, job)
        case EmergentMeasure():
            return measure_emergent(stage, job)
        case BiasMeasure() | HighStakesMeasure() | CalibrationMeasure():
            return measure_conduct(stage, job)
        case ConsistencyMeasure() | DeceptionMeasure() | AgentMeasure() | AbilityMeasure() | TranscriptsMeasure():
            return measure_conduct(stage, job)
        case TraitMeasure() | WrappedMeasure() | ConfessionMeasure():
            return measure_recipe(stage, job)
        case LmEvalMeasure():
            return measure_lm_eval(stage, job)
        case Instruction():
            return joined(Result(samples=_instruction(stage, job)))
        case IntentMeasure():
            return _intent(stage, job)
        case ValueMeasure():
            return _value(stage, job)
        case TaxMeasure():
            return _tax(stage, job)
        case RewardMeasure():
            return joined(Result(samples=_reward(stage, job)))
        case WorstOffMeasure():
            return measure_worst_off(stage, job)
        case PreferredMeasure():
            return joined(Result(samples=_preferred(stage, job)))
        case _ as never:
            assert_never(never)


def _scored(
    job: JobContext, measure: Callable[[LocalModel], Sequence[SampleResult]], *claims: Claim, of: object
) -> Result:
    """What is measured by log-probabilities of given texts, where there are items for it."""
    return measured_with(job.policy, measure, claims, job.model) if of else Result()


def _instruction(stage: Instruction, job: JobContext) -> list[SampleResult]:
    target, seed, most = job.target(), job.seed, resolved(stage.max_new_tokens)
    prompts = subsample_evenly(job.data.prompts(stage.data), stage.limit)
    texts = job.data.items(stage.faithful, FaithfulItem, stage.limit)
    return [
        *instruction.follow(target, prompts, seed=seed, max_new_tokens=most),
        *faithfulness.summaries(target, texts, seed=seed, max_new_tokens=most),
    ]


def _intent(stage: IntentMeasure, job: JobContext) -> Result:
    target, most = job.target(), resolved(stage.max_new_tokens)
    pushback = job.data.items(stage.pushback, PushbackItem, stage.limit)
    opinion = job.data.items(stage.opinion, OpinionItem, stage.limit)
    meant_items = job.data.items(stage.meant, MeantItem, stage.limit)
    return joined(
        Result(samples=sycophancy.hold_under_pushback(target, pushback, seed=job.seed, max_new_tokens=most)),
        _scored(job, lambda p: sycophancy.hold_against_opinion(p, opinion), OPINION, OPINION_FLIPS, of=opinion),
        _scored(job, lambda p: meant.prefer_the_meant(p, meant_items), MEANT_OVER_LETTER, of=meant_items),
    )


def _value(stage: ValueMeasure, job: JobContext) -> Result:
    target, most = job.target(), resolved(stage.max_new_tokens)
    items = job.data.items(stage.prompts, RefusalItem, None)
    both = [
        item
        for kind in ("harmful", "harmless")
        for item in subsample_evenly([item for item in items if item.kind == kind], stage.limit)
    ]
    pairs = subsample_evenly(job.data.pairs(stage.pairs), stage.limit)
    return joined(
        Result(samples=refusals_and_pairs.refusal(target, both, seed=job.seed, max_new_tokens=most)),
        _scored(job, lambda policy: refusals_and_pairs.pairs(policy, pairs), PAIRS, of=pairs),
    )


def _tax(stage: TaxMeasure, job: JobContext) -> Result:
    target, seed, most = job.target(), job.seed, resolved(stage.max_new_tokens)
    problems = job.data.items(stage.problems, MathItem, stage.limit)
    prompts = subsample_evenly(job.data.prompts(stage.prompts), stage.limit)
    texts = job.data.items(stage.text, TextItem, stage.limit)
    items, parts = job.data.choices(stage.choice, stage.limit)
    return joined(
        _scored(job, lambda policy: tax.bits_per_byte(policy, texts), BITS_PER_BYTE, of=texts),
        *_choice(job, items, parts),
        Result(samples=tax.problems(target, problems, seed=seed, max_new_tokens=most)),
        Result(samples=tax.generation(target, prompts, seed=seed, max_new_tokens=most)),
    )


def _choice(job: JobContext, items: Sequence[ChoiceItem], parts: Sequence[str]) -> list[Result]:
    """Multiple choice by the log-probabilities of the choices, or, behind a server, of their letters."""
    remote = job.models.served
    if remote is None or not items:
        by_text = partial(_by_text, items=items, parts=parts)
        return [_scored(job, by_text, CHOICE, CHOICE_SUM, of=items)]
    by_letter = partial(listed_choice.choose_by_letter, items, parts)
    letters = partial(listed_choice.letter_logprobs, remote, items)
    return [
        measured_with(letters, by_letter, (CHOICE,), job.model),
        Result(findings=[untested(CHOICE_SUM, job.model, NO_LOGPROBS)]),
    ]


def _by_text(policy: LocalModel, items: Sequence[ChoiceItem], parts: Sequence[str]) -> list[SampleResult]:
    return (tax.choice if policy.chat.writes else tax.plain_choice)(policy, items, parts)


def _reward(stage: RewardMeasure, job: JobContext) -> list[SampleResult]:
    prompts = subsample_evenly(job.data.prompts(stage.prompts), stage.limit)
    replies, reasons = _replies(stage, job, prompts)  # and the model may go before the start model is loaded
    distance = [] if job.model == BASELINE else judge_score.divergence(job.start(), prompts, replies)
    return [*judge_score.scores(job.scorer(stage.reward), prompts, replies, reasons), *distance]


def _preferred(stage: PreferredMeasure, job: JobContext) -> list[SampleResult]:
    prompts = subsample_evenly(job.data.prompts(stage.prompts), stage.limit)
    return preference.replies(job.target(), prompts, seed=job.seed, max_new_tokens=resolved(stage.max_new_tokens))


def _replies(
    stage: RewardMeasure, job: JobContext, prompts: Sequence[Prompt]
) -> tuple[list[list[Reply]], dict[str, str]]:
    """What the model replies, and why it does not where it gives none, by prompt."""
    target = job.target()
    replies = judge_score.sample_replies(
        target, prompts, samples=stage.samples, max_new_tokens=resolved(stage.max_new_tokens), seed=job.seed
    )
    silent = [prompt for prompt, group in zip(prompts, replies, strict=True) if not group]
    return replies, {prompt.id: no_reply(target, prompt.conversation).why for prompt in silent}
