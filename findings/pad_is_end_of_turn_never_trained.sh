#!/usr/bin/env bash
# transformers 5.23.0: where pad_token_id is the end-of-turn token, as instruct models ship it, training all weights never trains that token's input embedding.
#
# Guess: pad_token_id says which id fills short rows; the attention mask and the label -100 keep padding out of the loss, so a token that is both
#   padding and the end of every turn (SmolLM2-Instruct: both are id 2, and a tokenizer without a pad token is commonly given its end-of-turn one)
#   learns from the places where it really stands.
# Seen: the model hands pad_token_id to nn.Embedding as padding_idx, which gives the row no gradient wherever it stands. Over 30 steps of AdamW
#   on rows without any padding every other token that is read moves, and the end-of-turn token's row stays to the last bit (a new model's row
#   is all zeros, and stays that). With another id, or none, as pad_token_id it moves like the rest. Nothing is said.
# Why it matters: the token that carries the boundary between turns is the one whose input is frozen. Two trainers that differ only in whether
#   they set pad_token_id on the model give different models, and a model trained from scratch so reads every end of turn as the zero vector.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
export HF_HOME="$tmp/hf" HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 safetensors==0.8.0 numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'PY'
import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM

assert transformers.__version__ == "5.23.0"
END, STEPS = 2, 30
rows = torch.tensor([[1, 5, END, 7, 9, END], [1, 6, END, 8, 5, END]])  # two turns each, no padding


def moved(pad: int | None) -> dict[int, float]:
    """How far the input embedding of each token that is read has moved after training."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=16, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
        pad_token_id=pad, bos_token_id=1, eos_token_id=END, tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    before = model.get_input_embeddings().weight.detach().clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    for _ in range(STEPS):
        optimizer.zero_grad()
        model(input_ids=rows, attention_mask=torch.ones_like(rows), labels=rows).loss.backward()
        optimizer.step()
    weight = model.get_input_embeddings().weight.detach()
    return {token: (weight[token] - before[token]).norm().item() for token in sorted(set(rows[:, :-1].flatten().tolist()))}


for pad in (None, 0, END):
    change = moved(pad)
    others = min(distance for token, distance in change.items() if token != END)
    print(f"pad_token_id={pad}: the end-of-turn token's input embedding moved by {change[END]:.4f}, the others by at least {others:.4f}")
    assert others > 0.1, change
    assert (change[END] == 0.0) if pad == END else (change[END] > 0.1), change
PY
echo "CONFIRMED: transformers 5.23.0 never trains the input embedding of an end-of-turn token that is pad_token_id too, though no row is padded"
