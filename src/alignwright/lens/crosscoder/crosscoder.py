"""Which features does the trained model have that the start model has not? A crosscoder: one dictionary of both.

What both models hold at the same token, each scaled to a mean square of 1, is taken apart together (Lindsey et al.
2024): an autoencoder of the two side by side, [start | trained], whose latents have a decoder row for each model. A
feature of both has two rows of like length; one of the trained model alone has none for the start model. Where it
lies is told by

    share = 1/2 [ (|d_trained| - |d_start|) / max(|d_trained|, |d_start|) + 1 ]

0 is the start model alone, 1/2 both, 1 the trained model alone.

**The known trap**: an L1 penalty prefers two latents where one would do, and shrinks the shorter row away, so that
shared features look exclusive (Minder et al. 2025). BatchTopK has no penalty, and the two rows together have length
1; what looks exclusive all the same is tried by latent scaling (`latent_scaling.py`).

**Control**: the same training of the start model against itself, changed by as much as the trained model is, but in
no feature: Gaussian noise of the shape of its own activations. How far shares lie from 1/2 there is chance. A latent
is exclusive where its share is further from 1/2 than twice the furthest of the control; the factor holds the chance
that a model without a feature of its own is given one under 5 % (`tests/test_lens_crosscoder.py`).

Shapes: N tokens, H hidden size, D twice of it, F latents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from alignwright.lens.sae.autoencoder import Autoencoder
from alignwright.lens.sae.evaluate import Moments
from alignwright.lens.sae.train import Batches, Recipe, Trainer, train
from alignwright.model.activations.sites import Site
from alignwright.model.activations.store import ActivationStore

MARGIN = 2.0
"""A share is further from 1/2 than chance where it is so many times further than the control's furthest."""
LEAST_ON = 5
"""On at fewer held-out tokens than this, nothing is said of a latent."""
_SAMPLE = 8192


@dataclass(frozen=True, eq=False)
class ModelPair:
    """Stores of the same rows of both models, and by how much each one's activations are multiplied."""

    start: ActivationStore
    trained: ActivationStore
    site: Site
    factors: tuple[float, float]

    def shards(self, order: list[int] | None = None) -> Iterator[dict[str, Tensor]]:
        """Shard by shard: `states` [N, D], `row`, `position`; tokens that are sinks of either are left out."""
        places = range(len(self.start.index["shards"])) if order is None else order
        for place in places:
            parts = [store.shard(place) for store in (self.start, self.trained)]
            plain_N = torch.stack([part[f"sink.{self.site.name}"] == 0 for part in parts]).all(0)
            scaled = [
                part[f"acts.{self.site.name}"].float() * factor
                for part, factor in zip(parts, self.factors, strict=True)
            ]
            states_ND = torch.cat(scaled, dim=1)[plain_N]
            yield {"states": states_ND, "row": parts[0]["row"][plain_N], "position": parts[0]["position"][plain_N]}

    def batches(self, size: int, seed: int) -> Iterator[Tensor]:
        """One shuffled pass: shards in a random order, the tokens of each mixed with what the one before left."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.start.index["shards"]), generator=generator).tolist()
        rest: Tensor | None = None
        for shard in self.shards(order):
            pool = shard["states"] if rest is None else torch.cat([rest, shard["states"]])
            pool = pool[torch.randperm(len(pool), generator=generator)]
            whole = len(pool) // size * size
            yield from pool[:whole].split(size) if whole else ()
            rest = pool[whole:]
        if rest is not None and len(rest):
            yield rest


@dataclass(frozen=True, eq=False)
class Crosscoder:
    """The dictionary of both models, the share of each latent, and how far the control's lie from 1/2."""

    dictionary: Autoencoder
    share_F: Tensor
    furthest: float
    trainer: Trainer

    @property
    def limit(self) -> float:
        """How far from 1/2 a share must be."""
        return MARGIN * self.furthest

    @property
    def tells(self) -> bool:
        """Whether any share could be further: none is further from 1/2 than that."""
        return self.limit < 0.5

    def of_trained(self, on_F: Tensor) -> Tensor:
        """The latents of the trained model alone, the most exclusive first; `on_F`: at how many tokens each is on."""
        order_F = self.share_F.argsort(descending=True, stable=True)
        return order_F[((self.share_F > 0.5 + self.limit) & (on_F >= LEAST_ON))[order_F]]

    def of_start(self, on_F: Tensor) -> Tensor:
        """The latents of the start model alone, the most exclusive first."""
        order_F = self.share_F.argsort(stable=True)
        return order_F[((self.share_F < 0.5 - self.limit) & (on_F >= LEAST_ON))[order_F]]


def crosscoder(
    recipe: Recipe,
    batches: Batches,
    cloud: Moments,
    change: float,
    *,
    folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Crosscoder:
    """Train on pairs [N, D], and the control. `cloud`: of the start model's scaled activations; `change`: the mean
    squared difference of the two models' over the start model's variance."""
    trainer = train(recipe, batches, folder=folder and folder / "own", progress=progress)
    against_itself = beside_itself(batches, cloud, change)
    control = train(recipe, against_itself, folder=folder and folder / "control", progress=progress).autoencoder()
    sample = control.encode(next(against_itself(_SAMPLE, recipe.seed)))
    enough_F = torch.bincount(sample.latent_A, minlength=recipe.latents) >= LEAST_ON
    apart_F = (shares(control.decoder_FH) - 0.5).abs()[enough_F]
    dictionary = trainer.autoencoder()
    return Crosscoder(dictionary, shares(dictionary.decoder_FH), float(apart_F.max()) if len(apart_F) else 0.5, trainer)


def shares(decoder_FD: Tensor) -> Tensor:
    """Of each latent where it lies between the two models."""
    start_F, trained_F = (half.norm(dim=1) for half in decoder_FD.chunk(2, dim=1))
    return ((trained_F - start_F) / torch.maximum(trained_F, start_F).clamp_min(1e-12) + 1) / 2


def beside_itself(batches: Batches, cloud: Moments, change: float) -> Batches:
    """The start model beside itself with Gaussian noise of the shape of its own activations, `change` of their
    variance."""
    values_H, vectors_HH = torch.linalg.eigh(cloud.covariance_HH)
    root_HH = (vectors_HH * (change * values_H.clamp_min(0)).sqrt()).float()

    def passes(size: int, seed: int) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(seed + 1)
        for states_ND in batches(size, seed):
            start_NH = states_ND.chunk(2, dim=1)[0]
            noise_NH = torch.randn(start_NH.shape, generator=generator) @ root_HH.T
            yield torch.cat([start_NH, (start_NH + noise_NH) / (1 + change) ** 0.5], dim=1)

    return passes


def side(dictionary: Autoencoder, *, trained: bool, factor: float = 1.0) -> Autoencoder:
    """One model's half of the decoder, in its raw activations: what a latent adds to that model's stream."""
    place = int(trained)
    decoder_FH = dictionary.decoder_FH.chunk(2, dim=1)[place] / factor
    return replace(dictionary, decoder_FH=decoder_FH, centre_H=dictionary.centre_H.chunk(2)[place] / factor)
