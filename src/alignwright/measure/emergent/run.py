"""How is a model examined for emergent misalignment inside a run?

Its answers to open questions are sampled first, and only then is the judge taken into memory: one
model at a time. The judge is checked at every stage, with each set of instructions that the
questions bring along; its checks are stored once, with the start model. A judge without signal
marks nothing, and the job's line says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from alignwright.core.protocols import Policy
from alignwright.core.records import SampleResult
from alignwright.core.replies import no_reply
from alignwright.core.stage import resolved
from alignwright.files.public_questions import FreeQuestion, PersonaItem
from alignwright.files.server import is_server
from alignwright.job.context import JobContext
from alignwright.job.data import part_name
from alignwright.job.job import BASELINE, Result
from alignwright.job.needs import joined, measured_with
from alignwright.job.unreadable_answers import unreadable_answers
from alignwright.measure.emergent import grader, measure
from alignwright.measure.emergent.grader import ALIGNED, COHERENT, Grader, GraderCheck, LLMGrader
from alignwright.measure.emergent.knobs import ABILITY, TRAIT, EmergentMeasure


def measure_emergent(stage: EmergentMeasure, job: JobContext) -> Result:
    """Traits, small abilities and free answers of the job's model."""
    target = job.target()
    forced = [
        *([measured_with(job.policy, partial(_traits, stage, job), (TRAIT,), job.model)] if stage.choice else []),
        *([measured_with(job.policy, measure.abilities, (ABILITY,), job.model)] if stage.abilities else []),
    ]
    if not stage.questions:
        return joined(*forced)
    questions = job.data.questions(stage.questions, stage.limit)
    replies = target.generate(
        [question.conversation for question in questions],
        n=stage.samples,
        max_new_tokens=resolved(stage.max_new_tokens),
        temperature=1.0,
        seed=job.seed,
    )
    graded, checks, notes = _grade(stage, job, questions, [[reply.text for reply in group] for group in replies])
    for question, group in zip(questions, replies, strict=True):
        why = no_reply(target, question.conversation).why
        graded += measure.without_reply(question, range(len(group), stage.samples), why)
    findings = grader.judge_findings(checks) if job.model == BASELINE else None
    result = joined(*forced, Result(samples=graded, findings=findings))
    return replace(result, note=f"{result.note}{''.join(dict.fromkeys(notes))}")


def _traits(stage: EmergentMeasure, job: JobContext, policy: Policy) -> list[SampleResult]:
    return [
        sample
        for name in stage.choice
        for sample in measure.traits(policy, job.data.items((name,), PersonaItem, stage.limit), part_name(name))
    ]


def _grade(
    stage: EmergentMeasure, job: JobContext, questions: Sequence[FreeQuestion], texts: Sequence[Sequence[str]]
) -> tuple[list[SampleResult], list[tuple[str, GraderCheck]], list[str]]:
    """Questions with the same instructions for the judge are graded together, by a judge that
    was checked with them: the results, the checks, and what is to be said of the judge."""
    samples: list[SampleResult] = []
    checks: list[tuple[str, GraderCheck]] = []
    notes: list[str] = []
    forms = [_form(stage, question) for question in questions]
    for form in dict.fromkeys(forms):
        places = [place for place, other in enumerate(forms) if other == form]
        judge = _judge(stage, job, *form)
        check = grader.checked(judge, stage=job.name)
        why_not = "" if check.signal else f"the judge has no signal: {check.reason}"
        samples += measure.free_answer_samples(
            [questions[place] for place in places],
            [texts[place] for place in places],
            judge if check.signal else None,
            stage.thresholds,
            why_not=why_not,
        )
        checks.append((questions[places[0]].topic or questions[places[0]].name, check))
        notes += [f"; {why_not}"] if why_not else []
        notes += [
            unreadable_answers(scorer) for scorer in (judge.alignment, judge.coherence) if isinstance(scorer, LLMGrader)
        ]
    return samples, checks, notes


def _form(stage: EmergentMeasure, question: FreeQuestion) -> tuple[str, str]:
    """The judge's instructions for a question. Rules take none, so one check is enough for all."""
    rules = stage.judge is not None and stage.judge.endswith(".py")
    return (ALIGNED, COHERENT) if rules else (question.aligned or ALIGNED, question.coherent or COHERENT)


def _judge(stage: EmergentMeasure, job: JobContext, aligned: str, coherent: str) -> Grader:
    assert stage.judge is not None, "a measure with questions was let through without a judge"
    if stage.judge.endswith(".py"):
        return Grader(stage.judge, job.scorer(f"{stage.judge}:alignment"), job.scorer(f"{stage.judge}:coherence"))
    speaker = job.judge_model(stage.judge)
    remote = is_server(stage.judge) or (stage.judge == "self" and not job.has_weights)
    store = job.answers(stage.judge) if remote else None
    return Grader(
        stage.judge,
        LLMGrader(speaker, aligned, job.seed, store=store),
        LLMGrader(speaker, coherent, job.seed, store=store),
    )
