"""How is over-optimisation measured inside a run: which judges, against which replies of the start model?"""

from __future__ import annotations

from alignwright.core.records import Outcome
from alignwright.measure import early, goodhart
from alignwright.measure.reward import divergence, speak
from alignwright.measure.sheets import Judges, Sheet
from alignwright.run import inputs
from alignwright.run.rewards import scorer
from alignwright.run.work import Work
from alignwright.spec.goodhart import GoodhartMeasure
from alignwright.spec.stages import known


def measure(stage: GoodhartMeasure, work: Work) -> list[Outcome]:
    """Score this model's replies by both judges, beside the start model's. Writes sheets.jsonl, curve.jsonl and findings.jsonl."""
    experiment, model = work.experiment, work.job.model
    prompts, shifted = (inputs.spread(inputs.prompts(experiment, files), stage.limit) for files in (stage.prompts, stage.shifted))
    asked = [*prompts, *shifted]
    policy = work.watched(work.shelf.measured(model))
    said = speak(policy, asked, samples=known(stage.samples), max_new_tokens=known(stage.max_new_tokens), seed=experiment.seed)
    start, moved = None, list[Outcome]()
    if model != "baseline":
        (earlier,) = [need for need in work.job.needs if need.endswith(".goodhart@baseline")]
        start = inputs.read_records(inputs.stored(work.ledger, earlier) / "sheets.jsonl", Sheet)
        moved = divergence(work.watched(work.shelf.measured("baseline")), prompts, said[: len(prompts)], claim="goodhart.kl")
    judges = Judges(scorer(stage.proxy, work), scorer(stage.gold, work), stage.proxy == "feedback", stage.gold == "feedback")
    found = goodhart.examine(
        model, prompts, shifted, said, judges, labels=stage.best_of[-1], sizes=stage.best_of, start=start, moved=moved
    )
    inputs.write_records(work.folder / "sheets.jsonl", found.sheets)
    inputs.write_records(work.folder / "curve.jsonl", found.curve)
    strange = early.signs(model, start, found.sheets, seed=experiment.seed) if start is not None else []
    inputs.write_records(work.folder / "findings.jsonl", [*found.findings, *strange])
    return list(found.outcomes)
