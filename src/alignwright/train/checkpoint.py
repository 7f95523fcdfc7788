"""Where was training when it was killed?

A checkpoint is a folder `checkpoint-STEP` with the float32 master weights and the optimiser's
moments (safetensors), the step count and what the method itself keeps, such as an adaptive weight
(JSON). It is written beside its final name and renamed when complete, so a kill at any moment
leaves the last whole one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file

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
    (partial / "state.json").write_text(
        json.dumps({"step": step, "parameters": len(masters), "state": dict(state or {})}), encoding="utf-8"
    )
    partial.rename(target)
    for old in sorted(folder.glob("checkpoint-*"))[:-1]:
        shutil.rmtree(old)


def load_checkpoint(
    folder: Path, masters: Sequence[Tensor], optimiser: torch.optim.Optimizer
) -> tuple[int, dict[str, float]]:
    """Restore the newest checkpoint in `folder` in place; returns its step and the method's
    numbers, (0, {}) when there is none.

    Raises ValueError when the checkpoint belongs to another set of parameters.
    """
    found = sorted(folder.glob("checkpoint-*"))
    if not found:
        return 0, {}
    meta = json.loads((found[-1] / "state.json").read_text(encoding="utf-8"))
    if meta["parameters"] != len(masters):
        raise ValueError(
            f"{found[-1]} holds {meta['parameters']} parameters, this model trains {len(masters)}; remove the folder to"
            " start over"
        )
    tensors = load_file(found[-1] / "state.safetensors")
    for i, master in enumerate(masters):
        with torch.no_grad():
            master.copy_(tensors[f"master.{i}"])
        if f"step.{i}" in tensors:
            moments = {name: tensors[f"{name}.{i}"].to(master.device, copy=True) for name in ("exp_avg", "exp_avg_sq")}
            optimiser.state[master] = {"step": tensors[f"step.{i}"].clone(), **moments}
    return int(meta["step"]), meta["state"]


def drop_checkpoints(folder: Path) -> None:
    """Remove checkpoints once the stage's result is written."""
    for path in (*folder.glob("checkpoint-*"), folder / "checkpoint.partial"):
        shutil.rmtree(path, ignore_errors=True)
