"""A dictionary's gradients are the dense ones, a planted dictionary is found again by all three rules and none where
there is none, and a training goes on after a kill to the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from alignwright.lens.sae.autoencoder import Architecture, Autoencoder, keep_batch_top, keep_top
from alignwright.lens.sae.evaluate import (
    Moments,
    errors,
    explained,
    gaussian_batches,
    gaussian_rows,
    moments,
    of_components,
    of_dictionary,
)
from alignwright.lens.sae.gradients import AUX, WINDOW, Weights, gradients
from alignwright.lens.sae.run import over
from alignwright.lens.sae.train import Recipe, Trainer, geometric_median, train

ALL: tuple[Architecture, ...] = ("topk", "batch_topk", "jumprelu")
HIDDEN, PLANTED, ON = 16, 32, 2


def of(states_NH: Tensor) -> Callable[[int, int], Iterator[Tensor]]:
    """Passes of shuffled batches."""

    def batches(size: int, seed: int) -> Iterator[Tensor]:
        order = torch.randperm(len(states_NH), generator=torch.Generator().manual_seed(seed))
        yield from states_NH[order].split(size)

    return batches


def planted(seed: int, count: int = 6000, hidden: int = HIDDEN, planted: int = PLANTED) -> tuple[Tensor, Tensor]:
    """Activations that are sums of a few of many directions, and these directions."""
    generator = torch.Generator().manual_seed(1000 + seed)  # never that of a dictionary's start
    directions_GH = normalize(torch.randn(planted, hidden, generator=generator), dim=1)
    on_NG = torch.rand(count, planted, generator=generator) < ON / planted
    size_NG = on_NG * (0.5 + torch.rand(count, planted, generator=generator))
    noise_NH = 0.01 * torch.randn(count, hidden, generator=generator)
    return 3 * (size_NG @ directions_GH + noise_NH) + 1, directions_GH


def best_cosine(directions_GH: Tensor, rows_FH: Tensor) -> float:
    """Of each direction the cosine of the row that is nearest, on average."""
    return float((directions_GH @ normalize(rows_FH, dim=1).T).amax(dim=1).mean())


# ---- gradients ---------------------------------------------------------------------------------------------------


class _Jump(torch.autograd.Function):
    """JumpReLU and the step of its count, densely, with the same straight-through estimate."""

    @staticmethod
    def forward(ctx: Any, pre_NF: Tensor, threshold_F: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(pre_NF, threshold_F)
        on_NF = (pre_NF > threshold_F).to(pre_NF)
        return pre_NF * on_NF, on_NF

    @staticmethod
    def backward(ctx: Any, value_NF: Tensor, count_NF: Tensor) -> tuple[Tensor, Tensor]:
        pre_NF, threshold_F = ctx.saved_tensors
        near_NF = ((pre_NF - threshold_F).abs() < WINDOW / 2) / WINDOW
        slope_F = -(near_NF * (threshold_F * value_NF + count_NF)).sum(0)
        return value_NF * (pre_NF > threshold_F), slope_F


def dense_loss(weights: Weights, states_NH: Tensor, architecture: str, k: int, dead_D: Tensor) -> Tensor:
    pre_NF = (states_NH - weights.centre_H) @ weights.encoder_FH.T + weights.bias_F
    penalty: Tensor | float = 0.0
    if architecture == "topk":
        top = pre_NF.topk(k, dim=1)
        value_NF = torch.zeros_like(pre_NF).scatter(1, top.indices, top.values.relu())
    elif architecture == "batch_topk":
        top = pre_NF.relu().flatten().topk(k * len(pre_NF))
        value_NF = torch.zeros_like(pre_NF.flatten()).scatter(0, top.indices, top.values).view_as(pre_NF)
    else:
        assert weights.log_threshold_F is not None
        value_NF, on_NF = _Jump.apply(pre_NF, weights.log_threshold_F.exp())
        penalty = states_NH.shape[1] * (on_NF.sum() / len(pre_NF) / k - 1) ** 2
    rest_NH = states_NH - (value_NF @ weights.decoder_FH + weights.centre_H)
    made_NH = pre_NF[:, dead_D].relu() @ weights.decoder_FH[dead_D]
    revived = (made_NH - rest_NH.detach()).square().sum(1).mean()
    return rest_NH.square().sum(1).mean() + penalty + AUX * revived * (len(dead_D) > 0)


@pytest.mark.parametrize("architecture", ALL)
@pytest.mark.parametrize("dead", [[], [3, 11, 19]])
def test_sparse_gradients_are_the_dense_ones(architecture: Architecture, dead: list[int]) -> None:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    threshold_F = draw(24) / 4 if architecture == "jumprelu" else None
    weights = Weights(draw(24, 10), draw(24), normalize(draw(24, 10), dim=1), draw(10), threshold_F)
    states_NH, dead_D = draw(400, 10), torch.tensor(dead, dtype=torch.int64)
    batch = gradients(weights, states_NH, architecture, 3, dead_D=dead_D)
    for tensor in weights.by_name().values():
        tensor.requires_grad_()
    loss = dense_loss(weights, states_NH, architecture, 3, dead_D)
    loss.backward()
    assert batch.loss + batch.aux == pytest.approx(float(loss.detach()), rel=1e-9)
    for name, tensor in weights.by_name().items():
        assert tensor.grad is not None
        largest = float(tensor.grad.abs().max())
        assert largest > 0
        assert float((tensor.grad - batch.gradients[name]).abs().max()) < 1e-6 * max(1.0, largest), name


def test_the_largest_of_a_batch_are_exactly_those() -> None:
    for seed in range(3):
        pre_NF = torch.randn(300, 1024, generator=torch.Generator().manual_seed(seed)) - seed
        active = keep_batch_top(pre_NF, 4)
        expected = pre_NF.flatten().topk(1200).values.sort().values
        assert torch.equal(active.value_A.sort().values, expected)
        assert torch.equal(pre_NF[active.token_A, active.latent_A], active.value_A)
    few = keep_batch_top(-torch.ones(4, 8), 2)  # nothing is above 0, so nothing is on
    assert len(few.value_A) == 0
    assert len(keep_top(torch.ones(4, 8), 2).value_A) == 8


# ---- recovery ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ALL)
def test_a_planted_dictionary_is_found_again(architecture: Architecture) -> None:
    states_NH, directions_GH = planted(0, 12000, 32, 64)
    recipe = Recipe(architecture, 96, 2, 1000, 256, 3e-3)
    dictionary = train(recipe, of(states_NH[:10000])).autoencoder()
    assert best_cosine(directions_GH, dictionary.decoder_FH) > 0.95
    assert float((dictionary.decoder_FH.norm(dim=1) - 1).abs().max()) < 1e-5
    on = len(dictionary.encode(states_NH[10000:]).value_A) / 2000
    assert on == pytest.approx(2, abs=0.25)
    # the control: random rows, and the same search where there is no dictionary
    rows_FH = torch.randn(96, 32, generator=torch.Generator().manual_seed(1))
    assert best_cosine(directions_GH, rows_FH) < 0.6
    cloud = moments(iter([states_NH[:10000]]))
    twin = train(recipe, gaussian_batches(cloud)).autoencoder()
    assert best_cosine(directions_GH, twin.decoder_FH) < 0.65


def beyond_gaussian(states_NH: Tensor, seed: int) -> float:
    """The lower limit of what a dictionary explains beyond its Gaussian twin."""
    fit_NH, held_NH = states_NH[:-1000], states_NH[-1000:]
    cloud = moments(iter([fit_NH]))
    recipe = Recipe("topk", 32, 2, 100, 256, 5e-3, seed=seed)
    rows = list(held_NH.split(25))
    own, twin = (train(recipe, batches).autoencoder() for batches in (of(fit_NH), gaussian_batches(cloud)))
    clusters = list(range(len(rows)))
    value = explained(errors(iter(rows), of_dictionary(own), cloud.mean_H), clusters)
    sample = gaussian_rows(cloud, [25] * len(rows), seed=seed)
    low = over(value, explained(errors(sample, of_dictionary(twin), cloud.mean_H), clusters))[1]
    assert low is not None
    return low


def test_without_a_dictionary_nothing_is_found() -> None:
    count = 10
    cloud = moments(iter([planted(0)[0]]))
    gaussian = [next(gaussian_rows(cloud, [4000], seed=100 + seed)) for seed in range(count)]
    assert sum(beyond_gaussian(states_NH, seed) > 0 for seed, states_NH in enumerate(gaussian)) <= 1
    assert all(beyond_gaussian(planted(seed, 4000)[0], seed) > 0 for seed in range(2))


# ---- training ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ALL)
def test_a_killed_training_ends_in_the_same_numbers(architecture: Architecture, tmp_path: Path) -> None:
    states_NH, _ = planted(3)
    recipe = Recipe(architecture, 24, 2, 40, 256)
    whole = train(recipe, of(states_NH)).autoencoder()

    class Killed(Exception):
        pass

    def kill(done: int, _: int) -> None:
        if done == 25:
            raise Killed

    with pytest.raises(Killed):
        train(recipe, of(states_NH), folder=tmp_path, save_every=10, progress=kill)
    steps: list[int] = []
    again = train(recipe, of(states_NH), folder=tmp_path, save_every=10, progress=lambda done, _: steps.append(done))
    assert steps == list(range(21, 41))
    resumed = again.autoencoder()
    for name in ("encoder_FH", "bias_F", "decoder_FH", "centre_H"):
        assert torch.equal(getattr(whole, name), getattr(resumed, name))
    with pytest.raises(ValueError, match="a training of another recipe"):
        train(replace(recipe, k=3), of(states_NH), folder=tmp_path)


@pytest.mark.parametrize("architecture", ALL)
def test_dead_latents_come_back(architecture: Architecture) -> None:
    states_NH, _ = planted(4)
    recipe = Recipe(architecture, 48, 2, 200, 256, 5e-3)

    def dead(revive: bool) -> int:
        trainer = Trainer(recipe, states_NH[:1000])
        trainer.weights.encoder_FH[:32] *= 0.02  # never among the largest
        if not revive:
            trainer._revived = lambda: None  # type: ignore[method-assign]
        for states in of(states_NH.repeat(9, 1))(256, 0):
            trainer.step(states)
        return int((trainer.silent_F >= recipe.dead_after).sum())

    assert dead(revive=False) >= 28
    assert dead(revive=True) < 20


@pytest.mark.parametrize("architecture", ALL)
def test_rows_of_the_decoder_keep_their_length_and_lose_the_slope_along_themselves(architecture: Architecture) -> None:
    states_NH, _ = planted(5)
    trainer = Trainer(Recipe(architecture, 48, 2, 50, 256, 5e-3), states_NH[:1000])
    for place, states in enumerate(of(states_NH)(256, 0)):
        before_FH, weights = trainer.weights.decoder_FH.clone(), replace(trainer.weights)
        scaled_NH = states * trainer.factor
        raw_FH = gradients(weights, scaled_NH, architecture, 2).gradients["decoder_FH"]
        trainer.step(states)
        slope_FH = trainer.weights.decoder_FH.grad
        assert slope_FH is not None
        largest = float(raw_FH.abs().max())
        assert float((slope_FH * before_FH).sum(1).abs().max()) < 1e-5 * largest
        assert float((raw_FH * before_FH).sum(1).abs().max()) > 0.1 * largest  # there was something to take out
        assert float((trainer.weights.decoder_FH.norm(dim=1) - 1).abs().max()) < 1e-6
        assert float((trainer.weights.decoder_FH - before_FH).abs().max()) > 0 or place == 0


def test_an_outlier_does_not_move_the_start() -> None:
    states_NH = torch.randn(500, 8, generator=torch.Generator().manual_seed(0))
    far = torch.cat([states_NH, torch.full((5, 8), 1e4)])
    assert float((geometric_median(far) - geometric_median(states_NH)).norm()) < 0.1
    assert float(far.mean(0).norm()) > 100


def test_what_is_explained_is_what_is_known() -> None:
    generator = torch.Generator().manual_seed(0)
    states_NH = torch.randn(2000, 6, generator=generator) * torch.tensor([9.0, 3, 1, 1, 1, 1]) + 5
    cloud = moments(states_NH.split(500))
    assert torch.allclose(cloud.mean_H, states_NH.double().mean(0))
    assert torch.allclose(cloud.covariance_HH, torch.cov(states_NH.double().T, correction=0))
    rows, clusters = list(states_NH.split(50)), list(range(40))

    def value(reconstruct: Callable[[Tensor], tuple[Tensor, float]]) -> float:
        return explained(errors(iter(rows), reconstruct, cloud.mean_H), clusters).value or 0.0

    values = torch.linalg.eigvalsh(cloud.covariance_HH)
    assert value(of_components(cloud, 2)) == pytest.approx(float(values[-2:].sum() / values.sum()), abs=1e-5)
    assert value(of_components(cloud, 6)) == pytest.approx(1.0)
    both_FH = torch.cat([torch.eye(6), -torch.eye(6)])
    whole = Autoencoder(both_FH, torch.zeros(12), both_FH, cloud.mean_H.float())
    assert value(of_dictionary(whole)) == pytest.approx(1.0)
    nothing = replace(whole, bias_F=torch.full((12,), -1e6))
    assert value(of_dictionary(nothing)) == pytest.approx(0.0, abs=1e-6)
    sample = moments(gaussian_rows(Moments(0, cloud.mean_H, cloud.covariance_HH), [20000], seed=0))
    assert torch.allclose(sample.covariance_HH, cloud.covariance_HH, rtol=0.05, atol=0.5)


def test_a_k_above_the_latents_and_no_activations_are_one_line() -> None:
    with pytest.raises(ValueError, match="5 of 4 latents cannot be on"):
        Trainer(Recipe("topk", 4, 5, 10), torch.randn(8, 4))
    with pytest.raises(ValueError, match="the activations are all 0"):
        Trainer(Recipe("topk", 4, 2, 10), torch.zeros(8, 4))
    with pytest.raises(ValueError, match="no activations to train on"):
        train(Recipe("topk", 4, 2, 10), of(torch.zeros(0, 4)))
