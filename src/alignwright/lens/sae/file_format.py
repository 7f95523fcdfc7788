"""How does a dictionary lie on disk? As SAELens (6) lays it out: `cfg.json` and `sae_weights.safetensors`.

Tensors: `W_enc` [H, F], `b_enc` [F], `W_dec` [F, H], `b_dec` [H], and of `jumprelu` `threshold` [F]. A BatchTopK
dictionary is a `jumprelu` one with one threshold for all, there as here. Read are the architectures `topk`,
`jumprelu`, `standard` (ReLU) and a `batchtopk` that was saved with its threshold, of 6 and of the flat files before
it, without any normalisation that is applied while it runs. `apply_b_dec_to_input: false` and decoder rows of other
lengths are read by folding them in: what comes out is the same dictionary.

Where it belongs is in `metadata`: `hook_name` (`blocks.15.hook_resid_post`), `model_name`, and in ours the model's
fingerprint and files. One of another width, place or (where a fingerprint is there) model is refused. Never a pickle.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alignwright.core.model_shape import ModelShape
from alignwright.files.contents import given_by_a_person
from alignwright.lens.sae.autoencoder import Architecture, Autoencoder
from alignwright.lens.sae.dictionary_config import (
    CONFIG,
    FINGERPRINT,
    WEIGHTS,
    WEIGHTS_HASH,
    DictionaryConfig,
    read_config,
)
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import Site
from alignwright.model.activations.store import model_mark
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.weights import load_tensors, write_tensors

VERSION = "6.54.12"
"""The version of SAELens whose layout is written."""
_TRAINED_AS = {"topk": "topk", "batch_topk": "batchtopk", "jumprelu": "jumprelu"}


def save_autoencoder(
    dictionary: Autoencoder, policy: LoadedModel, site: Site, folder: Path, architecture: Architecture,
    weights_hash: str | None = None,
) -> None:  # fmt: skip
    """Write a dictionary of what is at a site of this model. `weights_hash`: what names the model's files, where it has
    some of its own."""
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
        FINGERPRINT: model_mark(policy),
    }  # fmt: skip
    if weights_hash is not None:
        config["metadata"][WEIGHTS_HASH] = weights_hash
    write_tensors({name: tensor.float().cpu().contiguous() for name, tensor in tensors.items()}, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def load_autoencoder(
    folder: Path, policy: LoadedModel | None = None, site: Site | None = None
) -> tuple[Autoencoder, Site]:
    """A saved dictionary and where it belongs. Raises ValueError for one that cannot be read, and for one of another
    width, place or model than these."""
    config = read_config(folder)
    own_site = Site.named(config.hook_name)
    if policy is not None:
        _check_model(config, own_site, policy)
    if site is not None and site != own_site:
        raise ValueError(f"{folder}: a dictionary of {own_site.name}, and {site.name} was asked for; give that site")
    with given_by_a_person():
        tensors = load_tensors(folder / WEIGHTS)
    if odd := [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]:
        raise ValueError(f"{folder / WEIGHTS}: {odd[0]} holds numbers that are not finite; save it again")
    return _folded(tensors, config), own_site


def _check_model(config: DictionaryConfig, site: Site, policy: LoadedModel) -> None:
    layout, mark = layout_of(policy), model_mark(policy)
    if why := config.misfit(ModelShape(policy.name, len(layout.blocks), layout.hidden, lambda: None)):
        raise ValueError(why)
    layout.check([site])
    if config.fingerprint not in (None, mark):
        raise ValueError(
            f"{config.folder}: a dictionary of another model ({config.model_name}, {config.fingerprint}) than"
            f" {policy.name} ({mark}); train one of this"
        )


def _folded(tensors: dict[str, Tensor], config: DictionaryConfig) -> Autoencoder:
    """With `b_dec` taken from the input, and decoder rows of length 1: values and thresholds become as much larger."""
    tensors = {name: tensor.float() for name, tensor in tensors.items()}
    encoder_FH, bias_F, decoder_FH = tensors["W_enc"].T.contiguous(), tensors["b_enc"], tensors["W_dec"]
    if config.fields.get("apply_b_dec_to_input") is False:
        bias_F = bias_F + encoder_FH @ tensors["b_dec"]
    threshold_F, k = tensors.get("threshold"), config.k
    length_F = decoder_FH.norm(dim=1)
    if k is None or config.fields.get(
        "rescale_acts_by_decoder_norm"
    ):  # else the rule compares values of unequal lengths
        length_F = length_F.clamp_min(1e-12)
        encoder_FH, bias_F, decoder_FH = (
            encoder_FH * length_F[:, None],
            bias_F * length_F,
            decoder_FH / length_F[:, None],
        )
        threshold_F = None if threshold_F is None else threshold_F * length_F
    return Autoencoder(encoder_FH, bias_F, decoder_FH, tensors["b_dec"], k, threshold_F)
