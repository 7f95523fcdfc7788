"""How does a GGUF file say that rotary embeddings are scaled as those of Llama 3.1 and later?

By one tensor, `rope_freqs.weight`: by how much each rotary frequency is divided, by which llama.cpp
goes and nothing else. transformers leaves that tensor out when it reads a file, so a model of this
family that begins as a GGUF file would be another one: what the tensor says is put back into its
configuration here. The rule has four numbers and the tensor shows the largest of them; the others
are those of every Llama from 3.1 on, and a file whose numbers they do not give is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import torch
from torch import Tensor
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from alignwright.files.models import ModelError

FREQUENCIES = "rope_freqs.weight"
SCALED = "llama3"
_CONTEXT = ".rope.scaling.original_context_length"
_OF_LLAMA_3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}


def frequency_factors(model: Any) -> Tensor | None:
    """By how much a model divides each rotary frequency; None where it divides none."""
    rope = getattr(model.config, "rope_parameters", None) or {}
    if rope.get("rope_type", "default") != SCALED:
        return None
    return _plain(model.config, rope) / model.model.rotary_emb.inv_freq.float().cpu()


def scaled_rope(path: Path, config: Any) -> dict[str, Any] | None:
    """The rotary parameters of a GGUF file whose frequencies are divided; None of another. Raises
    ModelError where they are divided by another rule than Llama's."""
    reader = gguf.GGUFReader(path)
    factors = next((torch.from_numpy(t.data.copy()) for t in reader.tensors if t.name == FREQUENCIES), None)
    if factors is None:
        return None
    original = next(
        (f.contents() for n, f in reader.fields.items() if n.endswith(".scaling.original_context_length")), None
    )
    rope: dict[str, Any] = {
        **_OF_LLAMA_3, "rope_type": SCALED, "factor": float(factors.max()),
        "rope_theta": float((config.rope_parameters or {}).get("rope_theta", 10_000.0)),
    }  # fmt: skip
    if original is not None:
        rope["original_max_position_embeddings"] = int(original)
    config.rope_parameters = rope
    frequencies, _ = ROPE_INIT_FUNCTIONS[SCALED](config, torch.device("cpu"))
    if not torch.allclose(_plain(config, rope) / frequencies, factors.float(), rtol=1e-3):
        raise ModelError(
            f"{path}: its rotary frequencies are divided ({FREQUENCIES}) by another rule than that of Llama 3.1, so"
            " transformers cannot open it as it is; use the model's folder with safetensors"
        )
    return rope


def _plain(config: Any, rope: dict[str, Any]) -> Tensor:
    """The frequencies that nothing divides."""
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 1.0 / float(rope["rope_theta"]) ** (torch.arange(0, size, 2, dtype=torch.float32) / size)
