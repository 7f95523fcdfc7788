"""Features that are in the tokens are found in a model with random weights as well, and said to be so; one that is in
neither is not, and the model is as it was afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import make_tiny
from torch import Tensor

from alignwright.lens.sae.autoencoder import Active
from alignwright.lens.sae.corpus import Corpus
from alignwright.lens.sae.features import Firings
from alignwright.lens.sae.random_weights import (
    ALIKE,
    LEAST_ON,
    NoRandomWeights,
    RandomTwin,
    beside_random_weights,
    likeness,
    random_weights,
)
from alignwright.lens.sae.train import Recipe
from alignwright.model.activations.capture import row_states
from alignwright.model.activations.sites import Site
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel

ROWS, LENGTH, TOKENS = 60, 24, 20


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(make_tiny(tmp_path_factory.mktemp("model")))


def fired(table_NF: Tensor, rows: int) -> Firings:
    """What was on, of a table of all tokens."""
    token_A, latent_A = table_NF.nonzero(as_tuple=True)
    active = Active(token_A, latent_A, table_NF[token_A, latent_A], len(table_NF))
    length = len(table_NF) // rows
    return Firings(active, token_A // length, token_A % length)


def test_random_weights_keep_their_means_and_spreads_and_go_away_again(policy: LocalModel) -> None:
    own = {name: weight.detach().clone() for name, weight in policy.model.named_parameters()}
    rows = [[1, 5, 9, 13]]
    before = next(iter(row_states(policy, rows, [Site(1)]))).states[Site(1)]
    with random_weights(policy, 3):
        for name, parameter in policy.model.named_parameters():
            weight = parameter.detach()
            if own[name].numel() > 1000:
                assert float(weight.mean()) == pytest.approx(float(own[name].mean()), abs=0.1 * float(own[name].std()))
                assert float(weight.std()) == pytest.approx(float(own[name].std()), rel=0.1)
                assert float(torch.corrcoef(torch.stack([weight.flatten(), own[name].flatten()]))[0, 1]) < 0.2
        meanwhile = next(iter(row_states(policy, rows, [Site(1)]))).states[Site(1)]
    assert not torch.allclose(before, meanwhile, atol=0.1)
    assert all(torch.equal(weight, own[name]) for name, weight in policy.model.named_parameters())
    assert torch.equal(before, next(iter(row_states(policy, rows, [Site(1)]))).states[Site(1)])
    with pytest.raises(RuntimeError, match="within"), random_weights(policy, 3):
        raise RuntimeError("within")
    assert all(torch.equal(weight, own[name]) for name, weight in policy.model.named_parameters())


def test_weights_that_are_no_numbers_are_refused(policy: LocalModel) -> None:
    policy.model.register_parameter(
        "packed", torch.nn.Parameter(torch.zeros(4, dtype=torch.uint8), requires_grad=False)
    )
    try:
        with pytest.raises(NoRandomWeights, match=r"packed is kept in torch\.uint8"), random_weights(policy, 0):
            pass
    finally:
        del policy.model.packed


def test_likeness_is_the_largest_correlation() -> None:
    generator = torch.Generator().manual_seed(0)

    def draw(latents: int, rate: float) -> Tensor:
        size_NF = torch.rand(ROWS * LENGTH, latents, generator=generator) + 0.5
        return size_NF * (torch.rand(ROWS * LENGTH, latents, generator=generator) < rate)

    own_NF, other_NF = draw(6, 0.05), draw(300, 0.05)
    other_NF[:, 290] = 3 * own_NF[:, 2]  # the same feature, three times as long
    own_NF[:, 4] = 0
    own_NF[:3, 4] = 1.0
    lengths = [LENGTH] * ROWS
    like_F = likeness(fired(own_NF, ROWS), fired(other_NF, ROWS), lengths, 6, 300)
    expected = torch.corrcoef(torch.cat([own_NF, other_NF], dim=1).T.double())[:6, 6:].amax(dim=1)
    assert float(like_F[2]) == pytest.approx(1.0)
    assert bool(like_F[4].isnan())  # on at three tokens alone
    told = [0, 1, 2, 3, 5]
    assert torch.allclose(like_F[told], expected[told], atol=1e-5)
    assert float(like_F[[0, 1, 3, 5]].max()) < ALIKE
    moved_F = likeness(fired(own_NF, ROWS), fired(other_NF, ROWS), lengths, 6, 300, moved=True)
    assert float(moved_F[2]) < ALIKE


def test_what_is_in_the_tokens_is_there_with_random_weights_and_what_is_not_is_not(
    policy: LocalModel, tmp_path: Path
) -> None:
    generator = torch.Generator().manual_seed(1)
    ids_NT = torch.randint(10, 10 + TOKENS, (5 * ROWS, LENGTH), generator=generator)
    rows = ids_NT.tolist()
    corpus = Corpus(rows[ROWS:], rows[:ROWS], list(range(ROWS)))
    tokens_N = ids_NT[:ROWS].flatten()
    by_token_NF = (tokens_N[:, None] == torch.arange(10, 10 + TOKENS)).float()
    by_chance_NF = (torch.rand(len(tokens_N), TOKENS, generator=generator) < 1 / TOKENS).float()
    firings = fired(torch.cat([by_token_NF, by_chance_NF], dim=1), ROWS)
    recipe = Recipe("topk", 48, 1, 300, 256, 5e-3)
    twin = beside_random_weights(policy, recipe, corpus, Site(0, "resid_pre"), firings, 2 * TOKENS, tmp_path)
    assert int((twin.like_F[:TOKENS] >= ALIKE).sum()) >= 0.8 * TOKENS
    assert int((twin.like_F[TOKENS:] >= ALIKE).sum()) == 0
    alike, chance, count = twin.shared()
    assert (count, chance) == (2 * TOKENS, 0)
    assert 0.8 * TOKENS <= alike <= TOKENS
    assert twin.explained.value is not None
    assert twin.explained.value > 0.5


def test_latents_that_are_on_too_seldom_are_not_counted() -> None:
    like_F = torch.tensor([0.9, float("nan"), 0.2])
    twin = RandomTwin(None, 9, like_F, torch.tensor([0.1, float("nan"), 0.8]))  # type: ignore[arg-type]
    assert twin.shared() == (1, 1, 2)
    assert LEAST_ON == 5
