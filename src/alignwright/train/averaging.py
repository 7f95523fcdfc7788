"""How much of what was learnt is worth its tax? Weight averaging (WiSE-FT): weights on the line
between an earlier model and the trained one.

(1 - a) earlier + a trained, weight by weight: of all simple remedies the best front of reward
against lost abilities (Lin et al. 2023, arXiv 2309.06256; WiSE-FT, Wortsman et al. 2022, arXiv
2109.01903), and with a share of its own for each block of layers better still (HMA, ibid.).
Averages of reward models are made by the same arithmetic (`ensemble`).

An adapter is a change s B A of each layer, and a sum of such changes is one adapter of the summed
rank: the A stacked, the B side by side, each times its share. So the result is the interpolated
change exactly, which averaging A and B by themselves would not be; its rank is that of both
together. Nothing is an adapter too: without an earlier one the B are scaled. At shares 0 and 1 an
endpoint's own tensors are kept, to the bit; anything between is computed and kept in float32.

Left out on purpose: a search for the best share (measure several), and compression back to the
lower rank, which would not be exact.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file

from alignwright.model.token_embeddings import IDS, ROWS_FILE
from alignwright.model.weights import FILE, check_shapes, named_weights, write_tensors
from alignwright.train.knobs import Average

if TYPE_CHECKING:
    from torch import Tensor

    from alignwright.model.local_model import LocalModel

ShareOf = Callable[[str], float]
"""The share of a weight, by its name."""


def average(policy: LocalModel, start: Path | None, trained: Path, stage: Average, *, folder: Path) -> Path:
    """Write the model between `start` and `trained` to `folder`; returns the new `adapter` or
    `weights` folder.

    `start` and `trained` are such folders themselves; `start` None is `policy`, the untouched base
    model that both were trained from.
    """
    whole = _is_whole(trained)
    if start is not None and _is_whole(start) != whole:
        raise ValueError(
            f"{start} and {trained} cannot be averaged: one holds an adapter, the other whole weights; train both with"
            " one 'rank'"
        )
    shares = stage.blocks or (stage.share,)
    target = folder / ("weights" if whole else "adapter")
    ends = {0.0: start, 1.0: trained}
    if len(set(shares)) == 1 and ends.get(shares[0]) is not None:
        shutil.copytree(ends[shares[0]], target, dirs_exist_ok=True)  # type: ignore[arg-type]
        return target
    share_of = layer_shares(
        shares, int(policy.model.config.num_hidden_layers), [name for name, _ in policy.model.named_parameters()]
    )
    if whole:
        return _blend_weights(policy, start, trained, share_of, target)
    parts = (
        [(trained, share_of)] if start is None else [(start, lambda name: 1.0 - share_of(name)), (trained, share_of)]
    )
    return blend_adapters(parts, target)


def blend_adapters(parts: Sequence[tuple[Path, ShareOf]], target: Path) -> Path:
    """One adapter that changes each layer by the sum of the parts' changes, each times its share
    of that layer."""
    # 1. parts must change the same layers; one part as it is needs no arithmetic and keeps its bits
    adapters = [_read_adapter(path) for path, _ in parts]
    names = _same_layers([path for path, _ in parts], [tensors for tensors, _ in adapters])
    rows = [load_file(file) if (file := path / ROWS_FILE).is_file() else {} for path, _ in parts]
    weights = sorted({name for tensors in rows for name in tensors if name != IDS})
    scaled = any(share(name) != 1.0 for _, share in parts for name in [*names, *map(_plain, weights)])
    if len(parts) == 1 and not scaled:
        shutil.copytree(parts[0][0], target, dirs_exist_ok=True)
        return target
    # 2. s B A of each part: A below A, B beside B, the share and the scale inside B, so that the product is the sum
    blended: dict[str, Tensor] = {}
    for name in names:
        downs = [tensors[f"{name}.lora_A.weight"].float() for tensors, _ in adapters]
        ups = [
            tensors[f"{name}.lora_B.weight"].float() * (share(name) * _scale(config))
            for (_, share), (tensors, config) in zip(parts, adapters, strict=True)
        ]
        blended[f"{name}.lora_A.weight"] = torch.cat(downs, dim=0).contiguous()
        blended[f"{name}.lora_B.weight"] = torch.cat(ups, dim=1).contiguous()
    # 3. rows of a chat template's tokens are changes as well, and sum as they are
    if weights:
        target.mkdir(parents=True, exist_ok=True)
        write_tensors(
            _blend_rows([(these, share) for these, (_, share) in zip(rows, parts, strict=True)]), target / ROWS_FILE
        )
    # 4. the rank is that of all parts together
    rank = sum(int(config["r"]) for _, config in adapters)
    config = adapters[-1][1] | {"r": rank, "lora_alpha": rank, "inference_mode": True}  # scale 1: it is inside the B
    target.mkdir(parents=True, exist_ok=True)
    (target / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    write_tensors(blended, target / "adapter_model.safetensors")
    return target


def blend_tensors(parts: Sequence[tuple[dict[str, Tensor], ShareOf]]) -> dict[str, Tensor]:
    """Weighted sums in float32, name by name. A part whose share is 1 where all others' are 0
    gives its own tensor."""
    blended: dict[str, Tensor] = {}
    for name in parts[0][0]:
        terms = [(tensors[name], share(name)) for tensors, share in parts if share(name) != 0.0]
        if len(terms) == 1 and terms[0][1] == 1.0:
            blended[name] = terms[0][0].contiguous()
            continue
        total = torch.zeros_like(parts[0][0][name], dtype=torch.float32)
        for tensor, share in terms:
            total.add_(tensor.float(), alpha=share)
        blended[name] = total
    return blended


def layer_shares(shares: Sequence[float], layers: int, names: Sequence[str]) -> ShareOf:
    """Cut `layers` into equal blocks, one a share. What comes before the first layer goes with
    it, what comes after the last with that."""
    if len(shares) > layers:
        raise ValueError(
            f"{len(shares)} blocks of layers were asked for, but the model has {layers} layers; give at most {layers}"
            " shares"
        )
    first = next((i for i, name in enumerate(names) if _LAYER.search(name)), 0)
    before = set(names[:first])

    def share_of(name: str) -> float:
        layer = _LAYER.search(name)
        if layer is None:
            return shares[0] if name in before else shares[-1]
        return shares[int(layer.group(1)) * len(shares) // layers]

    return share_of


def _blend_weights(policy: LocalModel, start: Path | None, trained: Path, share_of: ShareOf, target: Path) -> Path:
    own = named_weights(policy)
    after = load_file(trained / FILE)
    before = {name: tensor.detach().cpu() for name, tensor in own.items()} if start is None else load_file(start / FILE)
    for path, tensors in ((start, before), (trained, after)):
        if path is not None:
            check_shapes(
                path / FILE,
                {n: tuple(t.shape) for n, t in tensors.items()},
                {n: tuple(t.shape) for n, t in own.items()},
                policy.name,
            )
    target.mkdir(parents=True, exist_ok=True)
    write_tensors(blend_tensors([(before, lambda name: 1.0 - share_of(name)), (after, share_of)]), target / FILE)
    return target


def _is_whole(folder: Path) -> bool:
    """True for whole weights, False for an adapter; FileNotFoundError for neither."""
    if (folder / FILE).is_file():
        return True
    if (folder / "adapter_config.json").is_file():
        return False
    raise FileNotFoundError(
        f"{folder} holds neither {FILE} nor adapter_config.json, so it is no trained model; name a training stage's"
        " folder"
    )


def _read_adapter(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    other = [key for key in _UNLIKE if config.get(key)]
    tensors = load_file(folder / "adapter_model.safetensors")
    other += [name for name in tensors if not name.endswith((".lora_A.weight", ".lora_B.weight"))][:1]
    if other:
        raise ValueError(
            f"the adapter in {folder} is not plain LoRA of one rank ({', '.join(other)}): its change of a layer is no"
            " product s B A"
        )
    return tensors, config


def _blend_rows(parts: Sequence[tuple[dict[str, Tensor], ShareOf]]) -> dict[str, Tensor]:
    """The changes of the rows of a chat template's tokens, each times its share; a part without any
    changes nothing."""
    blended: dict[str, Tensor] = {}
    for tensors, share in parts:
        for name, change in tensors.items():
            if name == IDS:
                blended[name] = change
            else:
                blended[name] = blended.get(name, torch.zeros(1)) + change.float() * share(_plain(name))
    return blended


def _plain(name: str) -> str:
    """A weight's name without an adapter over its model."""
    return name.removeprefix("base_model.model.")


def _scale(config: dict[str, Any]) -> float:
    return float(config["lora_alpha"]) / int(config["r"])


def _same_layers(folders: Sequence[Path], parts: Sequence[dict[str, Tensor]]) -> list[str]:
    """The adapted layers, which must be the same in all parts, and of the same shape."""
    shapes = [
        {n.removesuffix(".lora_A.weight"): t.shape[1] for n, t in part.items() if n.endswith(".lora_A.weight")}
        for part in parts
    ]
    outs = [
        {n.removesuffix(".lora_B.weight"): t.shape[0] for n, t in part.items() if n.endswith(".lora_B.weight")}
        for part in parts
    ]
    for folder, wide, high in zip(folders, shapes, outs, strict=True):
        if wide != shapes[0] or high != outs[0] or wide.keys() != high.keys():
            raise ValueError(
                f"the adapters in {folders[0]} and {folder} do not change the same layers: they are not of one base"
                " model"
            )
    return sorted(shapes[0])


_UNLIKE = ("use_rslora", "use_dora", "rank_pattern", "alpha_pattern", "modules_to_save", "trainable_token_indices")
_LAYER = re.compile(r"\.(\d+)\.")
