"""How much of what a model holds does a dictionary keep, on tokens that it was not trained on?

- **Explained**: 1 less the squared error over the squared distance from the training tokens' mean, with an interval
  over texts (a ratio of sums, linearised).
- **On**: latents per token. **Dead**: latents that no token switches on.
- **Recovered**: the model's next-token loss with the reconstruction in the place of the activations, between that
  with zeros (or the mean) there and its own: (L_zero - L) / (L_zero - L_own).

Attention sinks are left out of the numbers, and stay as they are where activations are replaced.

**Controls**: as many numbers per token by principal components; and the same recipe on **Gaussian** activations of
the same mean and covariance, in which there are no features to find. A dictionary that explains no more of the
model's activations than its twin does of these has found what any would.

Shapes: N tokens, H hidden size, R rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from alignwright.lens.sae.autoencoder import Autoencoder
from alignwright.model.activations.capture import SINK
from alignwright.model.activations.edits import Rewrite, edited
from alignwright.model.activations.sites import Site
from alignwright.model.activations.store import ActivationStore
from alignwright.model.local_model import LocalModel
from alignwright.model.tokens import TokenRow
from alignwright.stats.intervals import Estimate, clustered


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of activations, and their typical length, without sinks."""

    count: int
    mean_H: Tensor
    covariance_HH: Tensor

    @property
    def length(self) -> float:
        """The root mean square of a token's norm."""
        return float((self.covariance_HH.trace() + self.mean_H @ self.mean_H).sqrt())


@dataclass(frozen=True)
class Errors:
    """Row by row: squared error, squared distance from the mean, latents that are on, tokens."""

    rest: list[float]
    total: list[float]
    on: list[float]
    tokens: list[int]


def moments(parts: Iterator[Tensor]) -> Moments:
    """Of activations that come part by part, in float64."""
    count, sum_H, square_HH = 0, torch.zeros(0), torch.zeros(0)
    for part in parts:
        states_NH = part.double()
        if not count:
            sum_H, square_HH = (
                torch.zeros_like(states_NH[0]),
                states_NH.new_zeros(states_NH.shape[1], states_NH.shape[1]),
            )
        count, sum_H = count + len(states_NH), sum_H + states_NH.sum(0)
        square_HH += states_NH.T @ states_NH
    if count < 2:
        raise ValueError(f"{count} tokens that are no attention sinks: there is nothing to describe")
    mean_H = sum_H / count
    return Moments(count, mean_H, square_HH / count - mean_H.outer(mean_H))


def errors(rows: Iterator[Tensor], reconstruct: Callable[[Tensor], tuple[Tensor, float]], mean_H: Tensor) -> Errors:
    """Of rows [N, H] without sinks; `reconstruct` gives the activations again, and how many latents were on."""
    result = Errors([], [], [], [])
    for states_NH in rows:
        states_NH = states_NH.float()
        made_NH, on = reconstruct(states_NH)
        result.rest.append(float((made_NH - states_NH).double().square().sum()))
        result.total.append(float((states_NH.double() - mean_H).square().sum()))
        result.on.append(on)
        result.tokens.append(len(states_NH))
    return result


def of_dictionary(dictionary: Autoencoder) -> Callable[[Tensor], tuple[Tensor, float]]:
    """Its reconstruction, and how many latents were on."""

    def reconstruct(states_NH: Tensor) -> tuple[Tensor, float]:
        active = dictionary.encode(states_NH)
        return dictionary.decode(active), float(len(active.value_A))

    return reconstruct


def of_components(cloud: Moments, count: int) -> Callable[[Tensor], tuple[Tensor, float]]:
    """The reconstruction by the leading principal components."""
    _, vectors_HH = torch.linalg.eigh(cloud.covariance_HH)
    leading_HC, mean_H = vectors_HH[:, -count:].float(), cloud.mean_H.float()

    def reconstruct(states_NH: Tensor) -> tuple[Tensor, float]:
        return (states_NH - mean_H) @ leading_HC @ leading_HC.T + mean_H, float(len(states_NH) * leading_HC.shape[1])

    return reconstruct


