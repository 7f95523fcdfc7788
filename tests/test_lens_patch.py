"""Patching: a planted induction circuit is found again, its path and what it carries beside random heads, and a model
without it shows nothing; gradients and exact runs obey their identities; heads are told apart in every family."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from induction import BEFORE, INDUCTION, induction_pairs, make_induction
from tiny import make_tiny
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from model_families import make

from alignwright.core.stage import KnobRows
from alignwright.files.contrast_pairs import PromptPair
from alignwright.lens.patch.attribution import STREAM, attribute
from alignwright.lens.patch.components import Component, component_map, putting, random_sets, reading
from alignwright.lens.patch.exact import ExactPatching
from alignwright.lens.patch.findings import findings_of, verdict
from alignwright.lens.patch.knobs import PatchStage
from alignwright.lens.patch.pairs import PairBatch, TokenPair, batches, differences, token_pair
from alignwright.lens.patch.patch import PatchResult, halves, patch
from alignwright.lens.patch.shares import part_of, rank_correlation
from alignwright.model.activations.heads import head_projections
from alignwright.model.activations.layout import attached, layout_of
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel

FOUND = {Component(0, "heads", BEFORE), Component(1, "heads", INDUCTION)}
STAGE = PatchStage(by="patch", task="induction", pairs=("x.jsonl",), top=2, limit=24)


def pairs_of(policy: LocalModel, rows: list[PromptPair]) -> list[TokenPair]:
    pairs = [token_pair(policy, place, row, chat=False) for place, row in enumerate(rows)]
    assert all(isinstance(pair, TokenPair) for pair in pairs)
    return [pair for pair in pairs if isinstance(pair, TokenPair)]


def patched(policy: LocalModel, count: int = 24, top: int = 2, seed: int = 0) -> tuple[PatchResult, dict[int, str]]:
    rows = induction_pairs(count, seed)
    result = patch(policy, pairs_of(policy, rows), [row.topic for row in rows], top=top)
    return result, {place: row.id for place, row in enumerate(rows)}


def test_a_planted_circuit_is_found_with_its_path_and_carries_the_ability(tmp_path: Path) -> None:
    policy = make_induction(tmp_path)
    result, clusters = patched(policy)
    assert set(result.carriers) == FOUND
    assert verdict(result, clusters) == ""
    findings = {f.claim.rpartition(".")[2]: f for f in findings_of(STAGE, "baseline", result, clusters, few=True)}
    for part in ("recovered", "lost"):  # put there they bring it all back, and without them nothing is left
        assert findings[part].value == pytest.approx(1.0, abs=0.05)
        beside = findings[f"{part}_random"].value
        assert beside is not None
        assert abs(beside) < 0.1
        low = findings[f"{part}_beyond"].low
        assert low is not None
        assert low > 0.8
        assert findings[part].n == 12
    detail = findings["recovered"].detail
    assert detail["path head 0.1 > head 1.2"] == pytest.approx(1.0, abs=0.05)  # all of it goes this way
    # how attribution fails, and what exact patching mends: where attention has made up its mind the gradient is small
    first = Component(0, "heads", BEFORE)
    exact = sum(result.exact[first].values())
    attributed = sum(result.attribution.components[first][place] for place in result.exact[first])
    assert attributed < 0.3 * exact
    assert str(findings["agreement"].detail["furthest"]).startswith("head 0.1")


def test_a_model_without_it_shows_nothing(tmp_path: Path) -> None:
    signals = 0
    for seed in range(6):
        policy = make_induction(tmp_path / str(seed), planted=False, seed=seed)
        parts = component_map(policy)
        for draw in range(4):
            rows = induction_pairs(16, 10 * seed + draw)
            attribution = attribute(policy, parts, batches(policy, pairs_of(policy, rows)))
            clusters = {place: row.id for place, row in enumerate(rows)}
            if "not tell the prompts apart" not in verdict(PatchResult(attribution, (), (), {}, ()), clusters):
                signals += verdict(*patched(policy, count=16, seed=10 * seed + draw)) == ""
    assert signals <= 2  # of 24, each with at most one in forty
    result, clusters = patched(make_induction(tmp_path / "planted", seed=3), count=16)
    assert verdict(result, clusters) == ""  # the control: the same search on one that has it


def batch_of(policy: LocalModel, count: int = 6) -> PairBatch:
    return batches(policy, pairs_of(policy, induction_pairs(count)))[0]


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(make_tiny(tmp_path_factory.mktemp("noisy"), num_hidden_layers=3))


def test_everything_that_is_written_is_the_gap(noisy: LocalModel) -> None:
    """The last token is the same in both prompts, so all that can differ there was written by components."""
    parts = component_map(noisy)
    runs = ExactPatching(noisy, parts, batch_of(noisy))
    gap_B = runs.clean_B - runs.corrupt_B
    assert float(gap_B.abs().min()) > 0.01
    assert torch.allclose(runs.recovered(parts.all), gap_B, atol=1e-4)
    assert torch.allclose(runs.loss(parts.all), gap_B, atol=1e-4)
    assert torch.allclose(runs.recovered([]), torch.zeros_like(gap_B), atol=1e-6)
    assert torch.allclose(runs.stream(2, "last"), gap_B, atol=1e-4)
    assert torch.allclose(runs.stream(2, "changed"), torch.zeros_like(gap_B), atol=1e-6)  # too late to be read there
    covered = torch.stack([runs.tokens(role) for role in ("changed", "between", "last")]).sum(0)
    assert covered.max() == 1  # no token has two roles


def test_the_gradient_is_that_of_the_exact_effect(noisy: LocalModel) -> None:
    """A hundredth of the way from the corrupt run, a component's effect is a hundredth of what its gradient there says;
    and attribution is the mean of that and of the same from the other end."""
    parts, batch = component_map(noisy), batch_of(noisy)
    head = noisy.model.get_output_embeddings()
    component, step = Component(1, "heads", 2), 1e-2

    def read(ids_BT: Tensor) -> tuple[Tensor, dict]:  # type: ignore[type-arg]
        states: dict = {}  # type: ignore[type-arg]
        with torch.no_grad(), attached(reading(parts, parts.places, states)):
            return differences(parts.layout, head, batch, ids_BT), states

    (clean_B, clean), (corrupt_B, corrupt) = read(batch.clean_BT), read(batch.corrupt_BT)
    slopes = []
    for ids_BT, own, other, start_B, sign in (
        (batch.corrupt_BT, corrupt, clean, corrupt_B, 1), (batch.clean_BT, clean, corrupt, clean_B, -1),
    ):  # fmt: skip
        mixed = {component.place: own[component.place] + step * (other[component.place] - own[component.place])}
        with torch.no_grad(), attached(putting(parts, [component], mixed)):
            slopes.append(sign * (differences(parts.layout, head, batch, ids_BT) - start_B) / step)
    result = attribute(noisy, parts, [batch])
    attributed = torch.tensor([result.components[component][place] for place in batch.places])
    assert torch.allclose(attributed, (slopes[0] + slopes[1]) / 2, atol=2e-2, rtol=2e-2)
    assert float(attributed.abs().max()) > 0.05
    assert {layer.shape[0] for layer in result.stream.values()} == {3}
    # at the last block the stream of the last token is all that is left: its sum is what the heads before it add up to
    assert STREAM == "stream"
    assert not any(weight.grad is not None for weight in noisy.model.parameters())


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma2", "gemma3_text", "gpt2", "gpt_neox", "olmo2", "phi3"])
def test_heads_are_told_apart(family: str, tmp_path: Path) -> None:
    """As many as the config says, side by side; one put to nothing changes what comes out, and what a run gives itself
    changes nothing."""
    policy = load(make(family, tmp_path / "model"))
    projections = head_projections(policy)
    assert all(projection is not None for projection in projections)
    projection = projections[0]
    assert projection is not None
    config = policy.model.config.get_text_config()
    assert projection.heads == config.num_attention_heads
    assert projection.heads * projection.size == projection.part(projection.heads - 1).stop
    parts, ids_BT = component_map(policy), torch.tensor([[3, 7, 11, 5, 9]])
    states: dict = {}  # type: ignore[type-arg]
    with torch.inference_mode(), attached(reading(parts, parts.places, states)):
        plain = layout_of(policy).body(input_ids=ids_BT, use_cache=False).last_hidden_state
    own = {place: torch.zeros_like(value) for place, value in states.items()}
    with torch.inference_mode(), attached(putting(parts, [Component(0, "heads", 1)], own)):
        without = layout_of(policy).body(input_ids=ids_BT, use_cache=False).last_hidden_state
    assert not torch.equal(plain, without)
    with torch.inference_mode(), attached(putting(parts, parts.all, states)):  # what it gives itself changes nothing
        assert torch.allclose(
            layout_of(policy).body(input_ids=ids_BT, use_cache=False).last_hidden_state, plain, atol=1e-6
        )


def test_what_cannot_be_told_apart_is_refused_or_one_piece(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be told apart, so there is nothing to put"):
        component_map(load(make("falcon_h1", tmp_path / "hybrid")))
    names = {each.name for each in component_map(load(make("mamba", tmp_path / "mamba"))).all}
    assert "attention 0" in names
    assert not any(name.startswith("head") for name in names)


def test_pairs_are_held_to_the_models_tokens(noisy: LocalModel) -> None:
    fits = PromptPair(clean="AB", corrupt="CB", answer="X", wrong="Y")
    pair = token_pair(noisy, 0, fits, chat=False)
    assert isinstance(pair, TokenPair)
    assert (len(pair.clean), pair.answer, pair.wrong) == (3, *(noisy.chat.reply(x, end=False)[0] for x in "XY"))
    longer = fits.model_copy(update={"corrupt": "CBB"})
    assert token_pair(noisy, 0, longer, chat=False) == (
        "the clean prompt has 3 tokens and the corrupt one 4; word them alike long"
    )
    begun = fits.model_copy(update={"answer": "XX"})
    ended = begun.model_copy(update={"wrong": "X"})
    assert isinstance(token_pair(noisy, 0, begun, chat=True), TokenPair)
    assert "begin alike to the end of one of them" in str(token_pair(noisy, 0, ended, chat=True))
    with pytest.raises(ValueError, match="'clean' and 'corrupt' are the same"):
        PromptPair(clean="A", corrupt="A", answer="X", wrong="Y")


def test_a_pair_that_stands_there_twice_counts_once() -> None:
    """Otherwise components are tried on the pair that chose them."""
    rows = [PromptPair(clean="AB", corrupt="CB", answer="X", wrong="Y", topic=str(i)) for i in range(12)]
    stage = PatchStage(by="patch", task="copies", pairs=("pairs.jsonl",))
    file = KnobRows(("pairs", 0), "pairs.jsonl", tuple(rows), tuple(range(1, 13)))
    assert [line for _, line in stage.row_faults([file])] == [
        "1 different pairs: give at least 8, half of which choose what the others try"
    ]


def test_shares_halves_and_random_sets() -> None:
    gap = {0: 1.0, 1: 3.0, 2: 2.0, 3: 2.0}
    half = part_of({place: value / 2 for place, value in gap.items()}, gap, {place: str(place) for place in gap})
    assert half.value == pytest.approx(0.5)  # the same part of each: no error, whatever the gaps are
    assert half.se == pytest.approx(0.0, abs=1e-12)
    uneven = part_of({0: 1.0, 1: 0.0, 2: 2.0, 3: 0.0}, gap, {place: str(place) for place in gap})
    assert uneven.value == pytest.approx(3 / 8)
    assert uneven.interval.low is not None
    one = torch.tensor([1, 2, 2, 3])
    assert rank_correlation(torch.tensor([1, 2, 3, 9]), torch.tensor([2, 3, 4, 5])) == pytest.approx(1.0)
    assert rank_correlation(one, torch.tensor([1, 2, 3, 4])) == pytest.approx(
        0.9486833
    )  # ties at their mean, as scipy has it
    assert rank_correlation(torch.ones(2), torch.arange(2)) == 0.0
    chosen, tried = halves(["a", "a", "b", "c", "d", "d"])
    assert (chosen, tried) == ([0, 1, 3], [2, 4, 5])
    assert halves(["a"] * 4) == ([0, 2], [1, 3])
    everything = [Component(0, "heads", head) for head in range(6)] + [Component(layer, "mlp") for layer in range(3)]
    like = [everything[0], everything[6]]
    sets = random_sets(everything, like, 8, seed=0)
    assert len(set(sets)) == 8
    assert all(not set(own) & set(like) and {each.part for each in own} == {"heads", "mlp"} for own in sets)
    assert random_sets(everything[:3], everything[:2], 8, seed=0) == []
