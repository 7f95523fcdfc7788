"""How many tokens does `alignwright serve` write in a CPU-second, beside other servers of the same model?

`python benchmarks/serving_speed.py [--turns 3] [--threads 1]` prints a JSON line. Sixteen chats arrive at once, each of
some sixty tokens, and get 64 tokens at temperature 1, from the bundled model in this machine's own precision. Each
server is a process of its own with the same number of threads, is asked once before it is measured, and is measured by
its own CPU-seconds, the client's not counted. Beside it: `transformers serve` with continuous batching where FastAPI
is installed, else a loop of transformers' `generate`, one chat after another; and llama.cpp's server on the GGUF file
as it is, in four bits (xllamacpp). A peer that cannot run is skipped, and said.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from llama_server import ask
from llama_server import serving as llama_serving

from alignwright.files.models import BUNDLED, resolve
from alignwright.model.tokenizer import dequantised_folder
from alignwright.model.training_dtype import training_dtype

TOP = Path(__file__).parents[1]
AIM_BESIDE_TRANSFORMERS, AIM_BESIDE_LLAMA = 2.0, 0.8
CHATS, TOKENS = 16, 64
LOOP_CHATS = 4  # of a loop, whose rate does not depend on how many wait
_WORDS = "river stone window garden simple letter morning silver engine paper travel music winter yellow forest number"
PROMPTS = [
    "Tell me a long story about " + " ".join(_WORDS.split()[(i * 7 + j * (i + 1)) % 16] for j in range(28))
    for i in range(CHATS)
]
SERVE = "from alignwright.cli import main; main()"
GENERATE = """
import json, os, sys, time, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, dtype, prompts, tokens, turns = json.load(sys.stdin)
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
chats = [
    tokenizer.apply_chat_template([{"role": "user", "content": each}], add_generation_prompt=True, return_tensors="pt")
    for each in prompts
]
chats = [chat["input_ids"] if hasattr(chat, "keys") else chat for chat in chats]
def write(chats):
    for ids in chats:
        model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=1.0, top_k=0,
                       min_new_tokens=tokens, max_new_tokens=tokens, pad_token_id=tokenizer.eos_token_id)
write(chats[:1])
for _ in range(turns):
    start = time.process_time()
    write(chats)
    print(json.dumps(len(chats) * tokens / (time.process_time() - start)))
"""

Rates = list[float]


def measure(turns: int = 3, threads: int = 1) -> dict[str, Any]:
    """Tokens per CPU-second of each, the medians of the turns; and the targets."""
    folder, dtype = str(dequantised_folder(gguf())), training_dtype()
    ours = _rates(own_server, turns, threads)
    llama = _rates(llama_server, turns, threads)
    peer_name, peer = "transformers serve", why_no_transformers_serve()
    if peer is None:
        peer = _rates(lambda count: transformers_server(folder, dtype, count), turns, threads)
    if isinstance(peer, str):
        loops = {each: generate_loop(folder, each, turns, threads) for each in dict.fromkeys((dtype, "float32"))}
        best = max(loops, key=lambda each: statistics.median(loops[each]) if isinstance(loops[each], list) else 0)
        peer_name, peer = f"generate loop in {best} ({peer})", loops[best]
    result: dict[str, Any] = {"dtype": dtype, "threads": threads, "chats": CHATS, "tokens_per_cpu_s": {"ours": ours}}
    targets: dict[str, list[Any]] = {}
    for name, rates, aim, target in (
        (peer_name, peer, AIM_BESIDE_TRANSFORMERS, "serving_beside_transformers"),
        ("llama.cpp Q4_1", llama, AIM_BESIDE_LLAMA, "serving_beside_llama_cpp"),
    ):
        result["tokens_per_cpu_s"][name] = rates
        if isinstance(ours, list) and isinstance(rates, list):
            ratio = round(statistics.median(ours) / statistics.median(rates), 2)
            targets[target] = [ratio, aim, ratio >= aim]
    if (llama_ratio := targets.get("serving_beside_llama_cpp")) and llama_ratio[0] < 1:
        result["why_below_1"] = f"every step reads all weights: theirs in four bits, ours in {dtype}"
    return {**result, "targets": targets}


def gguf() -> Path:
    path = resolve(BUNDLED).path
    assert path is not None
    return path


def _rates(server: Callable[[int], Any], turns: int, threads: int) -> Rates | str:
    try:
        with server(threads) as (address, model, pid):
            write(address, model, 0, pid, chats=2)  # what is made once is not counted
            return [write(address, model, turn + 1, pid) for turn in range(turns)]
    except (RuntimeError, OSError, ImportError, KeyError) as error:
        return f"skipped: {error}"


def write(address: str, model: str, seed: int, pid: int, chats: int = CHATS) -> float:
    """All chats at once; tokens per CPU-second of the server's process."""
    to_the_end = model == BUNDLED  # transformers has no way to ask for it

    def one(place: int) -> int:
        body = {
            "messages": [{"role": "user", "content": f"{seed}. {PROMPTS[place]}"}],  # no server has it cached
            "max_tokens": TOKENS, "temperature": 1.0, "seed": seed * CHATS + place, "model": model,
            **({"ignore_eos": True} if to_the_end else {}),
        }  # fmt: skip
        status, answer = ask(f"{address}/v1/chat/completions", body, 600)
        if status != 200:
            raise RuntimeError(f"{status}: {str(answer)[:200]}")
        return int(answer["usage"]["completion_tokens"])

    before = _cpu(pid)
    with ThreadPoolExecutor(chats) as pool:
        count = sum(pool.map(one, range(chats)))
    return round(count / max(_cpu(pid) - before, 1e-9), 1)


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


