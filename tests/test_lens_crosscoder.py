"""A crosscoder finds the features that one model has and the other has not, and none between models that differ in
none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from run_case import make_project
from tiny import make_tiny
from torch import Tensor
from torch.nn.functional import normalize

import alignwright as aw
from alignwright.core.records import Finding
from alignwright.core.section import Section
from alignwright.experiment.check import check
from alignwright.files.errors import SpecError
from alignwright.files.lines import read_lines
from alignwright.lens.crosscoder.crosscoder import Crosscoder, ModelPair, crosscoder, shares, side
from alignwright.lens.crosscoder.latent_scaling import LatentScaling, latent_scaling
from alignwright.lens.crosscoder.run import _findings, _Tally
from alignwright.lens.sae import run as sae_run
from alignwright.lens.sae.autoencoder import Autoencoder
from alignwright.lens.sae.corpus import Corpus
from alignwright.lens.sae.evaluate import moments
from alignwright.lens.sae.train import Recipe, train
from alignwright.model.activations.sites import Site
from alignwright.model.activations.store import ActivationStore
from alignwright.model.load import load
from alignwright.model.weights import write_tensors

HIDDEN, FEATURES, LATENTS = 16, 24, 40


def planted(seed: int, new: int, count: int = 6000, weak: float = 0.0) -> tuple[Tensor, Tensor]:
    """Pairs [start, trained] of a few of many features, a little turned in the trained model, which has `new` more; the
    first of these is in the start model too, so `weak`."""
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
    noise_NH, new_NG = 0.05 * draw(count, HIDDEN), sizes(new, 0.03)
    trained_NH = size_NG @ turned_GH + noise_NH + new_NG @ new_GH
    start_NH = start_NH + weak * new_NG[:, :1] @ new_GH[:1]
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


# ---- latent scaling ----------------------------------------------------------------------------------------------


def scaled(both: Autoencoder, states_ND: Tensor) -> LatentScaling:
    return latent_scaling(both, ((part, both.encode(part)) for part in states_ND.split(500)))


def test_what_is_exclusive_by_plan_is_absent_from_the_other_and_what_is_shared_is_there() -> None:
    states_ND, _ = planted(0, 2)
    both, on_F = coded(states_ND, 0, 600)
    scaling, own_F = scaled(both.dictionary, states_ND), both.of_trained(on_F)
    assert torch.equal(scaling.absent(own_F), own_F)
    assert float(scaling.error_F[own_F].abs().max()) < 0.1
    assert bool(scaling.trained_F[own_F].all())
    shared_F = ((both.share_F - 0.5).abs() < 0.1) & (on_F >= 50)
    assert int(shared_F.sum()) > 10
    for nu_F in (scaling.error_F, scaling.reconstruction_F):  # the control: the test sees what is there
        assert float(nu_F[shared_F].median()) == pytest.approx(1.0, abs=0.1)
    assert len(scaling.absent(shared_F.nonzero()[:, 0])) == 0


def test_a_shared_feature_that_is_weak_or_shrunk_or_split_is_not_called_exclusive() -> None:
    states_ND, _ = planted(1, 0)
    both, on_F = coded(states_ND, 1, 200)
    whole = both.dictionary
    assert whole.threshold_F is not None
    latent = int(on_F.argmax())  # one that both models share
    assert abs(float(both.share_F[latent]) - 0.5) < 0.1
    for size in (0.0, 0.4):  # its row of the start model is made shorter than what that model holds
        decoder_FD = whole.decoder_FH.clone()
        decoder_FD[latent, :HIDDEN] *= size
        shrunk = replace(whole, decoder_FH=decoder_FD)
        share, scaling = float(shares(decoder_FD)[latent]), scaled(shrunk, states_ND)
        assert share == pytest.approx(1 - size / 2, abs=0.1)  # by its row it is the trained model's
        assert float(scaling.error_F[latent]) == pytest.approx(1.0, abs=0.25)
        assert bool(scaling.shrunk_F[latent])
    # two latents where one would do: one for each model
    rows_FD = torch.cat([whole.decoder_FH, whole.decoder_FH[latent : latent + 1]])
    rows_FD[latent, :HIDDEN], rows_FD[-1, HIDDEN:] = 0.0, 0.0
    split = replace(
        whole, decoder_FH=rows_FD, encoder_FH=torch.cat([whole.encoder_FH, whole.encoder_FH[latent : latent + 1]]),
        bias_F=torch.cat([whole.bias_F, whole.bias_F[latent : latent + 1]]),
        threshold_F=torch.cat([whole.threshold_F, whole.threshold_F[latent : latent + 1]]),
    )  # fmt: skip
    scaling = scaled(split, states_ND)
    assert not bool(scaling.shrunk_F[latent])  # nothing is left in the errors
    assert float(scaling.reconstruction_F[latent]) == pytest.approx(1.0, abs=0.25)
    assert bool(scaling.decoupled_F[latent])
    assert not bool(scaling.trained_F[-1])
    assert len(scaling.absent(torch.tensor([latent, LATENTS]))) == 0


def test_a_feature_that_training_made_stronger_is_not_new() -> None:
    """In the start model at a third of its strength it looks exclusive, and is told from one that is not there at all
    (in four of six such pairs; in the others no latent was found for it)."""
    states_ND, new_GH = planted(1, 2, weak=0.35)
    both, on_F = coded(states_ND, 1, 600)
    rows_FH = normalize(side(both.dictionary, trained=True).decoder_FH, dim=1)
    like_FG = (rows_FH @ new_GH.T).masked_fill((on_F < 5)[:, None], -1.0)
    weak, new = like_FG.argmax(dim=0).tolist()
    assert float(like_FG.amax(dim=0).min()) > 0.95
    assert set(both.of_trained(on_F).tolist()) == {weak, new}
    scaling = scaled(both.dictionary, states_ND)
    assert float(scaling.error_F[weak]) == pytest.approx(0.35, abs=0.12)
    assert abs(float(scaling.error_F[new])) < 0.1
    assert scaling.absent(both.of_trained(on_F)).tolist() == [new]


def test_the_scale_is_the_least_squares_one() -> None:
    states_ND, _ = planted(2, 1, count=400)
    generator = torch.Generator().manual_seed(0)
    rows_FD = torch.randn(LATENTS, 2 * HIDDEN, generator=generator)
    both = Autoencoder(rows_FD.clone(), torch.zeros(LATENTS), normalize(rows_FD, dim=1), torch.zeros(2 * HIDDEN), 3)
    active = both.encode(states_ND)
    value_NF = torch.zeros(len(states_ND), LATENTS)
    value_NF[active.token_A, active.latent_A] = active.value_A
    scaling, latent = latent_scaling(both, [(states_ND, active)]), int(active.latent_A[0])
    own = slice(HIDDEN, None) if bool(scaling.trained_F[latent]) else slice(None, HIDDEN)
    part_NH = value_NF[:, latent, None] * both.decoder_FH[latent, own]

    def beta(target_NH: Tensor) -> float:
        return float(torch.linalg.lstsq(part_NH.reshape(-1, 1), target_NH.reshape(-1, 1)).solution)

    others_NF = value_NF.clone()
    others_NF[:, latent] = 0
    for nu_F, target_ND in (
        (scaling.error_F, states_ND - others_NF @ both.decoder_FH),
        (scaling.reconstruction_F, value_NF @ both.decoder_FH),
    ):
        halves = [beta(half) for half in target_ND.chunk(2, dim=1)]
        of_own, of_other = halves[::-1] if own.start else halves
        assert float(nu_F[latent]) == pytest.approx(of_other / of_own, rel=1e-3)


def test_a_control_that_leaves_no_room_says_that_nothing_can_be_told() -> None:
    states_ND, _ = planted(0, 0, count=800)
    recipe = Recipe("batch_topk", LATENTS, 3, 5, 256, 5e-3)
    trainer = train(recipe, of(states_ND))
    dictionary = trainer.autoencoder()
    rows = Corpus([], [[0]] * 2, [0, 1])
    tally = _Tally()
    for row, part in enumerate(states_ND.split(400)):
        tally.rows.append(row)
        tally.states.append(part)
        tally.active.append(dictionary.encode(part))
    none = torch.zeros(0, dtype=torch.long)
    for furthest, tells in ((0.1, True), (0.3, False)):
        both = Crosscoder(dictionary, shares(dictionary.decoder_FH), furthest, trainer)
        assert both.tells is tells
        findings = {f.claim: f for f in _findings("train.0.sft", both, tally, rows, none, none, Site(0), HIDDEN)}
        why = str(findings["crosscoder.new"].detail["no_signal"])
        assert ("no share could be told from chance" in why) is not tells
        assert (findings["crosscoder.of_trained"].value == 0.0) is tells
        assert ("untested" in findings["crosscoder.of_start"].detail) is not tells
        assert findings["crosscoder.limit"].value == pytest.approx(2 * furthest)


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
    exclusive = own["crosscoder.of_trained"].value or 0  # none where the control leaves no room
    assert own["crosscoder.shrunk"].n >= exclusive
    assert "latent scaling" in own["crosscoder.new"].note
    assert ("no_signal" in own["crosscoder.new"].detail) == (exclusive == 0)
    assert (verdicts[0]["answer"] == "untested") == (exclusive == 0)


def test_a_model_is_held_against_one_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sae_run, "STEPS", 20)
    path = make_project(tmp_path)
    (tmp_path / "texts.jsonl").write_text(
        "".join(json.dumps({"text": f"The stone lies, {n}."}) + "\n" for n in range(20))
    )
    make_tiny(tmp_path / "wide", hidden_size=48)
    other = load(make_tiny(tmp_path / "other"))
    with torch.no_grad():
        other.model.get_input_embeddings().weight.mul_(1.5)
    other.model.save_pretrained(tmp_path / "other")
    stage = {"by": "crosscoder", "text": ["texts.jsonl"], "latents": 24, "k": 3, "against": "./other"}
    case: dict[str, object] = {"name": "named", "model": "./model", "effort": "demo", "lens": [stage]}
    case["promises"] = ["crosscoder.explained > -1"]
    path.write_text(yaml.safe_dump(case))
    folder = aw.align(path, runs=tmp_path / "runs", quiet=True).path
    findings = [Finding.model_validate_json(line) for line in read_lines(folder / "findings.jsonl")]
    own = {f.claim: f for f in findings if f.claim.startswith("crosscoder.")}
    assert {f.stage for f in own.values()} == {"baseline"}
    assert own["crosscoder.explained"].value is not None
    verdict = json.loads((folder / "promises.json").read_text())["verdicts"][0]
    assert verdict["answer"] == "kept"
    path.write_text(yaml.safe_dump(case | {"lens": [stage | {"against": "./wide"}], "promises": []}))
    with pytest.raises(Exception, match="are no models of one shape"):
        aw.align(path, runs=tmp_path / "runs", quiet=True)
    path.write_text(yaml.safe_dump(case | {"lens": [stage | {"against": "http://127.0.0.1:9/v1#it"}], "promises": []}))
    with pytest.raises(SpecError, match="a server gives no activations"):
        check(path)
