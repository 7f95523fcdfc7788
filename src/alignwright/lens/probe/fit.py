"""Which direction in the activations tells the texts of a concept from others? Three fits of a linear probe.

- `logistic`: the least of sum log(1 + exp(-y z)) + lambda/2 |w|^2 over z = w'x + b, by L-BFGS in float64, on
  standardised numbers (lambda 10, as Apollo's deception probes, Goldowsky-Dill et al. 2025); the scale is folded
  into the weights
- `lda`: S^-1 (m1 - m0) in closed form, S the pooled covariance within the two kinds, drawn by 0.1 towards its mean
  variance so that it can be inverted with fewer texts than dimensions
- `mean_difference`: m1 - m0, which is what steering adds (Marks and Tegmark 2023)

Every probe is affine in raw activations, positive high, its threshold at 0: `score = w'h + b`. A polarity is never
turned round afterwards. Means are taken in float64.

Shapes: N texts, H hidden size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from alignwright.model.logistic import logistic_weights

Method = Literal["logistic", "lda", "mean_difference"]
PENALTY, SHRINKAGE = 10.0, 0.1


@dataclass(frozen=True, eq=False)
class Probe:
    """`score = h @ weights + bias`, of raw activations; positive for the concept. Float32, [H]."""

    weights: Tensor
    bias: float

    def score(self, states_NH: Tensor) -> Tensor:
        return states_NH.float() @ self.weights + self.bias


def fit(method: Method, states_NH: Tensor, positive_N: Tensor) -> Probe:
    """The probe of these activations. Raises ValueError where one of the two kinds has no text."""
    if positive_N.all() or not positive_N.any():
        kind = "positive" if positive_N.all() else "negative"
        raise ValueError(f"all {len(positive_N)} texts are {kind}: a concept needs texts of both kinds")
    wide_NH = states_NH.double()
    one_H, other_H = wide_NH[positive_N].mean(0), wide_NH[~positive_N].mean(0)
    match method:
        case "mean_difference":
            weights_H = one_H - other_H
        case "lda":
            weights_H = _discriminant(wide_NH, positive_N, one_H, other_H)
        case "logistic":
            return _logistic(wide_NH, positive_N)
    return Probe(weights_H.float(), -float(weights_H @ (one_H + other_H)) / 2)


def _discriminant(wide_NH: Tensor, positive_N: Tensor, one_H: Tensor, other_H: Tensor) -> Tensor:
    inner_NH = wide_NH - torch.where(positive_N[:, None], one_H, other_H)
    covariance_HH = inner_NH.T @ inner_NH / max(1, len(inner_NH) - 2)
    size = len(covariance_HH)
    mean_variance = covariance_HH.trace() / size
    shrunk_HH = (1 - SHRINKAGE) * covariance_HH + SHRINKAGE * mean_variance * torch.eye(size, dtype=torch.float64)
    return torch.linalg.solve(shrunk_HH, one_H - other_H)


def standardised(states_NH: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each coordinate less its mean and in its standard deviations, and both of these; one that never varies is 0."""
    wide_NH = states_NH.double()
    mean_H, deviation_H = wide_NH.mean(0), wide_NH.std(0, correction=0)
    deviation_H = torch.where(deviation_H > 0, deviation_H, torch.inf)
    return (wide_NH - mean_H) / deviation_H, mean_H, deviation_H


def _logistic(wide_NH: Tensor, positive_N: Tensor) -> Probe:
    scaled_NH, mean_H, deviation_H = standardised(wide_NH)
    weights_H, bias = logistic_weights(scaled_NH, positive_N, PENALTY)
    raw_H = weights_H / deviation_H
    return Probe(raw_H.float(), float(bias - raw_H @ mean_H))
