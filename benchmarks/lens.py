"""How much does it cost to look inside? CPU-seconds beside the model's own forward, in one process.

    python benchmarks/lens.py [--model NAME] [--rows 8] [--tokens 128] [--turns 5] [--peer]

Capture of all layers without the head beside `model.model(ids)` in the same dtype, one layer with an early stop, and a
whole store beside its capture; turns alternate, and the least of each is taken. The aim is at most 1.05 for all layers.
Attribution patching of every head, MLP and state of the stream beside one forward and backward pass of the same rows to
the embeddings; the aim is at most 3. `--peer`: TransformerLens' default `run_with_cache` on the same weights, where it
is installed, beside capture of all layers, and beside that in bfloat16.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from alignwright.lens.patch.attribution import attribute
from alignwright.lens.patch.components import component_map
from alignwright.lens.patch.pairs import TokenPair, batches
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
    parser.add_argument("--peer", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("| dtype | all layers / model.model(ids) | middle layer, early stop / the same | store / its capture |")
    print("|---|---|---|---|")
    for dtype in ("float32", "bfloat16"):
        print(line(args.model, dtype, args.rows, args.tokens, args.turns))
    print(attribution_line(args.model, args.rows, args.tokens, args.turns))
    if args.peer:
        print(peer_line(args.model, args.rows, args.tokens, args.turns))


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
    with torch.inference_mode():
        least = least_seconds(works, turns)
    return (
        f"| {dtype} | {least['all'] / least['bare']:.2f} | {least['middle'] / least['bare']:.2f} |"
        f" {least['store'] / least['middle']:.2f} |"
    )


def least_seconds(works: dict[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """The least CPU-seconds of each, in turns that alternate; the first compiles."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(turns + 1):
        for name, work in works.items():
            seconds = cpu_seconds(work)
            if turn:
                times[name].append(seconds)
    return {name: min(each) for name, each in times.items()}


def attribution_line(model: str, rows: int, tokens: int, turns: int) -> str:
    policy = load(model)
    parts, layout = component_map(policy), layout_of(policy)
    ids_2BT = torch.randint(100, 1000, (2, rows, tokens), generator=torch.Generator().manual_seed(0)).tolist()
    pairs = [TokenPair(b, tuple(ids_2BT[0][b]), tuple(ids_2BT[1][b]), 5, 6) for b in range(rows)]
    (batch,) = batches(policy, pairs)
    head = policy.model.get_output_embeddings()

    def one_pass() -> None:
        states_BTH = policy.model.get_input_embeddings()(batch.clean_BT).detach().requires_grad_()
        last_BTH = layout.body(inputs_embeds=states_BTH, use_cache=False).last_hidden_state
        logits_BV = head(last_BTH[:, -1])
        torch.autograd.grad((logits_BV[:, 5] - logits_BV[:, 6]).sum(), states_BTH)

    works: dict[str, Callable[[], object]] = {"pass": one_pass, "all": lambda: attribute(policy, parts, [batch])}
    least = least_seconds(works, turns)
    count = sum(component.head is not None for component in parts.all)
    ratio = least["all"] / least["pass"]
    return f"attribution of {count} heads, {len(layout.blocks)} MLPs and all states: {ratio:.2f} passes"


def peer_line(model: str, rows: int, tokens: int, turns: int) -> str:
    from transformer_lens.model_bridge import TransformerBridge

    policy = load(model)
    layout, half = layout_of(policy), layout_of(load(model, dtype="bfloat16"))
    ids_BT = torch.randint(100, 1000, (rows, tokens), generator=torch.Generator().manual_seed(0))
    every = [Site(layer) for layer in range(len(layout.blocks))]
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        policy.save(Path(folder))
        bridge = TransformerBridge.boot_transformers(folder, device="cpu")
        works: dict[str, Callable[[], object]] = {
            "peer": lambda: bridge.run_with_cache(ids_BT),
            "all": lambda: capture(layout, ids_BT, every),
            "half": lambda: capture(half, ids_BT, every),
        }
        least = least_seconds(works, turns)
    ratios = f"{least['peer'] / least['all']:.2f}, in bfloat16 {least['peer'] / least['half']:.2f}"
    return f"TransformerLens' run_with_cache (float32) / capture of all layers: {ratios}"


def _store(policy: object, rows: list[list[int]], layer: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ActivationStore.write(policy, rows, [Site(layer)], Path(folder))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
