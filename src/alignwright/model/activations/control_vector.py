"""How does llama.cpp steer the same model? By a control vector in a GGUF file (`--control-vector FILE`).

`general.architecture` is "controlvector", `controlvector.model_hint` the model's type and `controlvector.layer_count`
how many layers have one; `direction.L` [hidden] in float32 is added to what block L leaves, blocks counted from 0,
times the scale that llama.cpp is given. It takes none for block 0. As repeng writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np
import torch
from torch import Tensor

_ARCHITECTURE = "controlvector"


def write_control_vector(directions: Mapping[int, Tensor], path: Path, *, model_type: str) -> Path:
    """Write the vectors that are added to what these blocks leave. Raises ValueError for block 0."""
    if not directions:
        raise ValueError(f"{path}: no direction to write")
    if 0 in directions:
        raise ValueError(f"{path}: llama.cpp adds no vector after block 0; take a later block, or keep it as steering")
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        writer = gguf.GGUFWriter(str(partial), _ARCHITECTURE)
        writer.add_string(f"{_ARCHITECTURE}.model_hint", model_type)
        writer.add_uint32(f"{_ARCHITECTURE}.layer_count", len(directions))
        for layer, vector in sorted(directions.items()):
            writer.add_tensor(f"direction.{layer}", vector.detach().float().cpu().numpy().astype(np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def read_control_vector(path: Path) -> tuple[str, dict[int, Tensor]]:
    """The model's type and the vectors by block. Raises ValueError for a file of another kind."""
    reader = gguf.GGUFReader(path)
    field = reader.get_field("general.architecture")
    kind = str(field.contents()) if field is not None else "nothing"
    if kind != _ARCHITECTURE:
        raise ValueError(f"{path}: holds {kind!r} and no control vector; one is written by write_control_vector")
    hint = reader.get_field(f"{_ARCHITECTURE}.model_hint")
    directions = {
        int(tensor.name.removeprefix("direction.")): torch.from_numpy(np.array(tensor.data, dtype=np.float32))
        for tensor in reader.tensors
        if tensor.name.startswith("direction.")
    }
    return str(hint.contents()) if hint is not None else "", directions
