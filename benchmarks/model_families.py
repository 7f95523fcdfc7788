"""Tiny random models of the families that people align: each a configuration of two to four layers with at least one
layer of each kind that the family has, in float32, hidden size 32.

`make(family, folder)` writes one with the tokenizer of the tests; `benchmarks/models.py` measures them all.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.utils import logging

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from tiny import make_tokenizer

from alignwright.model.progress_bars import without_progress_bars

WINDOW = 8
"""Tokens of every sliding window: rows are several times longer."""
_COMMON = {
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 128, "bos_token_id": 1, "eos_token_id": 2,
    "pad_token_id": 2, "initializer_range": 0.2,
}  # fmt: skip
_SLIDING = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": WINDOW}
_EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 24}
_DELTA = {
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    "linear_conv_kernel_dim": 4, "layer_types": ["linear_attention", "full_attention"],
}  # fmt: skip
_MAMBA = {
    "mamba_d_state": 8, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_n_heads": 8, "mamba_d_head": 8,
    "mamba_n_groups": 1, "mamba_chunk_size": 8,
}  # fmt: skip
_BLOOM = {"n_layer": 2, "n_head": 4}
_GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
_LATENT = {
    "q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8,
    "num_key_value_heads": 4, "head_dim": 4,
}  # fmt: skip

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": WINDOW},
    "ministral": _SLIDING,
    "ministral3": {"sliding_window": WINDOW},
    "qwen2": {},
    "qwen3": {},
    "qwen3_next": {**_DELTA, **_EXPERTS, "num_experts": 4, "shared_expert_intermediate_size": 24},
    "qwen3_5_text": _DELTA,
    "qwen3_5_moe_text": {**_DELTA, **_EXPERTS, "num_experts": 4, "shared_expert_intermediate_size": 24},
    "qwen2_moe": {**_EXPERTS, "num_experts": 4, "shared_expert_intermediate_size": 24},
    "qwen3_moe": {**_EXPERTS, "num_experts": 4},
    "gemma": {},
    "gemma2": {**_SLIDING, "query_pre_attn_scalar": 8, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0},
    "gemma3_text": {**_SLIDING, "query_pre_attn_scalar": 8},
    "gemma3n_text": {
        **_SLIDING, "num_hidden_layers": 4, "num_kv_shared_layers": 2, "layer_types": [*_SLIDING["layer_types"]] * 2,
        "vocab_size_per_layer_input": 300, "hidden_size_per_layer_input": 8, "laurel_rank": 4,
        "altup_num_inputs": 2, "intermediate_size": [48] * 4, "activation_sparsity_pattern": [0.5, 0.0, 0.0, 0.0],
        "final_logit_softcapping": 3.0,
    },
    "gemma4_text": {
        **_SLIDING, "vocab_size_per_layer_input": 300, "hidden_size_per_layer_input": 8, "global_head_dim": 8,
        "num_kv_shared_layers": 0, "final_logit_softcapping": 3.0,
    },
    "gpt_oss": {**_SLIDING, "num_local_experts": 4, "num_experts_per_tok": 2},
    "phi": {},
    "phi3": {"sliding_window": WINDOW, "original_max_position_embeddings": 128},
    "phimoe": {"num_local_experts": 4},
    "smollm3": {"num_hidden_layers": 2, "no_rope_layers": [1, 0]},
    "olmo": {},
    "olmo2": {},
    "olmo3": _SLIDING,
    "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
    "granite": {
        "embedding_multiplier": 3.0, "logits_scaling": 2.0, "residual_multiplier": 0.5, "attention_multiplier": 0.3,
    },
    "granitemoe": {"num_local_experts": 4, "num_experts_per_tok": 2, "logits_scaling": 2.0},
    "granite_swa": _SLIDING,
    "granitemoehybrid": {
        **_MAMBA, "layer_types": ["linear_attention", "full_attention"], "num_local_experts": 4,
        "num_experts_per_tok": 2, "shared_intermediate_size": 24, "logits_scaling": 2.0, "attention_multiplier": 0.3,
    },
    "granitemoehybrid dense": {
        **_MAMBA, "layer_types": ["full_attention"] * 2, "num_local_experts": 0, "num_experts_per_tok": 0,
        "shared_intermediate_size": 48, "logits_scaling": 2.0,
    },
    "cohere": {"logit_scale": 0.25},
    "cohere2": {**_SLIDING, "logit_scale": 0.25},
    "lfm2": {"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False},
    "lfm2_moe": {
        **_EXPERTS, "layer_types": ["conv", "full_attention"], "num_experts": 4, "num_dense_layers": 1,
    },
    "lfm3": {
        "num_hidden_layers": 3, "sliding_window": WINDOW,
        "layer_types": ["conv", "sliding_attention", "full_attention"],
    },
    "falcon_h1": {
        **_MAMBA, "mamba_d_ssm": 64, "lm_head_multiplier": 0.5, "embedding_multiplier": 2.0, "key_multiplier": 0.7,
        "attention_out_multiplier": 0.9, "ssm_out_multiplier": 0.6, "mamba_n_heads": 8,
    },
    "jamba": {
        "mamba_d_state": 8, "mamba_dt_rank": 4, "use_mamba_kernels": False, "attn_layer_period": 2,
        "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1, "num_experts": 4,
    },
    "bamba": {**_MAMBA, "attn_layer_indices": [1]},
    "zamba2": {
        **_MAMBA, "num_hidden_layers": 3, "layers_block_type": ["mamba", "hybrid", "mamba"], "mamba_ngroups": 1,
        "n_mamba_heads": 8, "mamba_headdim": 8, "chunk_size": 8, "num_mem_blocks": 1, "adapter_rank": 4,
        "use_mem_eff_path": False, "num_key_value_heads": 4, "attention_head_dim": 16,
    },
    "mamba": {"state_size": 8, "time_step_rank": 4, "expand": 2, "use_mambapy": False},
    "mamba2": {"state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 1, "chunk_size": 8, "expand": 2},
    "falcon_mamba": {"state_size": 8, "time_step_rank": 4, "expand": 2, "use_mambapy": False},
    "nemotron_h": {
        "layers_block_type": ["mamba", "attention", "mlp"], "num_hidden_layers": 3, "mamba_num_heads": 8,
        "mamba_head_dim": 8, "ssm_state_size": 8, "n_groups": 1, "chunk_size": 8, "use_mamba_kernels": False,
    },
    "recurrent_gemma": {
        "num_hidden_layers": 3, "lru_width": 32, "attention_window_size": WINDOW, "logits_soft_cap": 3.0,
    },
    "olmo_hybrid": {**_DELTA, "num_hidden_layers": 2},
    "nemotron": {},
    "glm": {"partial_rotary_factor": 0.5},
    "glm4": {"partial_rotary_factor": 0.5},
    "glm4_moe": {
        **_EXPERTS, "n_routed_experts": 4, "n_shared_experts": 1, "first_k_dense_replace": 1, "n_group": 1,
        "topk_group": 1, "partial_rotary_factor": 0.5,
    },
    "deepseek_v2": {
        **_LATENT, **_EXPERTS, "n_routed_experts": 4, "n_shared_experts": 1, "first_k_dense_replace": 1, "n_group": 1,
        "topk_group": 1,
    },
    "deepseek_v3": {
        **_LATENT, **_EXPERTS, "n_routed_experts": 4, "n_shared_experts": 1, "first_k_dense_replace": 1, "n_group": 1,
        "topk_group": 1,
    },
    "minicpm3": {**_LATENT, "scale_depth": 1.4, "dim_model_base": 16, "scale_emb": 2.0},
    "seed_oss": {},
    "hunyuan_v1_dense": {},
    "exaone4": _SLIDING,
    "exaone_moe": {**_SLIDING, **_EXPERTS, "num_experts": 4},
    "ernie4_5": {},
    "ernie4_5_moe": {**_EXPERTS, "moe_num_experts": 4, "moe_k": 2},
    "dots1": {
        **_EXPERTS, "n_routed_experts": 4, "n_shared_experts": 1, "first_k_dense_replace": 1, "n_group": 1,
        "topk_group": 1,
    },
    "solar_open": {**_EXPERTS, "n_routed_experts": 4},
    "longcat_flash": {
        **_LATENT, "num_layers": 2, "ffn_hidden_size": 48, "expert_ffn_hidden_size": 24, "n_routed_experts": 4,
        "moe_topk": 2, "zero_expert_num": 1,
    },
    "cwm": _SLIDING,
    "hyperclovax": {},
    "apertus": {},
    "arcee": {},
    "helium": {},
    "internlm3": {},
    "nanochat": {"final_logit_softcapping": 3.0},
    "vaultgemma": {**_SLIDING, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0},
    "mixtral": {"num_local_experts": 4, "sliding_window": WINDOW},
    "minimax_m2": {**_EXPERTS, "num_local_experts": 4, "rotary_dim": 4},
    "minimax": {"layer_types": ["linear_attention", "full_attention"], "num_local_experts": 4, "block_size": 8},
    "kimi_linear": {
        **_LATENT, "q_lora_rank": None, "layer_types": ["linear_attention", "full_attention"], "linear_head_dim": 8,
        "linear_num_heads": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24,
    },
    "llama4_text": {
        "layer_types": ["chunked_attention", "full_attention"], "attention_chunk_size": WINDOW, "num_local_experts": 4,
        "intermediate_size_mlp": 48, "no_rope_layers": [1, 0], "interleave_moe_layer_step": 2,
    },
    "starcoder2": {"sliding_window": WINDOW},
    "stablelm": {},
    "gpt2": _GPT,
    "gptj": {**_GPT, "rotary_dim": 4},
    "gpt_bigcode": _GPT,
    "codegen": {**_GPT, "rotary_dim": 4},
    "gpt_neo": {"num_layers": 2, "attention_types": [[["global", "local"], 1]], "window_size": WINDOW, "num_heads": 4},
    "gpt_neox": {},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "xglm": {"d_model": 32, "ffn_dim": 48, "attention_heads": 4, "num_layers": 2},
    "falcon": {"new_decoder_architecture": False, "alibi": False, "multi_query": True, "head_dim": None},
    "falcon alibi": {"new_decoder_architecture": False, "alibi": True, "multi_query": False, "head_dim": None},
    "bloom": _BLOOM,
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 128, "expansion_ratio": 2},
    "rwkv": {"context_length": 128, "attention_hidden_size": 32},
}  # fmt: skip
_SIGHT = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 4}
SEEING: dict[str, dict[str, Any]] = {
    "qwen3_5": {
        "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 32, "patch_size": 4,
        "num_position_embeddings": 16,
    },
    "gemma3": {**_SIGHT, "image_size": 8},
    "gemma4": {**_SIGHT, "num_key_value_heads": 2, "head_dim": 8},
}  # fmt: skip
"""Models that see too, of which the text model is used: the configuration of what sees."""
TINY = (*FAMILIES, *SEEING)


def _settings(family: str, **size: Any) -> dict[str, Any]:
    return {name: value for name, value in (_COMMON | FAMILIES[family] | size).items() if value is not None}


def _model(family: str, **size: Any) -> Any:
    if family not in SEEING:
        config = AutoConfig.for_model(family.partition(" ")[0], **_settings(family, **size))
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    text = _settings(f"{family}_text") | {"model_type": f"{family}_text"}
    ends = {name: text[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    sound = {"audio_config": None} if family == "gemma4" else {}
    config = AutoConfig.for_model(family, text_config=text, vision_config=SEEING[family], **ends, **sound)
    return AutoModelForImageTextToText.from_config(config, dtype=torch.float32)


def make(family: str, folder: Path, **size: Any) -> Path:
    """Write the tiny model of a family and its tokenizer into `folder`; `size` in place of tiny."""
    quiet = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), without_progress_bars():
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            _model(family, **size).save_pretrained(folder)
    finally:
        logging.set_verbosity(quiet)
    make_tokenizer().save_pretrained(folder)
    return folder
