"""Which model is the one of the run held against? One that a knob names, opened as those of the run are measured."""

from __future__ import annotations

from alignwright.job.context import JobContext
from alignwright.model.activations.layout import layout_of
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel


def other_model(name: str, job: JobContext) -> LocalModel:
    """A folder, a file, the bundled model or a Hub id, in float32."""
    return load(job.data.source(name) if job.data.path(name).exists() else name, dtype="float32")


def benign_model(name: str, job: JobContext, policy: LocalModel) -> LocalModel:
    """The model that was fine-tuned on harmless data. Raises ValueError for one of another shape."""
    other = other_model(name, job)
    (one, size), (two, other_size) = ((len(x.blocks), x.hidden) for x in map(layout_of, (policy, other)))
    if (one, size) != (two, other_size):
        raise ValueError(
            f"benign: {name} has {two} blocks of {other_size}, and {policy.name} {one} of {size}: name a model that was"
            " fine-tuned from the same start model"
        )
    return other
