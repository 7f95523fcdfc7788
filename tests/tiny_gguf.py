"""The tiny Llama as a GGUF file, as llama.cpp's converter writes one: in float32, with its tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
from safetensors.torch import load_file
from torch import Tensor

_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def write_gguf(folder: Path, path: Path, **facts: str) -> Path:
    """Write the model of a transformers folder to `path`; `facts` are texts under `general.`."""
    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(str(path), "llama")
    for name, text in facts.items():
        writer.add_string(f"general.{name.replace('__', '.')}", text)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_vocab_size(config["vocab_size"])
    _add_tokenizer(writer, json.loads((folder / "tokenizer.json").read_text()), config)
    heads = {"self_attn.q_proj": config["num_attention_heads"], "self_attn.k_proj": config["num_key_value_heads"]}
    for name, weight in load_file(folder / "model.safetensors").items():
        writer.add_tensor(*_tensor(name, weight, heads))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: dict, config: dict) -> None:
    added = {token["id"]: token["content"] for token in tokenizer["added_tokens"]}
    tokens = {number: token for token, number in tokenizer["model"]["vocab"].items()} | added
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([tokens[number] for number in range(config["vocab_size"])])
    writer.add_token_types(
        [gguf.TokenType.CONTROL if number in added else gguf.TokenType.NORMAL for number in range(config["vocab_size"])]
    )
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_add_bos_token(True)


def _tensor(name: str, weight: Tensor, heads: dict[str, int]) -> tuple:
    if name == "model.embed_tokens.weight":
        return "token_embd.weight", weight.numpy()
    if name == "model.norm.weight":
        return "output_norm.weight", weight.numpy()
    _, _, layer, rest = name.removesuffix(".weight").split(".", 3)
    if rest in heads:  # rotary pairs lie side by side there
        half = weight.shape[0] // heads[rest] // 2
        weight = weight.reshape(heads[rest], 2, half, weight.shape[1]).transpose(1, 2).reshape(weight.shape)
    return f"blk.{layer}.{_NAMES[rest]}.weight", weight.contiguous().numpy()
