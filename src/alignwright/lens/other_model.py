"""Which model is the one of the run held against? One that a knob names, opened as those of the run are measured."""

from __future__ import annotations

from alignwright.job.context import JobContext
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel


def other_model(name: str, job: JobContext) -> LocalModel:
    """A folder, a file, the bundled model or a Hub id, in float32."""
    return load(job.data.source(name) if job.data.path(name).exists() else name, dtype="float32")
