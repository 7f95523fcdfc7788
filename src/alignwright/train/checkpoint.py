"""Where was training when it was killed? Checkpoints for an exact resume.

A checkpoint is a folder `checkpoint-STEP` with the float32 master weights and the optimiser's
moments (safetensors), the step count and what the method itself keeps, such as an adaptive weight
(JSON). It is written beside its final name and renamed when complete, so a kill at any moment
leaves the last whole one. It also holds the size and hash of each file of lines that the stage
writes as it goes (metrics, samples, looks): whoever goes on from it adds to just those.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from alignwright.files.contents import DamagedFile, begins_as, json_object, prefix
from alignwright.model.weights import load_tensors

if TYPE_CHECKING:
    from torch import Tensor


def save_checkpoint(
    folder: Path,
    step: int,
    masters: Sequence[Tensor],
    optimiser: torch.optim.Optimizer,
    state: Mapping[str, float] | None = None,
) -> None:
    """Write what is known after `step` optimiser steps, `state` being the method's own numbers,
    and remove older checkpoints."""
    tensors: dict[str, Tensor] = {}
    for i, master in enumerate(masters):
        tensors[f"master.{i}"] = master.detach().contiguous()
        for name, moment in optimiser.state.get(
            master, {}
        ).items():  # a parameter that never had a gradient has no moments
            tensors[f"{name}.{i}"] = moment.contiguous()
    target = folder / f"checkpoint-{step:06d}"
    partial = folder / "checkpoint.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    save_file(tensors, partial / "state.safetensors")
    lines = {path.name: prefix(path) for path in sorted(folder.glob("*.jsonl"))}
    meta = {"step": step, "parameters": len(masters), "state": dict(state or {}), "lines": lines}
    (partial / "state.json").write_text(json.dumps(meta), encoding="utf-8")
    partial.rename(target)
    for outdated in sorted(folder.glob("checkpoint-*"))[:-1]:
        shutil.rmtree(outdated)


def load_checkpoint(
    folder: Path, masters: Sequence[Tensor], optimiser: torch.optim.Optimizer
) -> tuple[int, dict[str, float]]:
    """Restore the newest checkpoint in `folder` in place; returns its step and the method's
    numbers, (0, {}) when there is none.

    Raises DamagedFile, a ValueError, when the checkpoint belongs to another set of parameters, or
    when it or a file of lines beside it is not as it was left.
    """
    checkpoints = sorted(folder.glob("checkpoint-*"))
    if not checkpoints:
        return 0, {}
    meta, path = _meta(checkpoints[-1], folder, len(masters)), checkpoints[-1] / "state.safetensors"
    tensors = load_tensors(path)
    wrong = [i for i, master in enumerate(masters) if not _fits(tensors, i, master)]
    if wrong:
        raise DamagedFile(path, f"it lacks the parameter {wrong[0]}, or its moments, in the model's shape")
    for i, master in enumerate(masters):
        with torch.no_grad():
            master.copy_(tensors[f"master.{i}"])
        if f"step.{i}" in tensors:
            moments = {name: tensors[f"{name}.{i}"].to(master.device, copy=True) for name in ("exp_avg", "exp_avg_sq")}
            optimiser.state[master] = {"step": tensors[f"step.{i}"].clone(), **moments}
    return meta["step"], meta["state"]


def _meta(checkpoint: Path, folder: Path, parameters: int) -> dict[str, Any]:
    """What a checkpoint says of itself, where that is so."""
    path = checkpoint / "state.json"
    meta = json_object(path, step=int, parameters=int, state=dict, lines=dict)
    if meta["parameters"] != parameters:
        raise DamagedFile(path, f"it holds {meta['parameters']} parameters, and this model trains {parameters}")
    if checkpoint.name != f"checkpoint-{meta['step']:06d}":
        raise DamagedFile(path, f"it is of step {meta['step']}")
    if not all(isinstance(value, int | float) for value in meta["state"].values()):
        raise DamagedFile(path, "'state' holds what is no number")
    for name, mark in meta["lines"].items():
        if not begins_as(folder / name, mark):
            raise DamagedFile(folder / name, f"it does not begin with the lines that it had at step {meta['step']}")
    return meta


def _fits(tensors: Mapping[str, Tensor], i: int, master: Tensor) -> bool:
    moments = [name for name in ("step", "exp_avg", "exp_avg_sq") if f"{name}.{i}" in tensors]
    shaped = [f"{name}.{i}" for name in ("master", *moments) if name != "step"]
    return len(moments) in (0, 3) and all(name in tensors and tensors[name].shape == master.shape for name in shaped)


def drop_checkpoints(folder: Path) -> None:
    """Remove checkpoints once the stage's result is written."""
    for path in (*folder.glob("checkpoint-*"), folder / "checkpoint.partial"):
        shutil.rmtree(path, ignore_errors=True)
