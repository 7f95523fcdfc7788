"""What would the same recipe find in a model that has learnt nothing?

Dictionaries of transformers with random weights explain as much and read as tidily as those of trained ones (Heap et
al. 2025): what the tokens and the shape of the network give is in both. So the model's weights are drawn anew, each
tensor from a Gaussian of its own mean and variance (embeddings and gains among them), the same rows are read, the same
recipe is trained and tried. Of each latent of the model's own dictionary: the largest correlation, over the held-out
tokens, of its values with those of a latent of the other. From `ALIKE` on a model with random weights has that feature
as well. **Chance**: the same with the other's tokens moved by half of them all.

Shapes: N tokens, F latents of the own dictionary, B of the other at once, A kept latents of all tokens together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from alignwright.lens.sae.alike import ALIKE
from alignwright.lens.sae.autoencoder import Active, starts, weighted_sum
from alignwright.lens.sae.corpus import Corpus
from alignwright.lens.sae.evaluate import errors, explained, moments, of_dictionary, trial_rows
from alignwright.lens.sae.features import Firings, latents_on
from alignwright.lens.sae.train import Recipe, train
from alignwright.model.activations.sites import Site
from alignwright.model.activations.store import ActivationStore
from alignwright.model.local_model import LocalModel
from alignwright.stats.intervals import Estimate

LEAST_ON = 5
"""On at fewer tokens than this, nothing is said of a latent."""
_MOST, _BLOCK = 16384, 256  # tokens that are compared, and latents at once


class NoRandomWeights(ValueError):
    """A model whose weights cannot be drawn anew."""


@dataclass(frozen=True, eq=False)
class RandomTwin:
    """What a dictionary of the model with random weights explains of that model, and how like each latent of the own
    dictionary its nearest there is, truly and by chance; NaN of latents that are on too seldom to say."""

    explained: Estimate
    tokens: int
    like_F: Tensor
    chance_F: Tensor

    def shared(self) -> tuple[int, int, int]:
        """Latents that are alike, those that are by chance, and all of which something is said."""
        return (
            int((self.like_F >= ALIKE).sum()), int((self.chance_F >= ALIKE).sum()), int(self.like_F.isfinite().sum()),
        )  # fmt: skip


@contextmanager
def random_weights(policy: LocalModel, seed: int) -> Iterator[None]:
    """While this lasts every weight tensor is drawn from a Gaussian of its own mean and variance. Its own are back
    afterwards. Raises NoRandomWeights for weights that are no floating-point numbers."""
    weights = dict(policy.model.named_parameters())
    if odd := next((name for name, weight in weights.items() if not weight.is_floating_point()), None):
        raise NoRandomWeights(f"{odd} is kept in {weights[odd].dtype}, of which no other can be drawn")
    generator = torch.Generator().manual_seed(seed)
    own = {name: weight.detach().clone() for name, weight in weights.items()}
    try:
        with torch.no_grad():
            for name, weight in weights.items():
                spread = float(own[name].float().std()) if own[name].numel() > 1 else 0.0
                noise = torch.randn(weight.shape, generator=generator) * spread + float(own[name].float().mean())
                weight.copy_(noise.to(weight))
        yield
    finally:
        with torch.no_grad():
            for name, weight in own.items():
                weights[name].copy_(weight)


def beside_random_weights(
    policy: LocalModel, recipe: Recipe, rows: Corpus, site: Site, firings: Firings, latents: int, at_work: Path,
    progress: Callable[[int, int], None] | None = None,
) -> RandomTwin:  # fmt: skip
    """The same recipe on the same rows of the model with random weights, beside what the own dictionary was on at."""
    with random_weights(policy, recipe.seed):
        fit = ActivationStore.write(policy, rows.fit, [site], at_work / "random-fit")
        trial = ActivationStore.write(policy, rows.trial, [site], at_work / "random-trial")
    cloud = moments(fit.states(site))
    other = train(
        recipe, lambda size, seed: fit.batches(site, size, seed=seed), folder=at_work / "random", progress=progress
    ).autoencoder()
    measured = errors(trial_rows(trial, site), of_dictionary(other), cloud.mean_H)
    theirs = latents_on(other, trial, site)
    lengths = [len(row) for row in rows.trial]
    return RandomTwin(
        explained(measured, rows.trial_texts),
        sum(measured.tokens),
        likeness(firings, theirs, lengths, latents, other.latents),
        likeness(firings, theirs, lengths, latents, other.latents, moved=True),
    )


def likeness(
    own: Firings, other: Firings, lengths: Sequence[int], latents: int, of_other: int, *, moved: bool = False
) -> Tensor:
    """Of each of the latents the largest correlation with one of the other dictionary, over the tokens of rows of these
    lengths. `moved`: the other's tokens are moved by half of them all."""
    places = _places(lengths)
    count = int((places >= 0).sum())
    token_A, latent_A, value_A = _entries(own, places, lengths)
    order = latent_A.argsort(stable=True)
    token_A, latent_A, value_A = token_A[order], latent_A[order], value_A[order]
    sum_F, square_F = (
        torch.zeros(latents, dtype=torch.float64).index_add_(0, latent_A, power.double())
        for power in (value_A, value_A.square())
    )
    spread_F = (square_F / count - (sum_F / count).square()).clamp_min(0).sqrt()
    best_F = torch.full((latents,), -1.0, dtype=torch.float64)
    their_token_A, their_latent_A, their_value_A = _entries(other, places, lengths)
    if moved:
        their_token_A = (their_token_A + count // 2) % count
    for first in range(0, of_other, _BLOCK):
        here_A = (their_latent_A >= first) & (their_latent_A < first + _BLOCK)
        theirs_NB = torch.zeros(count, min(_BLOCK, of_other - first))
        theirs_NB[their_token_A[here_A], their_latent_A[here_A] - first] = their_value_A[here_A].float()
        product_FB = weighted_sum(token_A, value_A.float(), starts(latent_A, latents), theirs_NB).double() / count
        mean_B, deviation_B = theirs_NB.double().mean(0), theirs_NB.double().std(0, correction=0)
        shared_FB = product_FB - (sum_F / count)[:, None] * mean_B
        like_FB = shared_FB / (spread_F[:, None] * deviation_B).clamp_min(1e-12)
        best_F = torch.maximum(best_F, like_FB.amax(dim=1))
    seldom_F = torch.bincount(latent_A, minlength=latents) < LEAST_ON
    return best_F.masked_fill(seldom_F, float("nan"))


def _places(lengths: Sequence[int]) -> Tensor:
    """Of every token of the rows, one after the other, its place among those that are compared; -1 of the others."""
    step = max(1, -(-sum(lengths) // _MOST))
    counts = torch.tensor(list(lengths))
    kept_N = (torch.arange(len(counts)) % step == 0).repeat_interleave(counts)
    return torch.where(kept_N, kept_N.cumsum(0) - 1, -1)


def _entries(firings: Firings, places: Tensor, lengths: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Token, latent and value of what was on at the tokens that are compared."""
    counts = torch.tensor(list(lengths))
    token_A = places[(counts.cumsum(0) - counts)[firings.row_A] + firings.position_A]
    active: Active = firings.active
    kept_A = token_A >= 0
    return token_A[kept_A], active.latent_A[kept_A], active.value_A[kept_A]
