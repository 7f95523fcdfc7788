"""Where are the weights of a model that was trained whole (full fine-tuning)?

In one safetensors file, under the names that the model gives them: a tied embedding once, an
adapter's matrices never (they are peft's business, see `adapters`). They are put back in place,
after every name and shape was compared with the model's own, in the model's precision; bfloat16
into float32 is exact.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from alignwright.files.contents import DamagedFile
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.peft_types import is_peft_model

if TYPE_CHECKING:
    from torch import Tensor


FILE = "weights.safetensors"


def save_weights(policy: LoadedModel, folder: Path) -> Path:
    """Write all weights of a model without an adapter to `folder`; the file appears under its
    name when it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in named_weights(policy).items()}
    return write_tensors(tensors, folder / FILE)


def load_weights(policy: LoadedModel, folder: Path) -> None:
    """Put saved weights into a model of the same shape, in place. Raises FileNotFoundError, or
    ValueError naming what does not fit."""
    own = named_weights(policy)
    path = folder / FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no {FILE}, so it is not a model that was trained whole; write one with save_weights"
        )
    with safe_open(path, framework="pt") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not a dict
        check_shapes(path, shapes, {name: tuple(tensor.shape) for name, tensor in own.items()}, policy.name)
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(file.get_tensor(name))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file that a run wrote for itself. Raises DamagedFile where it is cut short
    or none."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise DamagedFile(path, "it is missing") from None
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise DamagedFile(path, f"it is no whole safetensors file ({' '.join(str(error).split())})") from None


def named_weights(policy: LoadedModel) -> dict[str, torch.nn.Parameter]:
    """Every weight by its name, tied ones once, in the model's own order."""
    if is_peft_model(policy.model):
        raise ValueError(
            f"{policy.name} has an adapter over frozen weights: keep that with save_adapter, or make it part of the"
            " weights with merge"
        )
    return dict(policy.model.named_parameters())


def check_shapes(
    path: Path, shapes: dict[str, tuple[int, ...]], own_shapes: dict[str, tuple[int, ...]], model: str
) -> None:
    """Refuse weights of another model, with the first names that differ."""
    missing, unknown = sorted(own_shapes.keys() - shapes.keys()), sorted(shapes.keys() - own_shapes.keys())
    if missing or unknown:
        gaps = [
            f"{len(names)} are {how}, such as {names[0]}"
            for names, how in ((missing, "missing"), (unknown, "not the model's"))
            if names
        ]
        raise ValueError(
            f"{path} does not hold the weights of {model}: {'; '.join(gaps)}. Were they trained from another model?"
        )
    if wrong := [name for name in own_shapes if shapes[name] != own_shapes[name]]:
        example = f"{wrong[0]} is {list(shapes[wrong[0]])} there and {list(own_shapes[wrong[0]])} in the model"
        raise ValueError(
            f"{path} does not hold the weights of {model}: {example} ({len(wrong)} shapes differ). Were they"
            " trained from another model?"
        )


def write_tensors(tensors: dict[str, Tensor], path: Path) -> Path:
    """A safetensors file that is whole or not there, and the same bytes for the same tensors
    (two entries of metadata have no order)."""
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata={"format": "pt"})
    return partial.rename(path)
