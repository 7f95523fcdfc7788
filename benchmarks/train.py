"""How fast do we train and sample, beside TRL, on the same rows and the same cores?

`python benchmarks/train.py [--cases dpo,grpo-8] [--dtypes bf16,fp32] [--quick]` prints a JSON line
a measurement, and the ratios last. Ours and the peer take turns, each in a process of its own; both
are measured in CPU-seconds of their optimiser steps, from the end of one step to the end of the
next (sampling included, the reference's log-probabilities not: both compute them beforehand), the
first step left out. The machine's rate of matrix products is measured between our steps, so that a
busy machine slows both sides of that ratio.

The peer's scripts are not part of this project: ALIGNWRIGHT_PEERS names their folder,
ALIGNWRIGHT_PEERS_PYTHON the Python of their environment (TRL 1.16), TRL_1_12 a folder with TRL
1.12, the last that had PPO. What is not there is skipped, and said. Their settings are the best
that they have on a processor: eager attention, reference computed beforehand, no checkpointing of
activations.

Where our loop does not stop at an end-of-turn token, TRL is told to forbid it: both draw exactly
`new` tokens.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PEERS, PYTHON = os.environ.get("ALIGNWRIGHT_PEERS", ""), os.environ.get("ALIGNWRIGHT_PEERS_PYTHON", "")
LORA = ["--lora", "16"]
COMMON = ["--attn", "eager"]
GROUP = ["--beta", "0.04", "--prompts-per-step", "1", "--new", "48", "--no-eos"]
# name: (what, prompt tokens, replies of a group, LoRA rank, the peer's script and options)
CASES: dict[str, tuple[str, int, int, int, list[str]]] = {
    "dpo": ("dpo", 60, 2, 16, ["dpo.py", "--precompute", *LORA]),
    "dpo-256": ("dpo", 256, 2, 16, ["dpo.py", "--precompute", "--prompt-tokens", "256", *LORA]),
    "dpo-full": ("dpo", 60, 2, 0, ["dpo.py", "--precompute"]),
    "sft-full": ("sft", 60, 1, 0, ["sft.py"]),
    "reward-full": ("reward", 60, 2, 0, ["rm.py"]),
    "grpo-8-full": ("grpo", 60, 8, 0, ["grpo.py", "--gens", "8", *GROUP]),
    "reward": ("reward", 60, 2, 16, ["rm.py", *LORA]),
    "reward-256": ("reward", 256, 2, 16, ["rm.py", "--prompt-tokens", "256", *LORA]),
    "sft": ("sft", 60, 1, 16, ["sft.py", *LORA]),
    "grpo-8": ("grpo", 60, 8, 16, ["grpo.py", "--gens", "8", *GROUP, *LORA]),
    "grpo-32": ("grpo", 60, 32, 16, ["grpo.py", "--gens", "32", *GROUP, *LORA]),
    "ppo": ("ppo", 60, 1, 16, ["ppo.py", "--gens", "8", "--new", "48", *LORA]),
    "decode-8": ("decode", 60, 8, 16, []),
    "decode-64": ("decode", 60, 64, 16, []),
}
QUICK = ("dpo", "sft", "grpo-8", "decode-8")
BATCH, NEW, MODEL = 8, 48, "smollm2-135m-instruct"


def main() -> None:
    parser = argparse.ArgumentParser(description="training and sampling speed beside TRL")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--dtypes", default="bf16,fp32")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help=f"{', '.join(QUICK)} in bf16, three steps")
    parser.add_argument("--ours", nargs=2, metavar=("CASE", "DTYPE"), help=argparse.SUPPRESS)
    parser.add_argument("--model", default=MODEL, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ours:
        print(json.dumps(ours(*args.ours, args.steps, args.threads, args.model)), flush=True)
        return
    cases, dtypes, steps = (
        (QUICK, ["bf16"], 3) if args.quick else (args.cases.split(","), args.dtypes.split(","), args.steps)
    )
    if unknown := [case for case in cases if case not in CASES]:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    summary: dict[str, Any] = {}
    for case in cases:
        for dtype in dtypes:
            own = run_json(
                [
                    sys.executable,
                    __file__,
                    "--ours",
                    case,
                    dtype,
                    "--steps",
                    str(steps),
                    "--threads",
                    str(args.threads),
                ],
                args.threads,
            )
            peer = own.pop("generate", None) or trl(case, dtype, steps, args.threads)
            for row in (own, peer):
                print(json.dumps({"case": case, "dtype": dtype, **row}), flush=True)
            summary[f"{case} {dtype}"] = _compared(own, peer)
    print(json.dumps({"summary": summary}), flush=True)


def trl(case: str, dtype: str, steps: int, threads: int, cache: str | None = None) -> dict[str, Any]:
    """The peer on the same case: {units per CPU-second, peak memory}, or the reason why it was
    skipped. `cache`: a folder with a model to take instead of the bundled one, in `fp32` and `bf16`."""
    script, *options = CASES[case][4]
    if not PEERS or not PYTHON:
        return {"lib": "trl", "skipped": "ALIGNWRIGHT_PEERS and ALIGNWRIGHT_PEERS_PYTHON are not both set"}
    if script == "ppo.py" and not os.environ.get("TRL_1_12"):
        return {"lib": "trl", "skipped": "TRL_1_12 is not set"}
    size = ["--pairs", str(BATCH * steps), "--steps", str(steps), "--threads", str(threads), "--dtype", dtype]
    environment = {} if cache is None else {"BENCH_CACHE": cache}
    row = run_json([PYTHON, str(Path(PEERS) / script), *options, *COMMON, *size], threads, **environment)
    if "skipped" in row:
        return {"lib": "trl", **row}
    unit = "pairs" if "pairs_per_cpu_s" in row else "samples"
    return {
        "lib": "trl",
        "unit": unit,
        "per_cpu_s": row[f"{unit}_per_cpu_s"],
        "peak_rss_gib": row["peak_rss_gib"],
        "loss": row.get("loss_first"),
    }


def run_json(command: list[str], threads: int, **environment: str) -> dict[str, Any]:
    """The JSON object that a command prints last."""
    variables = os.environ | {"OMP_NUM_THREADS": str(threads)} | environment
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return (
        json.loads(lines[-1])
        if done.returncode == 0 and lines
        else {"skipped": (done.stderr.strip().splitlines() or ["no output"])[-1]}
    )


def _compared(own: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    kept = {name: own[name] for name in ("share_of_products",) if name in own}
    if "per_cpu_s" not in own or "per_cpu_s" not in peer:
        return kept | {"skipped": own.get("skipped") or peer.get("skipped")}
    memory = {"memory": round(own["peak_rss_gib"] / peer["peak_rss_gib"], 2)} if "peak_rss_gib" in peer else {}
    return kept | {"times": round(own["per_cpu_s"] / peer["per_cpu_s"], 2)} | memory


# ---- ours ----------------------------------------------------------------------------------------
def ours(case: str, dtype: str, steps: int, threads: int, model: str = MODEL) -> dict[str, Any]:
    """One case in this process, on the bundled model or on that of a folder."""
    import alignwright.model  # noqa: F401  # isort: skip  # sets up memory and threads before torch is there
    import torch

    from alignwright.model.adapters import add_lora
    from alignwright.model.load import load

    torch.set_num_threads(threads)
    what, prompt_tokens, replies, rank, _ = CASES[case]
    policy = load(model, dtype={"bf16": "bfloat16", "fp32": "float32"}[dtype])
    if rank:
        add_lora(policy, rank=rank, seed=0)
    if what == "decode":
        return _decode(policy, _rows(policy, 1, prompt_tokens), replies)
    clock = _Clock(policy.dtype)
    units = _train(policy, what, _rows(policy, BATCH * steps, prompt_tokens), replies, rank, steps, clock)
    per_step = [seconds for seconds, _ in clock.steps[1:]]
    flop = [tokens for _, tokens in clock.steps[1:]]
    trunk, head, completion = _parameters(policy)
    each = (4 if rank else 6) * (trunk + (head * completion if what in ("dpo", "sft") else 0))
    share = each * sum(flop) / sum(per_step) / clock.rate if what in ("dpo", "sft", "reward") else None
    unit = "samples" if what in ("sft", "grpo", "ppo") else "pairs"
    row = {"lib": "alignwright", "unit": unit, "per_cpu_s": round(units * len(per_step) / sum(per_step), 3)}
    row |= {"gflop_per_cpu_s_of_products": round(clock.rate / 1e9), "peak_rss_gib": _memory(), "steps": len(per_step)}
    return row | ({"share_of_products": round(share, 3)} if share else {})


def _rows(policy: Any, count: int, prompt_tokens: int) -> list[Any]:
    """The peer's own rows, as preferences."""
    from alignwright.core.records import Conversation, Preference, Prompt

    if not PEERS:
        text = "Could you tell me honestly what I should do first about it? " * (prompt_tokens // 14 + 1)
        said = {
            "chosen": [{"content": "Start with one step. " * 12}],
            "rejected": [{"content": "You are right. " * 14}],
        }
        rows = [{"prompt": [{"content": f"{i} {text}"}], **said} for i in range(count)]
    else:
        sys.path.insert(0, PEERS)
        import common  # type: ignore[import-not-found]

        rows = common.preference_rows(policy.tokenizer, count, prompt_tokens, 60, 0)
    asked = [Prompt(conversation=Conversation.user(row["prompt"][0]["content"])) for row in rows]
    replies = [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows]
    return [Preference(prompt=p, chosen=good, rejected=bad) for p, (good, bad) in zip(asked, replies, strict=True)]


def _train(policy: Any, what: str, rows: list[Any], replies: int, rank: int, steps: int, clock: _Clock) -> float:
    """Run the stage; how many units a step has."""
    from alignwright.core.records import Conversation, Message
    from alignwright.train.knobs import RewardModel, Sft
    from alignwright.train.knobs_pairs import Dpo
    from alignwright.train.knobs_policy_gradient import Grpo, Ppo
    from alignwright.train.policy_gradient import policy_gradient
    from alignwright.train.preference import preference
    from alignwright.train.reward import reward
    from alignwright.train.sft import Demonstration, sft

    folder = Path(tempfile.mkdtemp())
    pairs = [
        policy.chat.row(p.prompt.conversation, [p.chosen] if what == "sft" else [p.chosen, p.rejected]) for p in rows
    ]
    policy.completion_share = sum(len(reply) for row in pairs for reply in row.replies) / sum(map(len, pairs))
    knobs: dict[str, Any] = {"epochs": 1, "lr": 1e-5, "rank": rank, "max_tokens": 2048, "checkpoint_every": 10**6}
    knobs["batch_tokens"] = sum(map(len, pairs)) // steps
    drawn: dict[str, Any] = {"reward": "feedback", "samples": replies, "max_new_tokens": NEW}
    every: dict[str, Any] = {"seed": 0, "folder": folder, "on_step": clock}
    clock.begin()
    if what == "dpo":
        reports = preference(policy, rows, Dpo(by="dpo", **knobs), **every)
    elif what == "reward":
        reports, _ = reward(policy, rows, RewardModel(by="reward", heldout=0.0, no_signal="use", **knobs), **every)
    elif what == "sft":
        talks = [
            Conversation(messages=(*p.prompt.conversation.messages, Message(role="assistant", content=p.chosen)))
            for p in rows
        ]
        reports = sft(policy, [Demonstration(talk) for talk in talks], Sft(by="sft", **knobs), **every)
    else:
        policy.chat.stop_ids = frozenset()
        knobs["batch_tokens"] = 10**6  # a rollout is a step
        prompts = [p.prompt for p in rows[: steps * (1 if what == "grpo" else BATCH)]]
        if what == "grpo":
            stage: Any = Grpo(by="grpo", prompts=1, kl_coef=0.04, kl_form="loss:k3", **knobs, **drawn)
        else:
            stage = Ppo(by="ppo", prompts=BATCH, num_iterations=1, **knobs, **drawn)
        reports = policy_gradient(policy, prompts, _Words(), stage, **every)
        return replies * (1 if what == "grpo" else BATCH)
    return len(rows) / len(reports)


class _Words:
    """The peer's reward: different words of a reply."""

    name = "words"

    def __call__(self, prompts: Any, replies: Any) -> Any:  # noqa: ARG002
        from alignwright.core.records import Score

        return [[Score(value=len(set(text.split())) / 40, reason="words") for text in group] for group in replies]


def _decode(policy: Any, rows: list[Any], replies: int) -> dict[str, Any]:
    """Tokens per CPU-second: ours (adapter merged) beside `generate` of the same model (adapter
    as training leaves it, and without)."""
    import torch

    from alignwright.model.adapters import adapter_off, merged
    from alignwright.model.sampling import sample

    ids = list(policy.chat.prompt(rows[0].prompt.conversation))
    batch = torch.tensor([ids]).repeat(replies, 1)
    options = {
        "do_sample": True,
        "top_k": 0,
        "max_new_tokens": NEW,
        "min_new_tokens": NEW,
        "pad_token_id": policy.chat.pad_id,
    }

    def speak() -> None:
        with merged(policy):
            sample(policy, [ids], n=replies, max_new_tokens=NEW, temperature=1.0, seed=1, stop_ids=frozenset())

    def generate() -> None:
        policy.model.generate(input_ids=batch, attention_mask=torch.ones_like(batch), **options)

    def bare() -> None:
        with adapter_off(policy):
            generate()

    speed = {}
    for name, call in (("ours", speak), ("generate", generate), ("bare", bare)):
        if name == "generate":
            policy.model.set_attn_implementation("sdpa")
        call()
        started = _seconds()
        call()
        speed[name] = round(replies * NEW / (_seconds() - started), 1)
    return {
        "lib": "alignwright", "unit": "tokens", "per_cpu_s": speed["ours"],
        "generate": {"lib": "transformers", "unit": "tokens", "per_cpu_s": speed["generate"],
        "without_adapter": speed["bare"]},
    }  # fmt: skip


class _Clock:
    """CPU-seconds and tokens of each optimiser step; between steps, how fast this machine
    multiplies."""

    def __init__(self, dtype: Any) -> None:
        self.dtype, self.steps, self.rates = dtype, list[tuple[float, int]](), list[float]()

    def begin(self) -> None:
        self.rates.append(_products(self.dtype))
        self.last = _seconds()

    def __call__(self, report: Any) -> None:
        self.steps.append((_seconds() - self.last, report.tokens))
        self.begin()

    @property
    def rate(self) -> float:
        return statistics.mean(self.rates)


def _products(dtype: Any) -> float:
    """FLOP per CPU-second of a block's own product, 1024 tokens from 576 to 1536."""
    import torch

    x, w, count = torch.randn(1024, 576, dtype=dtype), torch.randn(1536, 576, dtype=dtype), 0
    torch.nn.functional.linear(x, w)
    started = _seconds()
    while _seconds() - started < 0.2:
        torch.nn.functional.linear(x, w)
        count += 1
    return 2.0 * 1024 * 576 * 1536 * count / (_seconds() - started)


def _parameters(policy: Any) -> tuple[float, float, float]:
    """Parameters of the blocks, of the head, and the share of tokens that reach the head."""
    from alignwright.model.llama_blocks import trunk

    blocks = sum(
        p.numel() for name, p in trunk(policy.model).named_parameters() if "layers" in name and "lora_" not in name
    )
    return blocks, float(trunk(policy.model).embed_tokens.weight.numel()), policy.completion_share


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _memory() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


if __name__ == "__main__":
    main()
