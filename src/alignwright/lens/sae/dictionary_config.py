"""What does a saved dictionary say of itself, and does it fit a model, as far as files tell without being loaded?

SAELens' `cfg.json` and the header of `sae_weights.safetensors` beside it (the layout is described in `file_format`).
A folder that is not whole, whose two files do not go together, or that is of another width, place or model is refused
in one line, so that `check` can say it before anything runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from alignwright.core.layer import why_no_layer
from alignwright.core.model_shape import ModelShape
from alignwright.files.model_folder import json_object, tensors

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
FINGERPRINT, WEIGHTS_HASH = "alignwright_fingerprint", "alignwright_weights"
"""Ours alone: what names the model's weights in memory, and its files."""
_READABLE = ("topk", "jumprelu", "standard", "batchtopk")
_HOOK = re.compile(r"blocks\.(\d+)\.hook_(?:resid_pre|attn_out|mlp_out|resid_post)")
_OTHER = "name the folder of another dictionary, or leave it out to train one of this model"


@dataclass(frozen=True)
class DictionaryConfig:
    """A saved dictionary without its numbers. `k` is of topk alone."""

    folder: Path
    architecture: str
    hidden: int
    latents: int
    k: int | None
    hook_name: str
    layer: int
    model_name: str | None
    fingerprint: str | None
    weights_hash: str | None
    fields: dict[str, Any]

    def misfit(self, model: ModelShape) -> str | None:
        """Why it is no dictionary of this model; None where nothing in its files is against it."""
        whose = f" (it says that it is of {self.model_name})" if self.model_name else ""
        if model.hidden is not None and model.hidden != self.hidden:
            return (
                f"{self.folder}: a dictionary of activations of width {self.hidden}{whose}, and {model.name} has"
                f" {model.hidden}; {_OTHER}"
            )
        if model.blocks is not None and (why := why_no_layer(self.layer, model.blocks)):
            return f"{self.folder}: a dictionary of {self.hook_name}{whose}: {why}; {_OTHER}"
        if self.weights_hash is not None and (own := model.weights_hash()) not in (None, self.weights_hash):
            return f"{self.folder}: a dictionary of other weights{whose} than those of {model.name} ({own}); {_OTHER}"
        return None


def read_config(folder: Path) -> DictionaryConfig:
    """Raises ValueError for a folder that holds no dictionary that can be read here, saying what it has."""
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            there = ", ".join(sorted(file.name for file in folder.iterdir())[:6]) if folder.is_dir() else ""
            raise ValueError(
                f"{folder} holds no {name} ({there or 'nothing'}); a dictionary is a folder with {CONFIG} and"
                f" {WEIGHTS}, as SAELens and a run of {{by: sae}} keep it"
            )
    path = folder / CONFIG
    raw, shapes = json_object(path), tensors(folder / WEIGHTS)
    if isinstance(raw, str) or isinstance(shapes, str):
        raise ValueError(raw if isinstance(raw, str) else shapes)
    fields = _current(raw, path)
    metadata = cast("dict[str, Any]", fields["metadata"]) if isinstance(fields["metadata"], dict) else {}
    architecture = fields.get("architecture")
    if architecture not in _READABLE:
        raise ValueError(
            f"{path}: the architecture {architecture!r} is not read here; one of {', '.join(_READABLE)} is"
        )
    for name in ("normalize_activations", "reshape_activations"):
        if (how := fields.get(name) or "none") != "none":
            raise ValueError(f"{path}: {name} is {how!r}, which is done while it runs; fold it into the weights first")
    hook_name = str(metadata.get("hook_name"))
    if (match := _HOOK.fullmatch(hook_name)) is None:
        raise ValueError(
            f"{path}: hook_name: {hook_name!r} names no site; one is blocks.15.hook_ and resid_pre, attn_out, mlp_out"
            " or resid_post"
        )
    k = _checked(folder, fields, shapes)
    texts = (metadata.get(name) for name in ("model_name", FINGERPRINT, WEIGHTS_HASH))
    model_name, fingerprint, weights_hash = (text if isinstance(text, str) else None for text in texts)
    return DictionaryConfig(
        folder, architecture, fields["d_in"], fields["d_sae"], k, hook_name, int(match[1]), model_name, fingerprint,
        weights_hash, fields,
    )  # fmt: skip


def _current(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """A flat file of the time before SAELens 6, in the form of 6."""
    if "metadata" in config:
        return config
    config = {"hook_name": config.get("hook_point"), "architecture": "standard", **config}
    if config.get("activation_fn_str", config.get("activation_fn")) == "topk":
        config |= {"architecture": "topk", "k": (config.get("activation_fn_kwargs") or {}).get("k")}
    if isinstance(config.get("normalize_activations"), bool):
        config["normalize_activations"] = "expected_average_only_in" if config["normalize_activations"] else "none"
    if (factor := config.get("finetuning_scaling_factor")) not in (None, False):
        raise ValueError(
            f"{path}: finetuning_scaling_factor {factor!r} is not read here; fold it into the weights first"
        )
    return config | {"metadata": {name: config.get(name) for name in ("hook_name", "model_name")}}


def _checked(folder: Path, config: dict[str, Any], shapes: dict[str, list[int]]) -> int | None:
    """k, of topk. Raises ValueError where the weights are not what the configuration says."""
    latents, hidden = config.get("d_sae"), config.get("d_in")
    expected: dict[str, list[Any]] = {
        "W_enc": [hidden, latents], "b_enc": [latents], "W_dec": [latents, hidden], "b_dec": [hidden],
    }  # fmt: skip
    if config["architecture"] in ("jumprelu", "batchtopk"):
        expected["threshold"] = [latents]
    for name, shape in expected.items():
        own = shapes.get(name)
        if own != shape:
            what = "is not there" if own is None else f"has the shape {own}"
            raise ValueError(
                f"{folder / WEIGHTS}: {name} {what}, and {CONFIG} says {shape}; were the two files saved together?"
            )
    k = config.get("k")
    if config["architecture"] != "topk":
        return None
    if not (isinstance(k, int) and 0 < k <= int(latents or 0)):
        raise ValueError(f"{folder / CONFIG}: k is {k!r}; a topk dictionary needs one between 1 and {latents}")
    return k
