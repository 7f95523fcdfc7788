"""Which models, data and judges does a job get? Its context."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alignwright.experiment.cache_key import seed_of
from alignwright.experiment.experiment import Experiment
from alignwright.job.bar import Bar
from alignwright.job.context import JobContext
from alignwright.job.job import Job
from alignwright.job.ledger import Ledger
from alignwright.job.model_store import ModelStore
from alignwright.run.judges import judge


def model_store(experiment: Experiment, ledger: Ledger, drafts: Mapping[str, str] | None = None) -> ModelStore:
    """The models of a run; `drafts` of its start model's greedy replies."""
    return ModelStore(
        experiment.model,
        experiment.data,
        ledger,
        seed=experiment.seed,
        date=experiment.date,
        server=experiment.server,
        chat=experiment.chat_format,
        quantization=experiment.quantization,
        drafts=drafts,
    )


def job_context(
    job: Job, jobs: Mapping[str, Job], experiment: Experiment, models: ModelStore, folder: Path, bar: Bar
) -> JobContext:
    """All that a job may touch."""
    return JobContext(
        job=job,
        jobs=jobs,
        seed=seed_of(job.stage, experiment),
        data=experiment.data,
        models=models,
        ledger=models.ledger,
        folder=folder,
        bar=bar,
        judge=judge,
    )
