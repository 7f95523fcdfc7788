"""Which model do the experiments train? The bundled one, in the training precision of this
machine."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alignwright.model.adapters import add_lora
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.training_dtype import training_dtype

MODEL = "smollm2-135m-instruct"


@cache
def start() -> LocalModel:
    """The start model, never trained; one copy for all that only ask it."""
    return load(MODEL, dtype=training_dtype())


def adapted(rank: int, seed: int) -> LocalModel:
    """A fresh copy under a new adapter, to be trained."""
    policy = load(MODEL, dtype=training_dtype())
    add_lora(policy, rank=rank, seed=seed)
    return policy


def folder(parent: str, name: str) -> Path:
    """A folder of its own for a training stage."""
    path = Path(parent) / name
    path.mkdir(parents=True)
    return path
