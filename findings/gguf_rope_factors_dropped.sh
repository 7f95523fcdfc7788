#!/usr/bin/env bash
# transformers 5.23.0 opens a GGUF file of Llama 3.1's kind without the factors of its rotary frequencies: the model is another one.
#
# Guess: AutoModelForCausalLM.from_pretrained(folder, gguf_file=...) gives the logits of the model that the file was made of; what it cannot read it refuses.
# Seen: llama.cpp keeps the scaling "llama3" of rotary embeddings (Llama 3.1 and later) not in metadata but in a tensor, rope_freqs.weight, one divisor a
#   frequency. transformers passes over the tensor and opens the model with unscaled frequencies: its configuration says "default", and nothing is logged.
#   A model without scaling, written by the same lines, comes back equal to rounding, and so do the first position and short distances of the scaled one nearly:
#   the difference grows with the distance between tokens, so a short prompt shows little of it.
# Why it matters: a Llama 3.1, 3.2 or 3.3 that is evaluated or fine-tuned from its GGUF file through transformers is not the model that llama.cpp serves.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
export HF_HOME="$tmp/hf" HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 gguf==0.19.0 numpy==2.4.6 accelerate==1.15.0 2>"$tmp/pip.log" || { tail -20 "$tmp/pip.log"; exit 1; }
cd "$tmp"
venv/bin/python - 2>run.log <<'PY' || { tail -20 run.log; exit 1; }
import gguf
import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

assert transformers.__version__ == "5.23.0"
WORDS, WIDTH, HEADS, LAYERS, INNER = 64, 64, 4, 2, 96
SCALED = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
NAMES = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
         "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def written(model: LlamaForCausalLM, name: str, factors: np.ndarray | None) -> None:
    """The model as llama.cpp's converter lays it out: halves of a head's rows interleaved in queries and keys."""
    file = gguf.GGUFWriter(name, "llama")
    file.add_context_length(4096)
    file.add_embedding_length(WIDTH)
    file.add_block_count(LAYERS)
    file.add_feed_forward_length(INNER)
    file.add_head_count(HEADS)
    file.add_head_count_kv(HEADS)
    file.add_rope_dimension_count(WIDTH // HEADS)
    file.add_rope_freq_base(10000.0)
    file.add_layer_norm_rms_eps(1e-6)
    file.add_vocab_size(WORDS)
    file.add_tokenizer_model("gpt2")
    file.add_token_list([f"<{i}>" for i in range(WORDS)])
    weights = {key: tensor.float().numpy() for key, tensor in model.state_dict().items()}
    file.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    file.add_tensor("output_norm.weight", weights["model.norm.weight"])
    file.add_tensor("output.weight", weights["lm_head.weight"])
    for layer in range(LAYERS):
        for theirs, ours in NAMES.items():
            matrix = weights[f"model.layers.{layer}.{theirs}.weight"]
            if ours in ("attn_q", "attn_k"):
                matrix = matrix.reshape(HEADS, 2, WIDTH // HEADS // 2, WIDTH).swapaxes(1, 2).reshape(matrix.shape).copy()
            file.add_tensor(f"blk.{layer}.{ours}.weight", matrix)
    if factors is not None:
        file.add_tensor("rope_freqs.weight", factors)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def difference(rope: dict | None) -> tuple[float, dict]:
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=WORDS, hidden_size=WIDTH, num_attention_heads=HEADS, num_key_value_heads=HEADS, num_hidden_layers=LAYERS, intermediate_size=INNER,
                         max_position_embeddings=4096, rope_parameters=rope or {"rope_type": "default", "rope_theta": 10000.0}, initializer_range=0.2)
    model = LlamaForCausalLM(config).eval()
    factors = None
    if rope:
        plain = 1.0 / 10000.0 ** (torch.arange(0, WIDTH // HEADS, 2).float() / (WIDTH // HEADS))
        scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
        factors = (plain / scaled).numpy().astype(np.float32)
        print("rope_freqs.weight:", factors.round(2).tolist())
        assert factors.max() > 7.9
    written(model, "model.gguf", factors)
    opened = AutoModelForCausalLM.from_pretrained(".", gguf_file="model.gguf", dtype=torch.float32, quantization_config=transformers.GgufConfig(dequantize=True)).eval()
    ids = torch.arange(60)[None] % WORDS
    with torch.no_grad():
        return float((opened(ids).logits - model(ids).logits).abs().max()), opened.config.rope_parameters


control, _ = difference(None)
print(f"without scaling: largest difference of a logit {control:.1e}")
assert control < 1e-3
seen, rope = difference(SCALED)
print(f"with scaling: {seen:.2f}; the opened configuration says {rope}")
assert seen > 0.05 and rope["rope_type"] == "default"
print("CONFIRMED")
PY
