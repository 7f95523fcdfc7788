"""How does a measured model become one GGUF file that llama.cpp serves?

Tensors get the names of the `gguf` package (`TensorNameMap`), matrices the type that was named,
vectors stay in float32, as llama.cpp's converter writes them. Under the architecture "llama" rotary
pairs lie side by side, so the rows of queries and keys are put in that order. The embedding that is
also the head is written once. The file is written beside its place and renamed.

Only what the file can say in full is written: another family, a rotary embedding that is scaled in
another way than Llama 3.1's (`gguf_rope`), a window or a type that the package cannot make is
refused by name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from torch import Tensor

from alignwright.model.gguf_rope import FREQUENCIES, SCALED, frequency_factors
from alignwright.model.gguf_tokenizer import add_tokenizer
from alignwright.model.kernels import kernels
from alignwright.model.local_model import LocalModel

TYPES = {
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "bf16": (gguf.GGMLQuantizationType.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}
"""What matrices are written in: the type of a tensor, and what the file is called then."""
_ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
}
_OTHERWISE = "llama.cpp's convert_hf_to_gguf.py opens the run's model/ folder"


def write_gguf(policy: LocalModel, path: Path, kind: str, *, facts: Mapping[str, str]) -> Path:
    """Write a model to `path` with its matrices in `kind`. `facts`: name, license, license_name,
    license_link and base_model (a Hub id), where they are known.

    Raises ValueError, naming it, for what the file could not hold."""
    if policy.steering:
        raise ValueError(
            f"{policy.name} is steered, and a GGUF file holds weights alone: write that of the model that it steers"
            " and a control vector beside it, or fold the edits into the weights ('save' of {by: steer})"
        )
    architecture = _architecture(policy, kind)
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        writer = gguf.GGUFWriter(str(partial), gguf.MODEL_ARCH_NAMES[architecture])
        _add_facts(writer, facts, kind)
        _add_shape(writer, policy.model.config)
        add_tokenizer(writer, policy.chat, policy.model.get_input_embeddings().weight.shape[0])
        if (factors := frequency_factors(policy.model)) is not None:
            writer.add_tensor(FREQUENCIES, factors.numpy())
            writer.add_rope_scaling_orig_ctx_len(
                int(policy.model.config.rope_parameters["original_max_position_embeddings"])
            )
        for name, tensor in _tensors(policy.model, architecture):
            _add_tensor(writer, name, tensor, kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _architecture(policy: LocalModel, kind: str) -> gguf.MODEL_ARCH:
    if kind not in TYPES:
        raise ValueError(
            f"gguf:{kind}: matrices are written as {', '.join(TYPES)}; the gguf package packs no others that a server"
            f" takes. llama-quantize of llama.cpp makes {kind} of a file in f16"
        )
    config: Any = policy.model.config
    if config.model_type not in _ARCHITECTURES:
        raise ValueError(
            f"a model of the kind {config.model_type!r} is not written to GGUF, only {', '.join(_ARCHITECTURES)};"
            f" {_OTHERWISE}"
        )
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = ("default", SCALED) if _ARCHITECTURES[config.model_type] == gguf.MODEL_ARCH.LLAMA else ("default",)
    if rope.get("rope_type", "default") not in kinds:
        raise ValueError(f"rotary embeddings of the type {rope['rope_type']!r} are not written to GGUF; {_OTHERWISE}")
    if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        raise ValueError(f"attention within a window of {config.sliding_window} tokens is not written; {_OTHERWISE}")
    if config.hidden_act != "silu":
        raise ValueError(f"the activation {config.hidden_act!r} is not written to GGUF; {_OTHERWISE}")
    return _ARCHITECTURES[config.model_type]


def _add_facts(writer: gguf.GGUFWriter, facts: Mapping[str, str], kind: str) -> None:
    writer.add_type("model")
    for name, add in (
        ("name", writer.add_name),
        ("license", writer.add_license),
        ("license_name", writer.add_license_name),
        ("license_link", writer.add_license_link),
    ):
        if facts.get(name):
            add(facts[name])
    if base := facts.get("base_model"):
        writer.add_base_model_count(1)
        writer.add_base_model_name(0, base.rpartition("/")[2])
        writer.add_base_model_organization(0, base.partition("/")[0])
        writer.add_base_model_repo_url(0, f"https://huggingface.co/{base}")
    writer.add_file_type(TYPES[kind][1])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _add_shape(writer: gguf.GGUFWriter, config: Any) -> None:
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rope = getattr(config, "rope_parameters", None) or {}
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(float(rope.get("rope_theta", 10_000.0)))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)


def _tensors(model: Any, architecture: gguf.MODEL_ARCH) -> Iterator[tuple[str, Tensor]]:
    config = model.config
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, tensor in model.named_parameters():  # a tied weight once
        mapped = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if mapped is None:
            raise ValueError(f"the gguf package has no name for the weight {name} of a {config.model_type}")
        part = name.split(".")[-2]
        if architecture == gguf.MODEL_ARCH.LLAMA and part in heads:
            tensor = _side_by_side(tensor, heads[part])
        yield mapped, tensor.detach().cpu().float().contiguous()


def _side_by_side(tensor: Tensor, heads: int) -> Tensor:
    """Rows of queries or keys with each rotary pair side by side, not a half apart."""
    half = tensor.shape[0] // heads // 2
    return tensor.reshape(heads, 2, half, *tensor.shape[1:]).transpose(1, 2).reshape(tensor.shape)


def _add_tensor(writer: gguf.GGUFWriter, name: str, tensor: Tensor, kind: str) -> None:
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError(f"the weight {name} holds numbers that are not finite; such a model cannot have been measured")
    values = tensor.numpy()
    if values.ndim < 2:
        writer.add_tensor(name, values)
        return
    quantized = TYPES[kind][0]
    if kind == "f16":
        if float(np.abs(values).max(initial=0.0)) > float(np.finfo(np.float16).max):
            raise ValueError(f"the weight {name} holds numbers beyond float16's largest; use gguf:bf16")
        writer.add_tensor(name, values.astype(np.float16))
        return
    block = gguf.GGML_QUANT_SIZES[quantized][0]
    if values.shape[-1] % block:
        raise ValueError(
            f"gguf:{kind} packs rows in blocks of {block}, and those of {name} are {values.shape[-1]} long; use"
            " gguf:f16"
        )
    blocks = _q8_0(tensor) if kind == "q8_0" else gguf.quantize(values, quantized)
    writer.add_tensor(name, blocks, raw_dtype=quantized)


def _q8_0(tensor: Tensor) -> np.ndarray:
    """What `gguf.quantize` gives, to the byte; by our kernel, where there is one, in a tenth of its time."""
    native = kernels(tensor)
    if native is None:
        return gguf.quantize(tensor.numpy(), gguf.GGMLQuantizationType.Q8_0)
    size, width = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType.Q8_0]
    count = tensor.numel() // size
    scale_N, block_NB = torch.empty(count), torch.empty(count, width, dtype=torch.uint8)
    native.quantize_q8_0(tensor, scale_N, block_NB, count)
    block_NB[:, :2] = scale_N.half().view(torch.uint8).view(-1, 2)
    return block_NB.view(*tensor.shape[:-1], -1).numpy()
