#!/usr/bin/env bash
# transformers 5.23.0 takes the weights of gguf_file="model.gguf" from the working folder when a file of that name lies there, and all else from the model's folder.
#
# Guess: AutoModelForCausalLM.from_pretrained(FOLDER, gguf_file="model.gguf") opens FOLDER/model.gguf, wherever the process was started.
# Seen: the model's weights alone are first looked for under the bare name, that is in the working folder of the process; a file there wins over FOLDER's. The
#   configuration and the tokenizer do not look there. Two llamas of one shape, each in a folder as model.gguf, differ in weights, rotary base and vocabulary:
#     named, from an empty folder: weights of named, rotary base 10000, ids of 'abcz' [28, 4, 27]
#     other, from an empty folder: weights of other, rotary base 500000, ids of 'abcz' [28, 25, 2]
#     named, from other: weights of other, rotary base 10000, ids of 'abcz' [28, 4, 27]
#     named by its full path, from other: weights of named, rotary base 10000, ids of 'abcz' [28, 4, 27]
#     largest difference of a logit of the mixed model from named 25.77, from other 3.95
#   No warning is logged. The full path of the file as gguf_file takes all of it from that one file.
# Why it matters: converters and downloads often leave a file called model.gguf, and fine-tunes of one model share its shape, so a script that is started
#   beside another model's file evaluates or trains a model that exists nowhere else, under the name of the one it was asked for.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
export HF_HOME="$tmp/hf" HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 gguf==0.19.0 numpy==2.4.6 accelerate==1.15.0 2>"$tmp/pip.log" || { tail -20 "$tmp/pip.log"; exit 1; }
cd "$tmp"
venv/bin/python - 2>run.log <<'PY' || { tail -20 run.log; exit 1; }
import logging
import os
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

assert transformers.__version__ == "5.23.0"
WIDTH, HEADS, INNER = 32, 2, 48
LETTERS = "abcdefghijklmnopqrstuvwxyz"
MATRICES = {"attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH, WIDTH), "attn_v": (WIDTH, WIDTH), "attn_output": (WIDTH, WIDTH),
            "ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER)}


def written(path: Path, seed: int, base: float, letters: str) -> np.ndarray:
    """A llama of one layer with its tokenizer, always of the same shape; returns its input embeddings."""
    draw = np.random.default_rng(seed)
    path.parent.mkdir()
    file = gguf.GGUFWriter(str(path), "llama")
    file.add_context_length(128)
    file.add_embedding_length(WIDTH)
    file.add_block_count(1)
    file.add_feed_forward_length(INNER)
    file.add_head_count(HEADS)
    file.add_head_count_kv(HEADS)
    file.add_rope_dimension_count(WIDTH // HEADS)
    file.add_rope_freq_base(base)
    file.add_layer_norm_rms_eps(1e-6)
    tokens = ["<s>", "</s>", *letters, "ab"]
    file.add_vocab_size(len(tokens))
    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre("gpt-2")
    file.add_token_list(tokens)
    file.add_token_types([gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.NORMAL] * (len(tokens) - 2))
    file.add_token_merges(["a b"])
    file.add_bos_token_id(0)
    file.add_eos_token_id(1)
    embeddings = draw.normal(size=(len(tokens), WIDTH)).astype(np.float32)
    file.add_tensor("token_embd.weight", embeddings)
    file.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    file.add_tensor("output.weight", draw.normal(size=(len(tokens), WIDTH)).astype(np.float32))
    file.add_tensor("blk.0.attn_norm.weight", np.ones(WIDTH, np.float32))
    file.add_tensor("blk.0.ffn_norm.weight", np.ones(WIDTH, np.float32))
    for name, shape in MATRICES.items():
        file.add_tensor(f"blk.0.{name}.weight", draw.normal(scale=0.2, size=shape).astype(np.float32))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return embeddings


class Kept(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        messages.append(record.getMessage())


messages: list[str] = []
transformers.logging.set_verbosity_warning()
logging.getLogger("transformers").addHandler(Kept())
logging.getLogger("transformers.modeling_utils").warning("a warning from the loader would be kept here")
assert len(messages) == 1
messages.clear()
top = Path.cwd()
embeddings = {
    "named": written(top / "named" / "model.gguf", 0, 10000.0, LETTERS),
    "other": written(top / "other" / "model.gguf", 1, 500000.0, LETTERS[::-1]),
}
(top / "empty").mkdir()


def opened(started: str, folder: str, gguf_file: str) -> tuple[str, float, list[int], torch.Tensor]:
    """Whose weights come, with which rotary base, which ids of a text and which logits, when the working folder is `started`."""
    os.chdir(top / started)
    model = AutoModelForCausalLM.from_pretrained(top / folder, gguf_file=gguf_file, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(top / folder, gguf_file=gguf_file)
    os.chdir(top)
    (owner,) = (name for name, planted in embeddings.items() if np.array_equal(model.get_input_embeddings().weight.detach().numpy(), planted))
    with torch.no_grad():
        logits = model(torch.arange(2, 22)[None]).logits
    return owner, model.config.rope_parameters["rope_theta"], tokenizer("abcz", add_special_tokens=False).input_ids, logits


named = opened("empty", "named", "model.gguf")
other = opened("empty", "other", "model.gguf")
mixed = opened("other", "named", "model.gguf")
whole = opened("other", "named", str(top / "named" / "model.gguf"))
for asked, (owner, base, ids, _) in {"named, from an empty folder": named, "other, from an empty folder": other, "named, from other": mixed,
                                     "named by its full path, from other": whole}.items():
    print(f"{asked}: weights of {owner}, rotary base {base:.0f}, ids of 'abcz' {ids}")
apart = [float((mixed[3] - one[3]).abs().max()) for one in (named, other)]
print(f"largest difference of a logit of the mixed model from named {apart[0]:.2f}, from other {apart[1]:.2f}")
print("logged:", messages)
assert named[:2] == ("named", 10000.0) and other[:2] == ("other", 500000.0) and named[2] != other[2]
assert mixed[0] == "other" and mixed[1:3] == named[1:3] and min(apart) > 0.01
assert whole[:3] == named[:3] and torch.equal(whole[3], named[3])
assert messages == []
print("CONFIRMED")
PY
