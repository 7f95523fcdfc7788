"""How is a model whose base is kept in 4 bits written, so that anybody can open it?

Dequantised weights are ordinary numbers: 16 values times a block's scale. So each is written in
float32 with its adapter added, rounded once, and the folder is a plain model that computes what was
measured, up to the order of float32 sums. Rounded to 4 bits again the sum would be another model.

Tensors are made and written a shard at a time: the whole model in float32 never lies in memory.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from alignwright.model.adapters import with_adapter
from alignwright.model.peft_types import is_lora_layer
from alignwright.model.quantization import dequantized, is_quantized
from alignwright.model.token_embeddings import DELTA
from alignwright.model.weights import write_tensors

SHARD = 2_000_000_000
"""Bytes of a file, at least those of its largest tensor."""


def plain_weights(model: nn.Module) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """The name that each weight has in a plain model, a tied one once, and what makes it."""
    adapted = {id(layer.get_base_layer()): layer for layer in model.modules() if is_lora_layer(layer)}
    met = set[int]()
    for prefix, module in model.named_modules():
        if ".lora_" in prefix:
            continue
        name_of = prefix.removesuffix(".base_layer").replace(".base_layer.", ".")
        persistent = {
            name: tensor for name, tensor in module._buffers.items() if name not in module._non_persistent_buffers_set
        }
        for name, tensor in {**module._parameters, **persistent}.items():
            if tensor is None or id(tensor) in met or name == DELTA:
                continue
            met.add(id(tensor))
            layer = adapted.get(id(module)) if name == "weight" else None
            yield f"{name_of}.{name}" if name_of else name, _maker(module, name, tensor, layer)


def save_plain(model: Any, folder: Path) -> None:
    """Write the weights and configuration of a model over a base in 4 bits as transformers opens
    them: `model` is the causal model under its adapter."""
    folder.mkdir(parents=True, exist_ok=True)
    files: list[tuple[Path, list[str]]] = []
    shard: dict[str, Tensor] = {}
    total, held = 0, 0
    for name, make in plain_weights(model):
        tensor = make().detach().cpu().contiguous()
        size = tensor.numel() * tensor.element_size()
        if shard and held + size > SHARD:
            files.append((_write(shard, folder, len(files)), list(shard)))
            shard, held = {}, 0
        shard[name] = tensor
        total, held = total + size, held + size
    files.append((_write(shard, folder, len(files)), list(shard)))
    _name(files, folder, total)
    plain_config(model.config).save_pretrained(folder)
    if model.generation_config is not None:
        model.generation_config.save_pretrained(folder)


def plain_config(config: Any) -> Any:
    """The configuration of the plain model: nothing in it is in 4 bits."""
    config = copy.deepcopy(config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    return config


def _maker(module: Any, name: str, tensor: Tensor, layer: Any | None) -> Callable[[], Tensor]:
    def make() -> Tensor:
        weight = dequantized(module) if name == "weight" and is_quantized(module) else tensor
        summed = with_adapter(layer, weight) if layer is not None and not layer.disable_adapters else weight
        turned = name == "weight" and getattr(module, "source_cls", None) is Conv1D  # kept the other way round
        return summed.T if turned else summed

    return make


def _write(shard: dict[str, Tensor], folder: Path, place: int) -> Path:
    return write_tensors(shard, folder / f"model-{place + 1:05d}.safetensors")


def _name(files: list[tuple[Path, list[str]]], folder: Path, total: int) -> None:
    """The names that transformers looks for: one file, or several with an index."""
    if len(files) == 1:
        files[0][0].rename(folder / "model.safetensors")
        return
    places: dict[str, str] = {}
    for place, (path, names) in enumerate(files):
        final = path.rename(folder / f"model-{place + 1:05d}-of-{len(files):05d}.safetensors")
        places |= dict.fromkeys(names, final.name)
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
