"""How is a model steered inside a run? Its own direction, tried on other requests, and kept if asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from alignwright.core.stage import resolved
from alignwright.files.items import RefusalItem
from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.job import Result, count_statuses
from alignwright.job.needs import NotServed, untested
from alignwright.lens.steer.knobs import SteerStage
from alignwright.lens.steer.steer import contrast, steer
from alignwright.model.activations.edits import Add, ablate_everywhere
from alignwright.model.activations.fold import fold
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import Site, resolve_layer
from alignwright.model.local_model import LocalModel
from alignwright.model.weights import write_tensors

DIRECTION, MODEL = "direction.safetensors", "steered"


def measure_steer(stage: SteerStage, job: JobContext) -> Result:
    """Make the direction, try it, and keep it in the job's folder."""
    try:
        policy = job.policy()
    except NotServed as refusal:
        return Result(samples=[], findings=[untested(claim, job.model, str(refusal)) for claim in stage.claims()])
    layer = resolve_layer(stage.layer, len(layout_of(policy).blocks))
    vector_H = contrast(policy, job.data.items(stage.requests, RefusalItem, None), layer)
    write_tensors({f"direction.{layer}": vector_H.contiguous()}, job.folder / DIRECTION)
    items = job.data.items(stage.tried, RefusalItem, None)
    both = [
        item
        for kind in ("harmful", "harmless")
        for item in subsample_evenly([item for item in items if item.kind == kind], resolved(stage.limit))
    ]
    samples = steer(policy, vector_H, layer, both, scale=stage.scale, max_new_tokens=resolved(stage.max_new_tokens))
    if stage.save != "none":
        save_steered(policy, stage.save, vector_H * stage.scale, layer, job.folder / MODEL)
        job.models.drop()  # its weights were changed
    return Result(note=f"block {layer}: {count_statuses(samples)}", samples=samples)


def save_steered(policy: LocalModel, how: str, vector_H: Tensor, layer: int, folder: Path) -> None:
    """The steered model as a plain folder. The model in memory is the steered one afterwards. Raises ValueError where
    its weights cannot be that model."""
    edits = ablate_everywhere(layout_of(policy), vector_H) if how == "ablated" else [Add(Site(layer), vector_H)]
    fold(policy, edits)
    if how == "added":
        _declare_biases(policy)
    policy.save(folder)


@torch.no_grad()
def _declare_biases(policy: LocalModel) -> None:
    """A bias that transformers would make when it opens the folder: of every MLP's products, 0 but for the one."""
    config: Any = policy.model.config
    if not hasattr(config, "mlp_bias"):
        raise ValueError(
            f"{policy.name} ({config.model_type}): its MLPs have no place for a bias, so what is added cannot be saved"
            " in its weights; save it 'ablated', or steer it while it runs"
        )
    config.mlp_bias = True
    for block in layout_of(policy).blocks:
        for part in block.get_submodule("mlp").modules():
            if isinstance(part, nn.Linear) and part.bias is None:
                part.bias = nn.Parameter(torch.zeros(part.out_features, dtype=part.weight.dtype))
