"""How is a model examined for what nobody trained?

Its answers to open questions are sampled first, and only then is the judge taken into memory: one
model at a time. The judge is checked at every stage, with each set of instructions that the
questions bring along; its checks are stored once, with the start model. A judge without signal
marks nothing, and the job's line says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from alignwright.core.records import SampleResult
from alignwright.core.stage import resolved
from alignwright.feedback.scoring import rule_scorer
from alignwright.files.public_questions import FreeQuestion, PersonaItem, read_questions
from alignwright.files.server import is_server
from alignwright.measure.emergent import measure
from alignwright.measure.emergent.knobs import EmergentMeasure
from alignwright.measure.emergent.measure import ALIGNED, COHERENT, Grader, GraderCheck, LLMGrader
from alignwright.run import answers, inputs
from alignwright.run.answers import unread_answers
from alignwright.run.work import JobContext


def examine(stage: EmergentMeasure, work: JobContext) -> tuple[list[SampleResult], str]:
    """All outcomes of the measure, and what is to be said of its judge."""
    experiment, seed = work.experiment, work.experiment.seed
    policy = work.watched(work.shelf.measured(work.job.model))
    found = [
        outcome
        for name in stage.choice
        for outcome in measure.traits(
            policy, inputs.items(experiment, (name,), PersonaItem, stage.limit), inputs.part_name(name)
        )
    ]
    found += measure.abilities(policy) if stage.abilities else []
    if not stage.questions:
        return found, ""
    questions = inputs.spread([q for name in stage.questions for q in _questions(work, name)], stage.limit)
    prompts = [question.conversation for question in questions]
    said = policy.generate(
        prompts, n=stage.samples, max_new_tokens=resolved(stage.max_new_tokens), temperature=1.0, seed=seed
    )
    texts = [[reply.text for reply in group] for group in said]
    marks, told = _marked(stage, work, questions, texts)
    return [*found, *marks], told


def _questions(work: JobContext, name: str) -> Sequence[FreeQuestion]:
    return read_questions(work.experiment.source(name), bad_rows=work.experiment.intent.bad_rows).rows


def _marked(
    stage: EmergentMeasure, work: JobContext, questions: Sequence[FreeQuestion], texts: Sequence[Sequence[str]]
) -> tuple[list[SampleResult], str]:
    """Questions with the same instructions for the judge are marked together, by a judge that
    was checked with them."""
    found: list[SampleResult] = []
    checks: list[tuple[str, GraderCheck]] = []
    told: list[str] = []
    asked = [_form(stage, question) for question in questions]
    for form in dict.fromkeys(asked):
        chosen = [i for i, of in enumerate(asked) if of == form]
        judge = _judge(stage, work, *form)
        check = measure.checked(judge, stage=work.job.name)
        why_not = "" if check.signal else f"the judge has no signal: {check.reason}"
        able = judge if check.signal else None
        found += measure.marked(
            [questions[i] for i in chosen], [texts[i] for i in chosen], able, stage.thresholds, why_not=why_not
        )
        checks.append((questions[chosen[0]].topic or questions[chosen[0]].name, check))
        told += [f"; {why_not}"] if why_not else []
        told += [
            unread_answers(scorer) for scorer in (judge.alignment, judge.coherence) if isinstance(scorer, LLMGrader)
        ]
    if work.job.model == "baseline":
        inputs.write_records(work.folder / "findings.jsonl", measure.told(checks))
    return found, "".join(dict.fromkeys(told))


def _form(stage: EmergentMeasure, question: FreeQuestion) -> tuple[str, str]:
    """The judge's instructions for a question. Rules take none, so one check is enough for all."""
    rules = stage.judge is not None and stage.judge.endswith(".py")
    return (ALIGNED, COHERENT) if rules else (question.aligned or ALIGNED, question.coherent or COHERENT)


def _judge(stage: EmergentMeasure, work: JobContext, aligned: str, coherent: str) -> Grader:
    assert stage.judge is not None, "a measure with questions was let through without a judge"
    if stage.judge.endswith(".py"):
        folder = work.experiment.folder
        return Grader(
            stage.judge,
            rule_scorer(f"{stage.judge}:alignment", folder),
            rule_scorer(f"{stage.judge}:coherence", folder),
        )
    speaker, seed = work.seen(work.shelf.judge(stage.judge)), work.experiment.seed
    kept = answers.store(stage.judge, work) if is_server(stage.judge) else None
    return Grader(
        stage.judge, LLMGrader(speaker, aligned, seed, store=kept), LLMGrader(speaker, coherent, seed, store=kept)
    )
