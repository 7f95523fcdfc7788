"""How does the cost of a training step, and of a token said, grow with replies to a prompt, with
length, and with the batch?

`python benchmarks/growth.py [--dtype bf16] [--quick]` prints a JSON line a point and a summary
last: CPU-seconds of a forward and a backward pass with LoRA (or of a decoding), and the exponent of
the growth, the slope of ln seconds over ln size between the smallest and the largest point: 1 is
linear. `separate` is the same replies with a row, and so a prompt, each: what sharing the prompt
saves.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
from collections.abc import Callable
from typing import Any

PROMPT, REPLY = 60, 48


def main() -> None:
    parser = argparse.ArgumentParser(description="how cost grows")
    parser.add_argument("--dtype", default="bf16", choices=["bf16", "fp32"])
    parser.add_argument("--quick", action="store_true", help="two points a curve")
    args = parser.parse_args()
    import alignwright.model  # noqa: F401  # isort: skip  # sets up memory and threads before torch is there
    import torch

    from alignwright.model.adapters import add_lora
    from alignwright.model.load import load

    torch.set_num_threads(1)
    policy = load("smollm2-135m-instruct", dtype={"bf16": "bfloat16", "fp32": "float32"}[args.dtype])
    curves: dict[str, tuple[list[int], Callable[[int], float]]] = {
        "decoding, rows": ([1, 4, 16, 64], lambda n: spoken(policy, n)),
        "replies to a prompt": ([1, 4, 16, 32], lambda n: trained(policy, [(PROMPT, [REPLY] * n)])),
        "replies, separate": ([1, 4, 16, 32], lambda n: trained(policy, [(PROMPT, [REPLY])] * n)),
        "length of the reply": ([32, 128, 512, 1024], lambda n: trained(policy, [(PROMPT, [n])])),
        "length of the prompt": ([32, 128, 512, 1024], lambda n: trained(policy, [(n, [REPLY])])),
        "prompts of two replies": ([1, 4, 8, 16], lambda n: trained(policy, [(PROMPT, [REPLY] * 2)] * n)),
    }
    summary: dict[str, Any] = {}
    for name, (sizes, cost) in curves.items():
        if name == "replies to a prompt":
            add_lora(policy, rank=16, seed=0)
        points = {n: cost(n) for n in (sizes[:: len(sizes) - 1] if args.quick else sizes)}
        for n, seconds in points.items():
            print(json.dumps({"curve": name, "dtype": args.dtype, "size": n, "cpu_s": round(seconds, 4)}), flush=True)
        first, last = min(points), max(points)
        summary[name] = {
            "exponent": round(math.log(points[last] / points[first]) / math.log(last / first), 2),
            "from": first,
            "to": last,
        }
    shared, apart = summary["replies to a prompt"], summary["replies, separate"]
    print(json.dumps({"summary": summary, "sharing_is_less_steep": shared["exponent"] < apart["exponent"]}), flush=True)


def trained(policy: Any, shape: list[tuple[int, list[int]]]) -> float:
    """CPU-seconds of the log-probabilities of all replies and their gradient, in micro-batches
    as training has them; the better of two."""
    from alignwright.model.packing import plan_batches
    from alignwright.model.tokens import TokenRow
    from alignwright.train.batches import MICRO_TOKENS
    from alignwright.train.forward import forward_rows

    rng = random.Random(0)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(rng.randrange(20, 40_000) for _ in range(count))

    rows = [TokenRow(ids(head), tuple(ids(n) for n in each)) for head, each in shape]
    batches = plan_batches(rows, MICRO_TOKENS, shuffle_seed=None)

    def run() -> None:
        for batch in batches:
            forward_rows(policy, [rows[i] for i in batch])[0].sum().backward()

    return timed(run)


def spoken(policy: Any, rows: int) -> float:
    """CPU-seconds of 32 tokens for each of so many replies to one prompt; the better of two."""
    from alignwright.model.sampling import sample

    prompt = list(range(100, 100 + PROMPT))
    return timed(
        lambda: sample(policy, [prompt], n=rows, max_new_tokens=32, temperature=1.0, seed=0, stop_ids=frozenset())
    )


def timed(run: Callable[[], object]) -> float:
    run()  # compiles the kernels of these shapes

    def once() -> float:
        started = _seconds()
        run()
        return _seconds() - started

    return min(once(), once())


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
