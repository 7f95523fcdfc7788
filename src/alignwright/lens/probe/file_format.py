"""How does a probe lie on disk? As IBM's AISteer360 lays probes out, so that others can use it.

`probe.safetensors` holds `weights.LAYER` [H] in float32, in raw activations; `probe.json` the rest: polarity
(`positives_high`, nothing else), where it reads (`layer_output` of a block is `resid_post`), pooling (`last`, or `mean`
over the tokens that `meta` names: `reply`, `template`, `prompt` or `all`), the bias with
the threshold folded into it (the decision is `score >= 0`), and in `meta` how it was fitted, how it stands beside its
controls, and the fingerprint of the model that it is of. Never a pickle.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from alignwright.core.token_scope import SCOPES, WHICH, TokenScope
from alignwright.files.contents import json_object
from alignwright.lens.probe.fit import Probe
from alignwright.model.activations.store import model_mark
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.weights import write_tensors

TENSORS, SIDECAR, VERSION = "probe.safetensors", "probe.json", 1


def save_probe(
    probe: Probe, layer: int, policy: LoadedModel, folder: Path, meta: dict[str, Any],
    tokens: TokenScope = "prompt_end",
) -> None:  # fmt: skip
    """Write a probe of `resid_post` of a block at some of a text's tokens."""
    last = tokens == "prompt_end"
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors({f"weights.{layer}": probe.weights.contiguous()}, folder / TENSORS)
    sidecar = {
        "format_version": VERSION, "polarity": "positives_high", "model_type": policy.model.config.model_type,
        "location": "layer_output", "pooling": "last" if last else "mean", "layer_ids": [layer],
        "weight_layer_ids": [layer], "bias": probe.bias,
        "meta": meta
        | {
            "fingerprint": model_mark(policy), "tokens": tokens,
            "sinks": "not masked: the last token alone is read" if last else "left out: norms above 5 medians of a row",
        },
    }  # fmt: skip
    (folder / SIDECAR).write_text(json.dumps(sidecar, indent=1) + "\n", encoding="utf-8")


def load_probe(folder: Path, policy: LoadedModel | None = None) -> tuple[Probe, int]:
    """A saved probe and its layer. Raises ValueError for one of another form, or of another model than `policy`."""
    sidecar = json_object(folder / SIDECAR, layer_ids=list, polarity=str, location=str, bias=(int, float))
    wrong = {
        name: sidecar.get(name)
        for name, values in (("format_version", (VERSION,)), ("polarity", ("positives_high",)),
                             ("location", ("layer_output",)), ("pooling", ("last", "mean")))
        if sidecar.get(name) not in values
    }  # fmt: skip
    if wrong or len(sidecar["layer_ids"]) != 1:
        saw = wrong or {"layer_ids": sidecar["layer_ids"]}
        raise ValueError(
            f"{folder / SIDECAR}: {saw} is not read here: a probe reads one layer's output at the last token, or"
            " averaged, positives high"
        )
    if not isinstance(layer := sidecar["layer_ids"][0], int):
        raise ValueError(f"{folder / SIDECAR}: {layer!r} is the number of no layer; save the probe again")
    meta = sidecar.get("meta")
    mark = meta.get("fingerprint") if isinstance(meta, dict) else None
    if policy is not None and mark != model_mark(policy):
        raise ValueError(
            f"{folder}: a probe of another model ({mark}) than {policy.name} ({model_mark(policy)}); fit one to this"
        )
    try:
        tensors = load_file(folder / TENSORS)
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{folder / TENSORS}: no whole safetensors file ({' '.join(str(error).split())}); save the probe again"
        ) from None
    if f"weights.{layer}" not in tensors:
        raise ValueError(f"{folder / TENSORS}: no weights.{layer}, which {SIDECAR} names; save the probe again")
    probe = Probe(tensors[f"weights.{layer}"], float(sidecar["bias"]))
    if not (bool(probe.weights.isfinite().all()) and math.isfinite(probe.bias)):
        raise ValueError(f"{folder}: its weights or its bias are not finite, so it scores nothing; fit it again")
    return probe, layer


def tokens_of(folder: Path) -> TokenScope:
    """Which tokens a saved probe reads. Raises ValueError for one that averages and does not say over which."""
    sidecar = json_object(folder / SIDECAR, pooling=str)
    if sidecar["pooling"] == "last":
        return "prompt_end"
    meta = sidecar.get("meta")
    tokens = meta.get("tokens") if isinstance(meta, dict) else None
    if tokens not in SCOPES:
        raise ValueError(f"{folder / SIDECAR}: averages over {tokens!r}; 'meta' must say over which tokens: {WHICH}")
    return tokens
