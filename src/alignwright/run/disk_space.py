"""How much disk space does a run need, and is it free?

Counted from the plan, as an upper bound: what each training stage leaves (all weights, or an
adapter), the saved model, and while a stage trains two checkpoints of it, each the weights and both
moments of the optimiser in float32. Records of text are small beside these.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Sequence
from pathlib import Path

from alignwright.core.train_stage import TrainStage
from alignwright.experiment.experiment import Experiment
from alignwright.files.models import resolve
from alignwright.job.job import Job

BYTES = 4  # of a weight in float32
CHECKPOINT = 3  # a weight and its two moments
RECORDS = 50_000_000
FULL = ("no space left", "os error 28", "disk quota exceeded")


class DiskFull(OSError):
    """No room is left. Not an error of the input: what was done is kept, and the same command
    goes on."""


def is_full(error: BaseException) -> bool:
    """Whether an error, or what led to it, says that a disk is full. Libraries say so in words
    alone."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(words in str(cause).lower() for words in FULL):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def bytes_needed(experiment: Experiment, jobs: Sequence[Job]) -> int | None:
    """Bytes that these jobs write at most; None for a model whose size is not known."""
    parameters = resolve(experiment.model, experiment.folder).parameters
    if parameters is None:
        return None
    stages = [job.stage for job in jobs if isinstance(job.stage, TrainStage)]
    job_bytes = [round(BYTES * parameters * stage.weights_left) for stage in stages]
    saved_model = BYTES * parameters if stages else 0
    return RECORDS + saved_model + sum(job_bytes) + 2 * CHECKPOINT * max(job_bytes, default=0)


def free(folder: Path) -> int:
    """Bytes that are free where a folder is, or will be."""
    there = next(place for place in (folder, *folder.resolve().parents) if place.is_dir())
    return shutil.disk_usage(there).free


def out_of_space_message(experiment: Experiment, jobs: Sequence[Job], folder: Path) -> str:
    """What to say when the disk is full."""
    most = bytes_needed(experiment, jobs)
    need = (
        "how much is needed is not known before the model is"
        if most is None
        else f"the {len(jobs)} stages left need at most about {_gb(most)}"
    )
    return (
        f"no room is left on the disk of {folder}: {_gb(free(folder))} free, {need}. Make room; what is done is kept,"
        " and the same command goes on"
    )


def low_space_warning(experiment: Experiment, jobs: Sequence[Job], folder: Path) -> str | None:
    """What to say before the work begins, where the room may not do."""
    most = bytes_needed(experiment, jobs)
    if most is None or most <= free(folder):
        return None
    return f"the disk of {folder} has {_gb(free(folder))} free; these stages may need up to about {_gb(most)}"


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
