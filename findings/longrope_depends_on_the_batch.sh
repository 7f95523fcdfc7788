#!/usr/bin/env bash
# transformers 5.23.0: under longrope (Phi-3 128k, Phi-4-mini) a short row's logits depend on how long its neighbours in the batch are.
#
# Guess: rows of a padded batch do not see one another, so a row's logits are the same alone and beside a longer row; and with a KV cache greedy
#   decoding gives the logits of one forward over the whole text.
# Seen: which of the two tables of frequencies is used is decided by the largest position of the whole batch. Beside a row that is longer than
#   original_max_position_embeddings, a short row is turned by the long table and its logits move; beside a row that is not, they stay to rounding.
#   With a cache, keys written before that length keep the short table while queries after it use the long one, so the logits of step 33 are
#   not those of a forward without a cache. Nothing is logged about it.
# Why it matters: log-probabilities of a preference pair, a perplexity or a benchmark item change with the batch size and with whatever lies beside
#   it, and a policy that is sampled with a cache is not the policy that is scored: the first ratio of PPO or GRPO is not 1.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
export HF_HOME="$tmp/hf" HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 safetensors==0.8.0 numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'PY'
import torch
import transformers
from transformers import DynamicCache, Phi3Config, Phi3ForCausalLM

assert transformers.__version__ == "5.23.0"
SHORT_CONTEXT = 32
torch.manual_seed(0)
config = Phi3Config(
    vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
    max_position_embeddings=128, original_max_position_embeddings=SHORT_CONTEXT, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    initializer_range=0.3, rope_parameters={"rope_type": "longrope", "rope_theta": 10000.0, "partial_rotary_factor": 1.0,
                                            "short_factor": [1.0] * 8, "long_factor": [4.0] * 8},
)
model = Phi3ForCausalLM(config).eval()
row = torch.randint(3, 64, (1, 10))


@torch.inference_mode()
def beside(length: int) -> torch.Tensor:
    """The row's logits in a batch with a second row of this length."""
    ids, mask = torch.zeros(2, length, dtype=torch.long), torch.zeros(2, length, dtype=torch.long)
    ids[0, :10], mask[0, :10] = row[0], 1
    ids[1], mask[1] = torch.randint(3, 64, (length,)), 1
    return model(ids, attention_mask=mask).logits[0, :10]


@torch.inference_mode()
def cached_step(length: int) -> float:
    """How far the logits of the last token, decoded over a cache, are from those of one forward."""
    ids, cache = torch.randint(3, 64, (1, length)), DynamicCache(config=config)
    model(ids[:, :-1], past_key_values=cache, use_cache=True)
    step = model(ids[:, -1:], past_key_values=cache, use_cache=True).logits[0, -1]
    return (step - model(ids, use_cache=False).logits[0, -1]).abs().max().item()


with torch.inference_mode():
    alone = model(row).logits[0]
moved, still = ((alone - beside(length)).abs().max().item() for length in (SHORT_CONTEXT + 1, SHORT_CONTEXT))
print(f"logits (standard deviation {alone.std():.2f}) of a row of 10 tokens: beside {SHORT_CONTEXT} tokens moved by {still:.1e}, beside {SHORT_CONTEXT + 1} by {moved:.2f}")
assert still < 1e-4 and moved > 0.05
crossing, before = cached_step(SHORT_CONTEXT + 1), cached_step(SHORT_CONTEXT)
print(f"with a cache against without: token {SHORT_CONTEXT} {before:.1e}, token {SHORT_CONTEXT + 1} {crossing:.2f}")
assert before < 1e-4 and crossing > 0.05
print("CONFIRMED")
PY
