"""How fast is a sparse autoencoder trained, beside SAELens on the same batches, at equal explained variance?

    python benchmarks/lens_sae.py STORE [--steps 60] [--latents 4608] [--k 32]
    python benchmarks/lens_sae.py STORE --equal [--steps 150] [--rates 1e-3 3e-3]

STORE is a folder that `ActivationStore.write` made, with one site. Both trainers get the same batches of 2,048
tokens without attention sinks, scaled alike, and turns alternate step by step in one process; CPU-seconds are of the
steps alone (the median after the first two). SAELens' TopK is tried in the same precision, float32 and by autocast in
bfloat16, with its own auxiliary loss and decoder-norm rule; without the package ours runs alone. Then: explained
variance on 4,096 tokens that were kept back.

`--equal` asks how many CPU-seconds each needs to explain **the same** part of the variance of the tokens kept back: it
is looked at every five steps (outside the clock), until the learning rates begin to fall; the target is what the worse
of the two has reached by then, and the tokens that each needed are read off between two looks. Each is tried at every
learning rate of `--rates`, and the one at which it needs least counts.

`--memory` trains ours alone, streamed from the store as a run does, and
says how much memory the process took.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from alignwright.lens.sae.train import Recipe, Trainer, train
from alignwright.model.activations.store import ActivationStore

BATCH, HELD = 2048, 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--latents", type=int, default=4608)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--equal", action="store_true")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3, 3e-3])
    parser.add_argument("--only", nargs="+", default=["bfloat16", "float32"])
    parser.add_argument("--rules", nargs="+", default=["topk", "batch_topk"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    store = ActivationStore.open(args.store)
    if args.memory:
        memory(store, args)
        return
    states_NH = torch.cat(list(store.states(store.sites[0]))).float()
    states_NH, held_NH = states_NH[:-HELD], states_NH[-HELD:]
    factor = float(held_NH.square().mean().rsqrt())
    if args.equal:
        equal(states_NH, held_NH, factor, args)
        return
    print(
        "| precision | rule | ours, tokens per CPU-second | SAELens | ratio | explained: ours | SAELens | dead: ours |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for coarse in (True, False):
        for rule in ("topk", "batch_topk", "jumprelu"):
            peer = rule if find_spec("sae_lens") is not None and rule != "jumprelu" else ""
            print(line(states_NH, held_NH, factor, args, rule, peer, coarse=coarse), flush=True)


def memory(store: ActivationStore, args: argparse.Namespace) -> None:
    site, before = store.sites[0], time.process_time()
    recipe = Recipe("topk", args.latents, args.k, args.steps, BATCH, 1e-3, coarse=True)
    train(recipe, lambda size, seed: store.batches(site, size, seed=seed))
    rate = args.steps * BATCH / (time.process_time() - before)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{store.tokens:,} tokens in the store, {rate:,.0f} tokens per CPU-second with reading; {peak:.2f} GiB at most"
    )


def batches(states_NH: Tensor, steps: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(1)
    count = 0
    while count < steps:
        order = torch.randperm(len(states_NH), generator=generator)
        for place in order.split(BATCH)[: len(order) // BATCH][: steps - count]:
            count += 1
            yield states_NH[place]


def line(
    fit_NH: Tensor,
    held_NH: Tensor,
    factor: float,
    args: argparse.Namespace,
    rule: Any,
    peer: str,
    *,
    coarse: bool,
) -> str:
    recipe = Recipe(rule, args.latents, args.k, args.steps, BATCH, 1e-3, coarse=coarse)
    trainer = Trainer(recipe, held_NH)
    theirs = _Peer(peer, held_NH.shape[1], args, coarse=coarse) if peer else None
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for states_NH in batches(fit_NH, args.steps):
        before = time.process_time()
        trainer.step(states_NH)
        times["ours"].append(time.process_time() - before)
        if theirs is not None:
            before = time.process_time()
            theirs.step(states_NH * factor)
            times["theirs"].append(time.process_time() - before)
    ours = BATCH / statistics.median(times["ours"][2:])
    explained = _explained(held_NH, trainer.autoencoder().reconstruct(held_NH))
    dead = float((trainer.silent_F >= recipe.dead_after).float().mean())
    head = f"| {'bfloat16' if coarse else 'float32'} | {rule} | {ours:,.0f} |"
    if theirs is None:
        return f"{head} | | {explained:.4f} | | {dead:.3f} |"
    other = BATCH / statistics.median(times["theirs"][2:])
    their_value = _explained(held_NH * factor, theirs.reconstruct(held_NH * factor))
    return f"{head} {other:,.0f} | {ours / other:.2f} | {explained:.4f} | {their_value:.4f} | {dead:.3f} |"


def equal(fit_NH: Tensor, held_NH: Tensor, factor: float, args: argparse.Namespace) -> None:
    print(
        "| precision | rule | explained by both | ours: learning rate | tokens | tokens per CPU-second | SAELens:"
        " learning rate | tokens | tokens per CPU-second | CPU-seconds: ours | SAELens | ratio |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for precision in args.only:
        for rule in args.rules:
            coarse = precision == "bfloat16"
            ours, theirs = {}, {}
            for rate in args.rates:
                trainer = Trainer(Recipe(rule, args.latents, args.k, args.steps, BATCH, rate, coarse=coarse), held_NH)
                ours[rate] = _curve(
                    trainer.step,
                    lambda own=trainer: _explained(held_NH, own.autoencoder().reconstruct(held_NH)),
                    fit_NH, args.steps,
                )  # fmt: skip
                peer = _Peer(rule, held_NH.shape[1], args, coarse=coarse, rate=rate)
                theirs[rate] = _curve(
                    lambda part, own=peer: own.step(part * factor),
                    lambda own=peer: _explained(held_NH * factor, own.reconstruct(held_NH * factor)),
                    fit_NH, args.steps,
                )  # fmt: skip
            best = [max(value for curve, _ in each.values() for value, _ in curve) for each in (ours, theirs)]
            one, other = (_fastest(each, min(best)) for each in (ours, theirs))
            print(
                f"| {precision} | {rule} | {min(best):.3f} (of {best[0]:.3f} and {best[1]:.3f}) | {one[1]} |"
                f" {other[1]} | {one[0]:.1f} | {other[0]:.1f} | {other[0] / one[0]:.1f} |",
                flush=True,
            )


def _fastest(curves: dict[float, tuple[list[tuple[float, int]], float]], target: float) -> tuple[float, str]:
    """The CPU-seconds to the target at the learning rate that needs least, and the cells of its row."""
    options: list[tuple[float, str]] = []
    for rate, (curve, speed) in curves.items():
        tokens = max(_tokens_to(curve, target), 1.0)
        options.append((tokens / speed, f"{rate:g} | {tokens:,.0f} | {speed:,.0f}"))
    return min(options)


def _curve(
    step: Callable[[Tensor], object], value: Callable[[], float], fit_NH: Tensor, steps: int
) -> tuple[list[tuple[float, int]], float]:
    """What is explained after so many tokens, until the learning rate falls; and tokens per CPU-second."""
    curve, times = [(value(), 0)], []
    for place, states_NH in enumerate(batches(fit_NH, steps)):
        if place == steps - steps // 5:
            break
        before = time.process_time()
        step(states_NH)
        times.append(time.process_time() - before)
        if (place + 1) % 5 == 0:
            curve.append((value(), (place + 1) * BATCH))
    return curve, BATCH / statistics.median(times[2:])


def _tokens_to(curve: list[tuple[float, int]], target: float) -> float:
    """After how many tokens so much was first explained."""
    for (low, before), (high, after) in pairwise(curve):
        if high >= target:
            return before + (after - before) * max(0.0, (target - low) / (high - low))
    return float("inf")


def _explained(states_NH: Tensor, made_NH: Tensor) -> float:
    return 1 - float((states_NH - made_NH).square().sum() / (states_NH - states_NH.mean(0)).square().sum())


class _Peer:
    """SAELens' own trainer, a batch at a time."""

    def __init__(self, rule: str, hidden: int, args: argparse.Namespace, *, coarse: bool, rate: float = 1e-3) -> None:
        import sae_lens  # type: ignore[import-not-found]
        from sae_lens.config import SAETrainerConfig  # type: ignore[import-not-found]

        names = {"topk": "TopK", "batch_topk": "BatchTopK"}
        config: Any = getattr(sae_lens, f"{names[rule]}TrainingSAEConfig")(
            d_in=hidden, d_sae=args.latents, k=args.k, device="cpu", dtype="float32"
        )
        self.sae = getattr(sae_lens, f"{names[rule]}TrainingSAE")(config)
        trainer_config = SAETrainerConfig(
            total_training_samples=BATCH * args.steps, train_batch_size_samples=BATCH, lr=rate, lr_end=rate / 10,
            lr_warm_up_steps=args.steps // 20, lr_decay_steps=args.steps // 5, device="cpu", autocast=coarse,
        )  # fmt: skip
        self.trainer = sae_lens.SAETrainer(cfg=trainer_config, sae=self.sae, data_provider=iter(()))

    @torch.no_grad()
    def reconstruct(self, states_NH: Tensor) -> Tensor:
        self.sae.eval()
        made_NH = self.sae(states_NH)
        self.sae.train()
        return made_NH

    def step(self, states_NH: Tensor) -> None:
        self.trainer.step(states_NH)
        self.trainer.n_training_steps += 1


if __name__ == "__main__":
    main()