@contextlib.contextmanager
def own_server(threads: int) -> Generator[tuple[str, str, int]]:
    command = [sys.executable, "-c", SERVE, "serve", BUNDLED, "--port", "0"]
    with _process(command, threads) as process:
        assert process.stdout is not None
        line = next((line for line in process.stdout if " at http" in line), None)
        if line is None:
            raise RuntimeError("alignwright serve did not begin")
        yield line.split(" at ")[1].split(" ")[0].removesuffix("/v1"), BUNDLED, process.pid


@contextlib.contextmanager
def llama_server(threads: int) -> Generator[tuple[str, str, int]]:
    if importlib.util.find_spec("xllamacpp") is None:
        raise RuntimeError("xllamacpp is not installed")
    with llama_serving(gguf(), slots=CHATS, threads=threads) as (address, pid):
        yield address, BUNDLED, pid


def why_no_transformers_serve() -> str | None:
    return None if importlib.util.find_spec("fastapi") else "transformers serve needs fastapi, not installed"


@contextlib.contextmanager
def transformers_server(folder: str, dtype: str, threads: int) -> Generator[tuple[str, str, int]]:
    port = _free_port()
    program = str(Path(sys.executable).with_name("transformers"))
    command = [program, "serve", folder, "--port", str(port), "--device", "cpu", "--dtype", dtype]
    with _process([*command, "--continuous-batching"], threads) as process:
        for _ in range(600):
            with contextlib.suppress(OSError):
                ask(f"http://localhost:{port}/health", {}, 2)
                break
            if process.poll() is not None:
                raise RuntimeError(f"transformers serve ended with {process.returncode}")
            time.sleep(0.2)
        yield f"http://localhost:{port}", folder, process.pid


def generate_loop(folder: str, dtype: str, turns: int, threads: int) -> Rates | str:
    done = subprocess.run(
        [sys.executable, "-c", GENERATE], input=json.dumps([folder, dtype, PROMPTS[:LOOP_CHATS], TOKENS, turns]),
        env=_environment(threads), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        return f"skipped: {done.stderr.strip().splitlines()[-1]}"
    return [round(json.loads(line), 1) for line in done.stdout.splitlines()]


@contextlib.contextmanager
def _process(command: Sequence[str], threads: int) -> Generator[subprocess.Popen[str]]:
    with (
        tempfile.TemporaryFile("w+") as quiet,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=quiet, text=True, env=_environment(threads)
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def _environment(threads: int) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(TOP / "src"), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}


def _free_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def main() -> int:
    parser = argparse.ArgumentParser(description="tokens per CPU-second of servers of one model")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    result = measure(args.turns, args.threads)
    print(json.dumps(result))
    return 0 if all(met for _, _, met in result["targets"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
