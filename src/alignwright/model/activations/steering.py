"""How is a steered model kept, and opened like any other? As edits and its model's name (`files.steering_folder`).

Edits that are put on when a model is opened stay: whatever it is asked for then (replies, log-probabilities, training,
a server), it is the steered model. So it can be measured, attacked and promised about under its folder's name, in
families too whose norms let no weights be the same (`fold` makes weights of it where they can be). An adapter that is
trained over it is trained under the edits, which is preventative steering (Chen et al. 2025) where the direction of a
trait is added.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from alignwright.files.steering_folder import STEERING, VECTORS, SteeringEdit, SteeringFile, read_steering
from alignwright.model.activations.edits import Ablate, Add, Edit, check_edits, edit_hooks
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import Site
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.weights import write_tensors


def save_steering(
    policy: LoadedModel,
    edits: Sequence[Edit],
    folder: Path,
    *,
    model: str | Path,
    meta: Mapping[str, Any] | None = None,
) -> Path:
    """Write the folder of a steered model. `model`: the folder, or the name, of the model that is steered."""
    layout = check_edits(policy, edits)
    folder.mkdir(parents=True, exist_ok=True)
    name = os.path.relpath(model.resolve(), folder.resolve()) if isinstance(model, Path) else model
    vectors: dict[str, Any] = {}
    entries: list[SteeringEdit] = []
    for edit in edits:
        vector = edit.vector if isinstance(edit, Add) else edit.direction
        known = next((key for key, own in vectors.items() if own is vector), f"vector.{len(vectors)}")
        vectors[known] = vector
        kind, scale = ("add", edit.scale) if isinstance(edit, Add) else ("ablate", 1.0)
        entries.append(SteeringEdit(edit=kind, site=edit.site.name, vector=known, scale=scale, tokens=edit.tokens))
    write_tensors({key: own.detach().float().cpu().clone() for key, own in vectors.items()}, folder / VECTORS)
    file = SteeringFile(
        model=name, model_type=str(policy.model.config.model_type), hidden=layout.hidden, blocks=len(layout.blocks),
        edits=tuple(entries), meta=dict(meta or {}),
    )  # fmt: skip
    partial = folder / f"{STEERING}.partial"
    partial.write_text(json.dumps(file.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / STEERING)
    return folder


def load_steering(folder: Path, policy: LoadedModel) -> list[Edit]:
    """The edits of a folder. Raises ValueError for those of a model of another shape, and for vectors that are not
    there."""
    file, layout = read_steering(folder), layout_of(policy)
    if (file.hidden, file.blocks) != (layout.hidden, len(layout.blocks)):
        raise ValueError(
            f"{folder / STEERING}: steers a {file.model_type} of {file.blocks} blocks of {file.hidden}, and"
            f" {policy.name} has {len(layout.blocks)} of {layout.hidden}; name the model that the vectors were made of"
        )
    try:
        vectors = load_file(folder / VECTORS)
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{folder / VECTORS}: no whole safetensors file ({' '.join(str(error).split())}); save the steering again"
        ) from None
    edits: list[Edit] = []
    for entry in file.edits:
        if entry.vector not in vectors:
            raise ValueError(
                f"{folder / VECTORS}: no {entry.vector!r}, which {STEERING} names; save the steering again"
            )
        site, vector = Site.named(entry.site), vectors[entry.vector]
        added = entry.edit == "add"
        edits.append(Add(site, vector, entry.scale, entry.tokens) if added else Ablate(site, vector, entry.tokens))
    try:
        check_edits(policy, edits)
    except ValueError as error:
        raise ValueError(f"{folder / STEERING}: {error}") from None
    return edits


def steer_for_good(policy: LoadedModel, edits: Sequence[Edit]) -> None:
    """Put edits on a model that was just opened; they stay."""
    for module, when, hook in edit_hooks(policy, edits):
        if when == "pre":
            module.register_forward_pre_hook(hook, with_kwargs=True)
        else:
            module.register_forward_hook(hook)
    policy.steering = (*policy.steering, *edits)
