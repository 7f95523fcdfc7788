"""How is a reward's gaming measured inside a run: whose replies, which judges, which model
before?"""

from __future__ import annotations

from alignwright.core.records import Finding, SampleResult
from alignwright.core.stage import resolved
from alignwright.files.contents import records
from alignwright.measure.hacking import measure as hacking
from alignwright.measure.hacking.exploited_features import ScoredReply
from alignwright.measure.hacking.knobs import EDITED, NEEDED, HackingMeasure
from alignwright.measure.hacking.reward_tests import reward_tests
from alignwright.measure.reward import speak
from alignwright.run import inputs
from alignwright.run.rewards import scorer
from alignwright.run.work import JobContext


def measure(stage: HackingMeasure, work: JobContext) -> list[SampleResult]:
    """Score this model's replies by both judges and compare them with those of the model before.
    Writes judged.jsonl and findings.jsonl."""
    experiment, seed, model = work.experiment, work.experiment.seed, work.job.model
    prompts = inputs.spread(inputs.prompts(experiment, stage.prompts), stage.limit)
    said = speak(
        work.watched(work.shelf.measured(model)),
        prompts,
        samples=stage.samples,
        max_new_tokens=resolved(stage.max_new_tokens),
        seed=seed,
    )
    texts = [[reply.text for reply in replies] for replies in said]
    proxy, gold = scorer(stage.proxy, work), scorer(stage.gold, work)
    judged = hacking.judge(proxy, gold, prompts, texts, model)
    inputs.write_records(work.folder / "judged.jsonl", judged)
    outcomes, findings = hacking.scores(judged, prompts), list[Finding]()
    earlier = next((need for need in work.job.needs if ".hacking@" in need), None)
    if earlier is not None:
        before = records(inputs.stored(work.ledger, earlier) / "judged.jsonl", ScoredReply)
        outcomes += hacking.rate(before, judged)
        findings += hacking.step_findings(hacking.step(before, judged), stage=model, against=earlier.rpartition("@")[2])
        judged = [*before, *judged]
    findings += hacking.feature_findings(judged, stage=model, seed=seed)
    if stage.unit_tests and model == "baseline":
        answered = [(prompt, replies) for prompt, replies in zip(prompts, texts, strict=True) if replies]
        if len(answered) < EDITED:
            raise ValueError(
                f"{work.job.name}: {NEEDED}, and {len(answered)} were answered; give more prompts, or write"
                " 'unit_tests: false'"
            )
        findings += hacking.edit_findings(
            reward_tests(proxy, gold, *map(list, zip(*answered, strict=True))), stage=model
        )
    inputs.write_records(work.folder / "findings.jsonl", findings)
    return outcomes
