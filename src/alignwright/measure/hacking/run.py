"""How is reward hacking measured inside a run: whose replies, which judges, which model before?"""

from __future__ import annotations

from alignwright.core.records import Finding
from alignwright.core.stage import resolved
from alignwright.files.contents import records
from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.job import BASELINE, Result, count_statuses
from alignwright.measure.hacking import measure as hacking
from alignwright.measure.hacking.feature_table import ScoredReply
from alignwright.measure.hacking.knobs import EDITED, TOO_FEW_PROMPTS, HackingMeasure
from alignwright.measure.hacking.reward_tests import reward_tests
from alignwright.measure.judge_score import sample_replies

SCORES = "judged.jsonl"


def measure_hacking(stage: HackingMeasure, job: JobContext) -> Result:
    """Score this model's replies by both judges and compare them with those of the model before.
    Leaves judged.jsonl."""
    prompts = subsample_evenly(job.data.prompts(stage.prompts), stage.limit)
    replies = sample_replies(
        job.target(),
        prompts,
        samples=stage.samples,
        max_new_tokens=resolved(stage.max_new_tokens),
        seed=job.seed,
    )
    texts = [[reply.text for reply in group] for group in replies]
    proxy, gold = job.scorer(stage.proxy), job.scorer(stage.gold)
    scored = hacking.judge(proxy, gold, prompts, texts, job.model)
    samples, findings = hacking.scores(scored, prompts), list[Finding]()
    both = scored
    for name in job.needed("earlier"):  # at most one: the model before
        before = records(job.folder_of(name) / SCORES, ScoredReply)
        samples += hacking.rate(before, scored)
        findings += hacking.step_findings(hacking.step(before, scored), stage=job.model, against=job.jobs[name].model)
        both = [*before, *scored]
    findings += hacking.feature_findings(both, stage=job.model, seed=job.seed)
    if stage.unit_tests and job.model == BASELINE:
        pairs = [(prompt, group) for prompt, group in zip(prompts, texts, strict=True) if group]
        if len(pairs) < EDITED:
            raise ValueError(
                f"{job.name}: {TOO_FEW_PROMPTS}, and {len(pairs)} were answered; give more prompts, or write"
                " 'unit_tests: false'"
            )
        findings += hacking.edit_findings(
            reward_tests(proxy, gold, *map(list, zip(*pairs, strict=True))), stage=job.model
        )
    return Result(count_statuses(samples), samples, findings, {SCORES: scored})
