"""How much does it cost to look inside? CPU-seconds beside the model's own forward, in one process.

    python benchmarks/lens.py [--model NAME] [--rows 8] [--tokens 128] [--turns 5]

Capture of all layers without the head beside `model.model(ids)` in the same dtype, one layer with an early stop, and a
whole store beside its capture; turns alternate, and the least of each is taken. The aim is at most 1.05 for all layers.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from alignwright.model.activations.capture import capture
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import Site
from alignwright.model.activations.store import ActivationStore
from alignwright.model.load import load


def cpu_seconds(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--turns", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("| dtype | all layers / model.model(ids) | middle layer, early stop / the same | store / its capture |")
    print("|---|---|---|---|")
    for dtype in ("float32", "bfloat16"):
        print(line(args.model, dtype, args.rows, args.tokens, args.turns))


def line(model: str, dtype: str, rows: int, tokens: int, turns: int) -> str:
    policy = load(model, dtype=dtype)
    layout = layout_of(policy)
    blocks = len(layout.blocks)
    ids_BT = torch.randint(100, 1000, (rows, tokens), generator=torch.Generator().manual_seed(0))
    every = [Site(layer) for layer in range(blocks)]
    works: dict[str, Callable[[], object]] = {
        "bare": lambda: layout.body(input_ids=ids_BT, use_cache=False),
        "all": lambda: capture(layout, ids_BT, every),
        "middle": lambda: capture(layout, ids_BT, [Site(blocks // 2)]),
        "store": lambda: _store(policy, ids_BT.tolist(), blocks // 2),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    with torch.inference_mode():
        for turn in range(turns + 1):
            for name, work in works.items():
                seconds = cpu_seconds(work)
                if turn:  # the first compiles
                    times[name].append(seconds)
    least = {name: min(each) for name, each in times.items()}
    return (
        f"| {dtype} | {least['all'] / least['bare']:.2f} | {least['middle'] / least['bare']:.2f} |"
        f" {least['store'] / least['middle']:.2f} |"
    )


def _store(policy: object, rows: list[list[int]], layer: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ActivationStore.write(policy, rows, [Site(layer)], Path(folder))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
