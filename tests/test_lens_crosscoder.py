"""A crosscoder finds the features that one model has and the other has not, and none between models that differ in
none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml
from run_case import make_project
from torch import Tensor
from torch.nn.functional import normalize

import alignwright as aw
from alignwright.core.records import Finding
from alignwright.core.section import Section
from alignwright.files.lines import read_lines
from alignwright.lens.crosscoder.crosscoder import Crosscoder, ModelPair, crosscoder, shares, side
from alignwright.lens.sae import run as sae_run
from alignwright.lens.sae.autoencoder import Autoencoder
from alignwright.lens.sae.evaluate import moments
from alignwright.lens.sae.train import Recipe
from alignwright.model.activations.sites import Site
from alignwright.model.activations.store import ActivationStore
from alignwright.model.weights import write_tensors

HIDDEN, FEATURES, LATENTS = 16, 24, 40


def planted(seed: int, new: int, count: int = 6000) -> tuple[Tensor, Tensor]:
    """Pairs [start, trained] of a few of many features, a little turned in the trained model, which has `new` more."""
    generator = torch.Generator().manual_seed(1000 + seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def sizes(features: int, rate: float) -> Tensor:
        return (torch.rand(count, features, generator=generator) < rate) * (
            0.6 + torch.rand(count, features, generator=generator)
        )

    features_GH = normalize(draw(FEATURES, HIDDEN), dim=1)
    turned_GH = normalize(features_GH + 0.025 * draw(FEATURES, HIDDEN), dim=1)
    size_NG, new_GH = sizes(FEATURES, 2 / FEATURES), normalize(draw(new, HIDDEN), dim=1)
    start_NH = size_NG @ features_GH + 0.05 * draw(count, HIDDEN)
    trained_NH = size_NG @ turned_GH + 0.05 * draw(count, HIDDEN) + sizes(new, 0.03) @ new_GH
    scaled = [states_NH * states_NH.square().mean().rsqrt() for states_NH in (start_NH, trained_NH)]
    return torch.cat(scaled, dim=1), new_GH


def of(states_ND: Tensor) -> Callable[[int, int], Iterator[Tensor]]:
    def batches(size: int, seed: int) -> Iterator[Tensor]:
        order = torch.randperm(len(states_ND), generator=torch.Generator().manual_seed(seed))
        yield from states_ND[order].split(size)

    return batches


def coded(states_ND: Tensor, seed: int, steps: int) -> tuple[Crosscoder, Tensor]:
    start_NH, trained_NH = states_ND.chunk(2, dim=1)
    cloud = moments(iter([start_NH]))
    change = float((trained_NH - start_NH).square().sum(1).mean() / cloud.covariance_HH.trace())
    recipe = Recipe("batch_topk", LATENTS, 3, steps, 256, 5e-3, seed=seed)
    both = crosscoder(recipe, of(states_ND), cloud, change)
    return both, torch.bincount(both.dictionary.encode(states_ND).latent_A, minlength=LATENTS)


def test_features_of_one_model_alone_are_found_and_theirs_only() -> None:
    states_ND, new_GH = planted(0, 2)
    both, on_F = coded(states_ND, 0, 600)
    own_F = both.of_trained(on_F)
    assert 1 <= len(own_F) <= 2  # at 900 steps both of them in each of six pairs, at 600 one of them in one
    rows_FH = normalize(side(both.dictionary, trained=True).decoder_FH, dim=1)
    assert float((rows_FH[own_F] @ new_GH.T).amax(dim=1).min()) > 0.95
    assert len(both.of_start(on_F)) == 0
    # the two models exchanged: the same features are now the start model's
    back = Crosscoder(both.dictionary, 1 - both.share_F, both.furthest, both.trainer)
    assert torch.equal(back.of_start(on_F), own_F)


def test_models_that_differ_in_no_feature_have_none_of_their_own() -> None:
    for seed in range(3):
        both, on_F = coded(planted(seed, 0)[0], seed, 200)
        assert len(both.of_trained(on_F)) == len(both.of_start(on_F)) == 0


def test_a_share_says_whose_a_latent_is() -> None:
    decoder_FD = torch.tensor([[3.0, 4, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1], [1, 0, 0, 3]])
    assert shares(decoder_FD).tolist() == pytest.approx([0.0, 1.0, 0.5, 0.5 + 1 / 3])
    whole = Autoencoder(decoder_FD, torch.zeros(4), decoder_FD, torch.arange(4.0), 2)
    half = side(whole, trained=True, factor=2.0)
    assert half.decoder_FH.tolist() == [[0, 0], [0.5, 0], [0, 0.5], [0, 1.5]]
    assert half.centre_H.tolist() == [1.0, 1.5]


def test_both_models_are_read_at_the_same_tokens(tmp_path: Path) -> None:
    site, stores = Site(0), []
    for name, sink in (("start", 3), ("trained", 7)):
        index = {"sites": [site.name], "shards": []}
        for shard in range(2):
            states_NH = torch.arange(20.0).view(10, 2) + 100 * shard + 1000 * (name == "trained")
            flags_N = (torch.arange(10) == sink).to(torch.uint8)
            file = f"{name}-{shard}.safetensors"
            write_tensors(
                {f"acts.{site.name}": states_NH, f"sink.{site.name}": flags_N,
                 "row": torch.arange(10, dtype=torch.int32) // 5, "position": torch.arange(10, dtype=torch.int32) % 5},
                tmp_path / file,
            )  # fmt: skip
            index["shards"].append({"file": file, "tokens": 10})
        stores.append(ActivationStore(tmp_path, index))
    pair = ModelPair(stores[0], stores[1], site, (1.0, 0.5))
    batches_ND = torch.cat(list(pair.batches(6, seed=0)))
    assert len(batches_ND) == 16  # what is a sink of either is left out of both
    assert torch.equal(batches_ND[:, :2] + 1000, batches_ND[:, 2:] * 2)
    assert torch.equal(batches_ND, torch.cat(list(pair.batches(6, seed=0))))
    assert sorted(batches_ND[:, 0].tolist()) == sorted(torch.cat([s["states"] for s in pair.shards()])[:, 0].tolist())


def test_a_run_holds_a_trained_model_against_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sae_run, "STEPS", 30)
    path = make_project(tmp_path)
    lines = [f"The stone {'and the river ' * (n % 3)}lies in the sun, {n}." for n in range(30)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    case = yaml.safe_load(path.read_text())
    del case["collect"], case["attack"], case["measure"], case["intent"]["prompts"]
    case |= {"feedback": [{"by": "written"}], "train": case["train"][:1], "promises": ["crosscoder.new < 0.9"]}
    case["lens"] = [{"by": "crosscoder", "text": ["texts.jsonl"], "latents": 48, "k": 4}]
    path.write_text(yaml.safe_dump(case))
    folder = aw.align(path, runs=tmp_path / "runs", quiet=True).path
    findings = [Finding.model_validate_json(line) for line in read_lines(folder / "findings.jsonl")]
    own = {f.claim: f for f in findings if f.claim.startswith("crosscoder.")}
    assert {f.stage for f in own.values()} == {"train.0.sft"}
    assert own["crosscoder.explained"].value is not None
    assert 0 <= (own["crosscoder.new"].value or 0.0) < 0.9
    sections = {s.name: s for s in map(Section.model_validate_json, read_lines(folder / "sections.jsonl"))}
    assert [block.kind for block in sections["crosscoder"].blocks] == ["table", "text", "table", "note"]
    assert len(list(folder.glob("stages/*/crosscoder.safetensors"))) == 1
    verdicts = json.loads((folder / "promises.json").read_text())["verdicts"]
    exclusive = own["crosscoder.of_trained"].value or 0
    assert ("no_signal" in own["crosscoder.new"].detail) == (exclusive == 0)
    assert (verdicts[0]["answer"] == "untested") == (exclusive == 0)