def explained(measured: Errors, clusters: Sequence[int]) -> Estimate:
    """The part of the variance that is explained, its interval over clusters of rows."""
    return part_kept(measured.rest, measured.total, clusters)


def part_kept(rest: Sequence[float], total: Sequence[float], clusters: Sequence[int]) -> Estimate:
    """1 less a ratio of sums over rows, linearised: each row counts by how much it moves the ratio."""
    mean_total, missing = sum(total) / len(total), sum(rest) / sum(total)
    pairs = zip(rest, total, strict=True)
    return clustered([1 - missing - (part - missing * whole) / mean_total for part, whole in pairs], clusters)


def gaussian_rows(cloud: Moments, lengths: Sequence[int], seed: int) -> Iterator[Tensor]:
    """Rows of Gaussian activations with this mean and covariance."""
    values_H, vectors_HH = torch.linalg.eigh(cloud.covariance_HH)
    root_HH = (vectors_HH * values_H.clamp_min(0).sqrt()).float()
    generator = torch.Generator().manual_seed(seed)
    for length in lengths:
        yield torch.randn(length, len(root_HH), generator=generator) @ root_HH.T + cloud.mean_H.float()


def gaussian_batches(cloud: Moments) -> Callable[[int, int], Iterator[Tensor]]:
    """A pass of batches over as many Gaussian activations as there were real ones."""
    return lambda size, seed: gaussian_rows(cloud, [size] * max(1, cloud.count // size), seed)


def trial_rows(store: ActivationStore, site: Site) -> Iterator[Tensor]:
    """Row by row without sinks; a row of nothing but sinks has no tokens, and stays in its place."""
    for shard in store.shards():
        states_NH, row_N = shard[f"acts.{site.name}"], shard["row"]
        plain_N = shard[f"sink.{site.name}"] == 0
        for row in row_N.unique_consecutive().tolist():
            yield states_NH[(row_N == row) & plain_N]


@dataclass(frozen=True)
class Losses:
    """The next-token loss of each row, in nats, with other things in the place of the activations; and its tokens."""

    own: list[float]
    spliced: list[float]
    zero: list[float]
    mean: list[float]
    tokens: int

    def recovered(self, worst: Sequence[float], clusters: Sequence[int]) -> Estimate | None:
        """Where the loss lies between this one and the model's own; None where nothing was lost."""
        if sum(worst) <= sum(self.own):
            return None
        rest = [spliced - own for spliced, own in zip(self.spliced, self.own, strict=True)]
        return part_kept(rest, [most - own for most, own in zip(worst, self.own, strict=True)], clusters)


def losses(
    policy: LocalModel, rows: Sequence[Sequence[int]], site: Site, dictionary: Autoencoder, cloud: Moments
) -> Losses:
    """The loss on these rows, four times."""
    mean_H, limit = cloud.mean_H.float().to(policy.device), SINK * cloud.length
    token_rows = [TokenRow((row[0],), (tuple(row[1:]),)) for row in rows]

    def loss(change: Callable[[Tensor], Tensor] | None) -> list[float]:
        edits = [] if change is None else [Rewrite(site, _but_sinks(change, limit))]
        with edited(policy, edits):
            return [-total for of_row in policy.score(token_rows) for total, _ in of_row]

    return Losses(
        loss(None), loss(dictionary.reconstruct), loss(torch.zeros_like),
        loss(lambda states_NH: mean_H.to(states_NH).expand_as(states_NH)), sum(len(row) - 1 for row in rows),
    )  # fmt: skip


def _but_sinks(change: Callable[[Tensor], Tensor], limit: float) -> Callable[[Tensor], Tensor]:
    def rewrite(states_BTH: Tensor) -> Tensor:
        states_NH = states_BTH.reshape(-1, states_BTH.shape[-1])
        plain_N = states_NH.float().norm(dim=1) <= limit
        return torch.where(plain_N[:, None], change(states_NH), states_NH).view_as(states_BTH)

    return rewrite
