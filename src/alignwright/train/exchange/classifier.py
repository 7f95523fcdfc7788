"""Is the exchange, prompt and reply so far, one that the constitution forbids? A logistic head on inner states.

A linear probe on the model's states after a block in its middle gives each token of a reply a logit. All tokens of a
bad reply are called bad and all of a good one good, each exchange weighing the same; the loss is convex, and L-BFGS
finds its minimum exactly. While a reply is written the logits of its last `window` tokens are averaged, and an alarm is
raised where the mean reaches the threshold (Sharma et al. 2025, arXiv 2501.18837, watch the output token by token;
Cunningham et al. 2026, arXiv 2601.04603, average a probe's logits over a sliding window).

Left out on purpose: a loss that weighs the worst tokens of a reply more, and a second, larger classifier behind this
one. Shapes: T tokens of a reply, N tokens of all, H hidden.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from alignwright.files.contents import json_object
from alignwright.job.ledger import write_json
from alignwright.model.logistic import logistic_weights
from alignwright.model.weights import load_tensors, write_tensors

TENSORS, META = "exchange.safetensors", "exchange.json"


@dataclass(frozen=True)
class Settings:
    """What a classifier is read with: the model, after which block, over how many tokens, and from which mean on it
    raises an alarm."""

    model: str
    layer: int
    window: int
    threshold: float


@dataclass(frozen=True)
class Head:
    """Weights of the standardised state, a constant, and what standardises it."""

    weight_H: Tensor
    bias: Tensor
    mean_H: Tensor
    scale_H: Tensor

    def logits(self, state_TH: Tensor) -> Tensor:
        """The logit of each token."""
        return ((state_TH.double() - self.mean_H) / self.scale_H) @ self.weight_H + self.bias

    def save(self, folder: Path, settings: Settings) -> None:
        write_tensors({name: value.contiguous() for name, value in vars(self).items()}, folder / TENSORS)
        write_json(folder / META, asdict(settings))


def load_head(folder: Path) -> tuple[Head, Settings]:
    """What `Head.save` wrote. Raises DamagedFile where it is not whole."""
    return Head(**load_tensors(folder / TENSORS)), Settings(**json_object(folder / META))


def fit_head(states: Sequence[Tensor], bad: Sequence[bool], penalty: float) -> Head:
    """The minimum of the mean logistic loss, each exchange weighing the same, plus penalty x |w|^2. Deterministic."""
    state_NH = torch.cat([state.double() for state in states])
    bad_N = torch.cat([torch.full((len(state),), label) for state, label in zip(states, bad, strict=True)])
    weight_N = torch.cat([torch.full((len(state),), 1.0 / len(state)) for state in states]).double()
    mean_H, scale_H = state_NH.mean(dim=0), state_NH.std(dim=0).clamp_min(1e-6)
    # the sum over exchanges: the penalty counts as often as there are exchanges
    scaled_NH, count = (state_NH - mean_H) / scale_H, len(states)
    weight_H, bias = logistic_weights(scaled_NH, bad_N, 2 * penalty * count, weight_N)
    return Head(weight_H.clone(), bias[None].clone(), mean_H, scale_H)


def smoothed(logits: Sequence[float], window: int) -> list[float]:
    """At each token the mean of the last `window` logits, of fewer at the beginning."""
    means: list[float] = []
    for end in range(1, len(logits) + 1):
        part = logits[max(0, end - window) : end]
        means.append(math.fsum(part) / len(part))
    return means


def first_alarm(scores: Sequence[float], threshold: float) -> int | None:
    """The first token at which the score reaches the threshold."""
    return next((place for place, score in enumerate(scores) if score >= threshold), None)


def threshold_for(peaks: Sequence[float], share: float) -> float:
    """The lowest threshold that at most this share of harmless exchanges reach, by their highest scores."""
    if not peaks:
        raise ValueError("threshold_for: without a harmless exchange no threshold can be set")
    ordered = sorted(peaks, reverse=True)
    return math.nextafter(ordered[min(int(share * len(ordered)), len(ordered) - 1)], math.inf)
