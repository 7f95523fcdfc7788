"""From what size of a model do more threads than one save time?

`python benchmarks/threads.py [--quick]` makes Llamas of several widths and depths and times each with one thread and
with all cores, every one in a process of its own: training steps (a forward and a backward pass with LoRA over 32 rows
of 60 + 48 tokens) and sampling (16 replies of 48 tokens). It prints one JSON line a model: seconds by the clock and
CPU-seconds of both, and the ratios of all cores to one. The line drawn in `run/threads.py` is from here.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TOP = Path(__file__).parents[1]
SHAPES = ((32, 2), (32, 30), (64, 2), (64, 12), (128, 2), (128, 4), (128, 12), (256, 2), (256, 8), (512, 4))
"""Hidden size and layers."""
TURNS, SECONDS = 20, 4.0


def main() -> None:
    parser = argparse.ArgumentParser(description="one thread beside all cores, by the size of the model")
    parser.add_argument("--quick", action="store_true", help="three models")
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--only", help="HIDDENxLAYERS, with commas")
    args = parser.parse_args()
    if args.model is not None:
        print(json.dumps(times(args.model)))
        return
    shapes = [tuple(map(int, s.split("x"))) for s in args.only.split(",")] if args.only else SHAPES
    with tempfile.TemporaryDirectory() as scratch:
        for hidden, layers in shapes[:: len(shapes) // 3] if args.quick else shapes:
            print(json.dumps(beside(hidden, layers, Path(scratch) / f"{hidden}-{layers}")), flush=True)


def beside(hidden: int, layers: int, folder: Path) -> dict[str, object]:
    """One model with one thread and with all cores, in turns; the least of the turns."""
    sys.path.insert(0, str(TOP / "tests"))
    from tiny import make_tiny

    heads = max(4, hidden // 64)
    make_tiny(
        folder,
        hidden_size=hidden,
        intermediate_size=8 * hidden // 3 // 16 * 16,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        initializer_range=0.02,
    )
    cores = len(os.sched_getaffinity(0))
    runs: dict[int, dict[str, float]] = {}
    for threads in (1, cores):
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(TOP / "src")}
        command = [sys.executable, __file__, "--model", str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        runs[threads] = json.loads(done.stdout.splitlines()[-1])
    line: dict[str, object] = {"hidden": hidden, "layers": layers, "cores": cores}
    for work in ("training", "sampling"):
        one, all_cores = runs[1][work], runs[cores][work]
        line[work] = {
            "one_ms": round(1000 * one, 2), "all_ms": round(1000 * all_cores, 2), "ratio": round(all_cores / one, 2)
        }  # fmt: skip
    return line


def times(folder: Path) -> dict[str, float]:
    """Seconds by the clock of each work."""
    import alignwright.model  # noqa: F401  # isort: skip  # settles how threads wait, before torch is there
    import random

    from alignwright.model.adapters import add_lora
    from alignwright.model.load import load
    from alignwright.model.packing import plan_batches
    from alignwright.model.sampling import sample
    from alignwright.model.tokens import TokenRow
    from alignwright.train.batches import MICRO_TOKENS
    from alignwright.train.forward import forward_rows

    model, rng = load(folder), random.Random(0)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(rng.randrange(5, 250) for _ in range(count))

    rows = [TokenRow(ids(60), (ids(48),)) for _ in range(8)]
    batches = plan_batches(rows, MICRO_TOKENS, shuffle_seed=None)
    prompts = [ids(60) for _ in range(8)]

    def sampling() -> None:
        sample(model, prompts, n=1, max_new_tokens=8, temperature=1.0, seed=0, stop_ids=frozenset())

    def training() -> None:
        for batch in batches:
            forward_rows(model, [rows[i] for i in batch])[0].sum().backward()

    result = {"sampling": timed(sampling)}
    add_lora(model, rank=16, seed=0)
    return result | {"training": timed(training)}


def timed(work: Callable[[], object]) -> float:
    """The least of many turns by the clock, milliseconds each: one that no other program fell into."""
    work()
    turns: list[float] = []
    while len(turns) < TURNS or sum(turns) < SECONDS:
        started = time.perf_counter()
        work()
        turns.append(time.perf_counter() - started)
    return min(turns)


if __name__ == "__main__":
    main()
