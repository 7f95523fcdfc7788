"""How is a model steered inside a run? Its own direction, tried on other requests, and kept if asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from alignwright.core.layer import SELECTED
from alignwright.core.stage import resolved
from alignwright.core.token_scope import TokenScope
from alignwright.files.items import RefusalItem
from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.job import Result, count_statuses
from alignwright.job.needs import NotServed, untested
from alignwright.lens.steer.knobs import SteerStage
from alignwright.lens.steer.select import Selection, select
from alignwright.lens.steer.selected import CANDIDATES, candidate_rows, selection_findings
from alignwright.lens.steer.steer import contrast, steer
from alignwright.model.activations.control_vector import write_control_vector
from alignwright.model.activations.direction_file import direction_in
from alignwright.model.activations.edits import Add, ablate_everywhere
from alignwright.model.activations.fold import fold
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import Site, resolve_layer
from alignwright.model.activations.steering import save_steering
from alignwright.model.local_model import LocalModel
from alignwright.model.weights import write_tensors

DIRECTION, MODEL = "direction.safetensors", "steered"
STEERING_FOLDER, CONTROL_VECTOR = "steering", "control_vector.gguf"


def measure_steer(stage: SteerStage, job: JobContext) -> Result:
    """Make the direction, try it, and keep it in the job's folder."""
    try:
        policy = job.policy()
    except NotServed as refusal:
        return Result(
            f"untested: {refusal}", [], [untested(claim, job.model, str(refusal)) for claim in stage.claims()]
        )
    selection = select(policy, _requests(stage, job), scale=stage.scale) if stage.layer == SELECTED else None
    kept = {} if selection is None else {CANDIDATES: candidate_rows(selection)}
    selected = [] if selection is None else selection_findings(selection, job.model)
    if selection is not None and selection.selected is None:
        why = f"no direction was selected: {selection.why_none}"
        claims = [claim for claim in stage.claims() if claim.name not in {finding.claim for finding in selected}]
        return Result(why, [], [*selected, *(untested(claim, job.model, why) for claim in claims)], kept)
    layer, vector_H = _direction(stage, job, policy, selection)
    write_tensors({f"direction.{layer}": vector_H.contiguous()}, job.folder / DIRECTION)
    source = stage.direction or "harmful less harmless requests"
    keep_steering(job, policy, layer, vector_H, stage.scale, source, stage.steered)
    items = job.data.items(stage.tried, RefusalItem, None)
    both = [
        item
        for kind in ("harmful", "harmless")
        for item in subsample_evenly([item for item in items if item.kind == kind], resolved(stage.limit))
    ]
    samples = steer(
        policy, vector_H, layer, both, scale=stage.scale, max_new_tokens=resolved(stage.max_new_tokens),
        tokens=stage.steered,
    )  # fmt: skip
    if stage.save != "none":
        save_steered(policy, stage.save, vector_H * stage.scale, layer, job.folder / MODEL)
        job.models.drop()  # its weights were changed
    return Result(f"block {layer}: {count_statuses(samples)}", samples, selected or None, kept)


def _direction(
    stage: SteerStage, job: JobContext, policy: LocalModel, selection: Selection | None
) -> tuple[int, Tensor]:
    """The direction and its block: the one that was selected, of the requests at one block, or of the file that is
    named."""
    if selection is not None and selection.selected is not None and selection.vector is not None:
        return selection.selected.layer, selection.vector
    assert not isinstance(stage.layer, str)
    if stage.direction is None:
        layer = resolve_layer(stage.layer, len(layout_of(policy).blocks))
        return layer, contrast(policy, _requests(stage, job), layer)
    return direction_in(job.data.path(stage.direction), stage.layer, layout_of(policy))


def _requests(stage: SteerStage, job: JobContext) -> list[RefusalItem]:
    return job.data.items(stage.requests, RefusalItem, None)


def keep_steering(
    job: JobContext, policy: LocalModel, layer: int, vector_H: Tensor, scale: float, source: str,
    tokens: TokenScope = "all",
) -> None:  # fmt: skip
    """The steered models as folders that name the model they steer, and the vector for llama.cpp, which adds it to
    every token. `source`: what it was made of."""
    meta = {"layer": layer, "from": source, "stage": job.name}
    if (model := job.kept_as) is not None:
        ablated = ablate_everywhere(layout_of(policy), vector_H, tokens)
        added = [Add(Site(layer), vector_H, scale, tokens)]
        for name, edits in (("ablated", ablated), ("added", added)):
            save_steering(policy, edits, job.folder / STEERING_FOLDER / name, model=model, meta=meta)
    if layer > 0 and tokens == "all":
        model_type = str(policy.model.config.model_type)
        write_control_vector({layer: vector_H * scale}, job.folder / CONTROL_VECTOR, model_type=model_type)


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
