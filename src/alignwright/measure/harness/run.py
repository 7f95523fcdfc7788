"""How are lm-eval's tasks run on a model of a run? They need its log-probabilities, so a model behind a
server leaves them untested."""

from __future__ import annotations

from functools import partial

from alignwright.core.stage import resolved
from alignwright.job.context import JobContext
from alignwright.job.job import Result
from alignwright.job.needs import NotServed, joined, untested
from alignwright.measure.harness.knobs import LmEvalMeasure
from alignwright.measure.harness.outcomes import aggregates, outcomes
from alignwright.measure.harness.tasks import run_tasks


def measure_lm_eval(stage: LmEvalMeasure, job: JobContext) -> Result:
    """Each task's items, scored, and lm-eval's own numbers where no item has a score."""
    claims = stage.claims()
    try:
        policy = job.policy()
    except NotServed as refusal:
        return joined(Result(findings=[untested(claims[-1], job.model, str(refusal))]))
    run = partial(run_tasks, policy, stage.tasks, [job.data.path(name) for name in stage.task_files])
    tasks = run(num_fewshot=stage.num_fewshot, limit=resolved(stage.limit), seed=job.seed)
    samples = [result for task in tasks for result in outcomes(task, claims)]
    findings = [finding for task in tasks for finding in aggregates(task, job.model)]
    parts = [f"{task.name}: {len({s['doc_id'] for s in task.samples})} of {task.documents} documents" for task in tasks]
    parts += [f"{task.name}: datasets took {', '.join(task.dates)} for dates" for task in tasks if task.dates]
    result = joined(Result(samples=samples, findings=findings))
    return Result("; ".join([result.note, *parts]), result.samples, result.findings)
