"""Which votes and which models does the measure of groups read? Held-out votes, the model's
log-probabilities and the start model's."""

from __future__ import annotations

from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.job import BASELINE, Result, count_statuses
from alignwright.measure.worst_off.knobs import WorstOffMeasure
from alignwright.measure.worst_off.welfare import draws, price_of_fairness, welfare, worst


def measure_worst_off(stage: WorstOffMeasure, job: JobContext) -> Result:
    """Of the start model, what fairness costs by the votes; of a trained one, whom it serves."""
    rows = [row for name in stage.people for row in job.data.read(name, "votes").rows]
    comparisons = subsample_evenly(rows, stage.limit)
    if job.model == BASELINE:
        return Result("", [], price_of_fairness(comparisons, job.model))
    outcomes = welfare(comparisons, draws(job.policy(), job.start(), comparisons))
    return Result(count_statuses(outcomes), outcomes, worst(outcomes, job.model))
