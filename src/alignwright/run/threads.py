"""How many threads? All cores that this process may use, or one for a model whose products are too
small to share, settled before torch is first imported.

A toy of hidden size 32 in two layers spends its time on threads that wait for one another: two of
them took two to ten times as long by the clock as one, and twice the CPU-seconds of a whole run
(`benchmarks/threads.py`). The line is drawn by hidden size times layers, from the configurations of
all models that the spec names, so that a large judge keeps its cores beside a small model. What has
no configuration to read (a GGUF file, a model on the Hub, a server) counts as large, and
OMP_NUM_THREADS always wins.

The number is part of the evidence: it can change the last bits of sums, so it is set once, printed
and kept in the provenance. How threads wait for each other changes speed only; that is settled in
`alignwright.model`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from alignwright.experiment.experiment import Experiment, stages
from alignwright.files.model_folder import json_object
from alignwright.files.server import is_server

SMALL = 1024
"""Hidden size times layers up to which one thread is taken: 32 x 32, 128 x 8. SmolLM2-135M has 17,280."""


def set_num_threads(experiment: Experiment | None = None) -> int:
    """Set OMP_NUM_THREADS where neither the user nor an earlier call has, and return it."""
    if "OMP_NUM_THREADS" not in os.environ:
        small = experiment is not None and all(map(is_small, _models(experiment)))
        os.environ["OMP_NUM_THREADS"] = str(1 if small else cores())
    return int(os.environ["OMP_NUM_THREADS"])


def is_small(folder: Path) -> bool:
    """Whether a folder's model is so small that one thread is faster than several."""
    config = json_object(folder / "config.json")
    if isinstance(config, str):
        return False
    sizes = [
        next((config[name] for name in names if isinstance(config.get(name), int)), None)
        for names in (("hidden_size", "n_embd", "d_model"), ("num_hidden_layers", "n_layer", "num_layers"))
    ]
    hidden, layers = sizes
    return hidden is not None and layers is not None and hidden * layers <= SMALL


def _models(experiment: Experiment) -> Iterator[Path]:
    """Where each model that the spec names lies, or would lie: the start model, and judges that are
    models of their own."""
    yield experiment.path(experiment.model)
    for _, stage in stages(experiment):
        for _, name, mark in stage.models():
            if name != "self" and not is_server(name) and not (mark.rules and name.endswith(".py")):
                yield experiment.path(name)
        for _, name in stage.judges():
            if (folder := experiment.path(name)).is_dir():
                yield folder


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
