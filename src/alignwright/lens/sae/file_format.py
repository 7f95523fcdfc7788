"""How does a dictionary lie on disk? As SAELens (6) lays it out: `cfg.json` and `sae_weights.safetensors`.

Tensors: `W_enc` [H, F], `b_enc` [F], `W_dec` [F, H], `b_dec` [H], and of `jumprelu` `threshold` [F]. A BatchTopK
dictionary is a `jumprelu` one with one threshold for all, there as here. Read are the architectures `topk`,
`jumprelu`, `standard` (ReLU) and a `batchtopk` that was saved with its threshold, of 6 and of the flat files before
it, without any normalisation that is applied while it runs. `apply_b_dec_to_input: false` and decoder rows of other
lengths are read by folding them in: what comes out is the same dictionary.

Where it belongs is in `metadata`: `hook_name` (`blocks.15.hook_resid_post`), `model_name`, and in ours the model's
fingerprint. One of another width, place or (where a fingerprint is there) model is refused. Never a pickle.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alignwright.files.contents import given_by_a_person, json_object
from alignwright.lens.sae.autoencoder import Architecture, Autoencoder
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import Site
from alignwright.model.activations.store import model_mark
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.weights import load_tensors, write_tensors

CONFIG, WEIGHTS, VERSION = "cfg.json", "sae_weights.safetensors", "6.54.12"
"""The version of SAELens whose layout is written."""
_TRAINED_AS = {"topk": "topk", "batch_topk": "batchtopk", "jumprelu": "jumprelu"}
_READABLE = ("topk", "jumprelu", "standard", "batchtopk")


def save_autoencoder(
    dictionary: Autoencoder, policy: LoadedModel, site: Site, folder: Path, architecture: Architecture
) -> None:
    """Write a dictionary of what is at a site of this model."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        "W_enc": dictionary.encoder_FH.T, "b_enc": dictionary.bias_F, "W_dec": dictionary.decoder_FH,
        "b_dec": dictionary.centre_H,
    }  # fmt: skip
    config: dict[str, Any] = {
        "architecture": "topk" if dictionary.k is not None else "jumprelu",
        "d_in": dictionary.hidden, "d_sae": dictionary.latents, "dtype": "float32", "device": "cpu",
        "apply_b_dec_to_input": True, "normalize_activations": "none", "reshape_activations": "none",
    }  # fmt: skip
    if dictionary.k is not None:
        config |= {"k": dictionary.k, "rescale_acts_by_decoder_norm": False}
    else:
        threshold_F = dictionary.threshold_F
        tensors["threshold"] = torch.zeros_like(dictionary.bias_F) if threshold_F is None else threshold_F
    config["metadata"] = {
        "sae_lens_version": VERSION, "sae_lens_training_version": None,
        "training_architecture": _TRAINED_AS[architecture],
        "model_name": policy.name, "model_class_name": type(policy.model).__name__, "hook_name": site.name,
        "hook_layer": site.layer, "prepend_bos": True, "context_size": None, "dataset_path": None,
        "alignwright_fingerprint": model_mark(policy),
    }  # fmt: skip
    write_tensors({name: tensor.float().cpu().contiguous() for name, tensor in tensors.items()}, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def load_autoencoder(
    folder: Path, policy: LoadedModel | None = None, site: Site | None = None
) -> tuple[Autoencoder, Site]:
    """A saved dictionary and where it belongs. Raises ValueError for one that cannot be read, and for one of another
    width, place or model than these."""
    path = folder / CONFIG
    with given_by_a_person():
        config, tensors = _current(json_object(path)), load_tensors(folder / WEIGHTS)
    architecture, metadata = config.get("architecture"), config.get("metadata") or {}
    if architecture not in _READABLE:
        raise ValueError(
            f"{path}: the architecture {architecture!r} is not read here; one of {', '.join(_READABLE)} is"
        )
    for name in ("normalize_activations", "reshape_activations"):
        if (how := config.get(name) or "none") != "none":
            raise ValueError(f"{path}: {name} is {how!r}, which is done while it runs; fold it into the weights first")
    try:
        own_site = Site.named(str(metadata.get("hook_name")))
    except ValueError as error:
        raise ValueError(f"{path}: hook_name: {error}") from None
    _check_tensors(folder / WEIGHTS, tensors, config)
    if policy is not None:
        _check_model(folder, config, metadata, own_site, policy)
    if site is not None and site != own_site:
        raise ValueError(f"{folder}: a dictionary of {own_site.name}, and {site.name} was asked for; give that site")
    return _folded(tensors, config), own_site


def _current(config: dict[str, Any]) -> dict[str, Any]:
    """A flat file of the time before SAELens 6, in the form of 6."""
    if "metadata" in config:
        return config
    config = {"hook_name": config.get("hook_point"), "architecture": "standard", **config}
    if config.get("activation_fn_str", config.get("activation_fn")) == "topk":
        config |= {"architecture": "topk", "k": (config.get("activation_fn_kwargs") or {}).get("k")}
    if isinstance(config.get("normalize_activations"), bool):
        config["normalize_activations"] = "expected_average_only_in" if config["normalize_activations"] else "none"
    if (factor := config.get("finetuning_scaling_factor")) not in (None, False):
        raise ValueError(f"finetuning_scaling_factor {factor!r} is not read here; fold it into the weights first")
    return config | {"metadata": {name: config.get(name) for name in ("hook_name", "model_name")}}


def _check_tensors(path: Path, tensors: dict[str, Tensor], config: dict[str, Any]) -> None:
    latents, hidden = config.get("d_sae"), config.get("d_in")
    shapes = {"W_enc": [hidden, latents], "b_enc": [latents], "W_dec": [latents, hidden], "b_dec": [hidden]}
    if config["architecture"] in ("jumprelu", "batchtopk"):
        shapes["threshold"] = [latents]
    for name, shape in shapes.items():
        own = list(tensors[name].shape) if name in tensors else None
        if own != shape:
            what = "is not there" if own is None else f"has the shape {own}"
            raise ValueError(f"{path}: {name} {what}, and {CONFIG} says {shape}; were the two files saved together?")
    k = config.get("k")
    if config["architecture"] == "topk" and not (isinstance(k, int) and 0 < k <= int(latents or 0)):
        raise ValueError(f"{path.with_name(CONFIG)}: k is {k!r}; a topk dictionary needs one between 1 and {latents}")


def _check_model(
    folder: Path, config: dict[str, Any], metadata: dict[str, Any], site: Site, policy: LoadedModel
) -> None:
    layout = layout_of(policy)
    if config["d_in"] != layout.hidden:
        raise ValueError(
            f"{folder}: a dictionary of activations of width {config['d_in']} ({metadata.get('model_name')}), and"
            f" {policy.name} has {layout.hidden}; give one of this model"
        )
    layout.check([site])
    mark = metadata.get("alignwright_fingerprint")
    if mark is not None and mark != model_mark(policy):
        raise ValueError(
            f"{folder}: a dictionary of another model ({metadata.get('model_name')}, {mark}) than {policy.name}"
            f" ({model_mark(policy)}); train one of this"
        )


def _folded(tensors: dict[str, Tensor], config: dict[str, Any]) -> Autoencoder:
    """With `b_dec` taken from the input, and decoder rows of length 1: values and thresholds become as much larger."""
    tensors = {name: tensor.float() for name, tensor in tensors.items()}
    encoder_FH, bias_F, decoder_FH = tensors["W_enc"].T.contiguous(), tensors["b_enc"], tensors["W_dec"]
    if config.get("apply_b_dec_to_input") is False:
        bias_F = bias_F + encoder_FH @ tensors["b_dec"]
    threshold_F, k = tensors.get("threshold"), config.get("k") if config["architecture"] == "topk" else None
    length_F = decoder_FH.norm(dim=1)
    if k is None or config.get("rescale_acts_by_decoder_norm"):  # else the rule compares values of unequal lengths
        length_F = length_F.clamp_min(1e-12)
        encoder_FH, bias_F, decoder_FH = (
            encoder_FH * length_F[:, None],
            bias_F * length_F,
            decoder_FH / length_F[:, None],
        )
        threshold_F = None if threshold_F is None else threshold_F * length_F
    return Autoencoder(encoder_FH, bias_F, decoder_FH, tensors["b_dec"], k, threshold_F)
