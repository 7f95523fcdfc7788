"""A dictionary on disk is SAELens' to the key, what others saved there is the same dictionary here, and one that does
not fit is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from run_case import make_project
from safetensors.torch import load_file, save_file
from tiny import make_tiny
from torch import Tensor
from torch.nn.functional import normalize

import alignwright as aw
from alignwright.files.contents import DamagedFile
from alignwright.lens.sae import run as sae_run
from alignwright.lens.sae.autoencoder import Autoencoder
from alignwright.lens.sae.file_format import load_autoencoder, save_autoencoder
from alignwright.model.activations.sites import Site
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel

GENERATOR = torch.Generator().manual_seed(0)
HIDDEN, LATENTS, K = 32, 48, 5


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=GENERATOR)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(make_tiny(tmp_path_factory.mktemp("model")))


def dictionary(k: int | None = K, threshold_F: Tensor | None = None) -> Autoencoder:
    rows_FH = normalize(draw(LATENTS, HIDDEN), dim=1)
    return Autoencoder(draw(LATENTS, HIDDEN), draw(LATENTS), rows_FH, draw(HIDDEN), k, threshold_F)


def test_the_files_are_saelens_to_the_key(policy: LocalModel, tmp_path: Path) -> None:
    save_autoencoder(dictionary(), policy, Site(1), tmp_path, "topk")
    config = json.loads((tmp_path / "cfg.json").read_text())
    assert set(config) == {
        "architecture", "d_in", "d_sae", "dtype", "device", "apply_b_dec_to_input", "normalize_activations",
        "reshape_activations", "k", "rescale_acts_by_decoder_norm", "metadata",
    }  # fmt: skip
    assert (config["architecture"], config["k"], config["d_in"], config["d_sae"]) == ("topk", K, HIDDEN, LATENTS)
    assert config["metadata"]["hook_name"] == "blocks.1.hook_resid_post"
    shapes = {name: list(tensor.shape) for name, tensor in load_file(tmp_path / "sae_weights.safetensors").items()}
    assert shapes == {"W_enc": [HIDDEN, LATENTS], "b_enc": [LATENTS], "W_dec": [LATENTS, HIDDEN], "b_dec": [HIDDEN]}


@pytest.mark.parametrize("architecture", ["topk", "batch_topk", "jumprelu"])
def test_what_is_written_is_read_again(architecture: Any, policy: LocalModel, tmp_path: Path) -> None:
    threshold_F = None if architecture == "topk" else draw(LATENTS).abs()
    own, states_NH = dictionary(None if threshold_F is not None else K, threshold_F), draw(20, HIDDEN) * 3
    save_autoencoder(own, policy, Site(0), tmp_path, architecture)
    again, site = load_autoencoder(tmp_path, policy, Site(0))
    assert site == Site(0)
    assert torch.allclose(again.reconstruct(states_NH), own.reconstruct(states_NH), atol=1e-4)
    config = json.loads((tmp_path / "cfg.json").read_text())
    assert config["architecture"] == ("topk" if architecture == "topk" else "jumprelu")


def theirs(architecture: str, config: dict[str, Any], weights: dict[str, Tensor], states_NH: Tensor) -> Tensor:
    """What SAELens' own forward makes of activations, written out."""
    from_NH = states_NH - weights["b_dec"] if config.get("apply_b_dec_to_input", True) else states_NH
    pre_NF = from_NH @ weights["W_enc"] + weights["b_enc"]
    length_F = weights["W_dec"].norm(dim=1)
    if config.get("rescale_acts_by_decoder_norm"):
        pre_NF = pre_NF * length_F
    if architecture == "topk":
        top = pre_NF.topk(config["k"], dim=1)
        value_NF = torch.zeros_like(pre_NF).scatter(1, top.indices, top.values.relu())
        value_NF = value_NF / length_F if config.get("rescale_acts_by_decoder_norm") else value_NF
    else:
        value_NF = pre_NF.relu() * (pre_NF > weights.get("threshold", torch.zeros(LATENTS)))
    return value_NF @ weights["W_dec"] + weights["b_dec"]


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("topk", {"k": K, "rescale_acts_by_decoder_norm": True}),
        ("topk", {"k": K, "rescale_acts_by_decoder_norm": False}),
        ("jumprelu", {}),
        ("standard", {"apply_b_dec_to_input": False}),
    ],
)
def test_what_others_saved_is_the_same_dictionary(architecture: str, changes: dict[str, Any], tmp_path: Path) -> None:
    weights = {"W_enc": draw(HIDDEN, LATENTS), "b_enc": draw(LATENTS), "W_dec": draw(LATENTS, HIDDEN) * 2,
               "b_dec": draw(HIDDEN)}  # fmt: skip
    if architecture == "jumprelu":
        weights["threshold"] = draw(LATENTS).abs()
    metadata = {"hook_name": "blocks.3.hook_resid_post", "model_name": "other"}
    config = {"architecture": architecture, "d_in": HIDDEN, "d_sae": LATENTS, "metadata": metadata} | changes
    save_file(weights, tmp_path / "sae_weights.safetensors")
    (tmp_path / "cfg.json").write_text(json.dumps(config))
    read, site = load_autoencoder(tmp_path)
    states_NH = draw(30, HIDDEN) * 2
    assert site == Site(3)
    assert torch.allclose(read.reconstruct(states_NH), theirs(architecture, config, weights, states_NH), atol=1e-3)


def test_a_flat_file_of_before_is_read(tmp_path: Path) -> None:
    weights = {"W_enc": draw(HIDDEN, LATENTS), "b_enc": draw(LATENTS), "W_dec": draw(LATENTS, HIDDEN),
               "b_dec": draw(HIDDEN)}  # fmt: skip
    save_file(weights, tmp_path / "sae_weights.safetensors")
    flat = {"hook_point": "blocks.2.hook_resid_post", "d_in": HIDDEN, "d_sae": LATENTS, "activation_fn_str": "topk",
            "activation_fn_kwargs": {"k": K}, "normalize_activations": False}  # fmt: skip
    (tmp_path / "cfg.json").write_text(json.dumps(flat))
    read, site = load_autoencoder(tmp_path)
    assert (site, read.k) == (Site(2), K)


def test_one_that_does_not_fit_is_one_line(policy: LocalModel, tmp_path: Path) -> None:
    save_autoencoder(dictionary(), policy, Site(1), tmp_path / "own", "topk")
    with pytest.raises(ValueError, match=r"a dictionary of blocks\.1\.hook_resid_post, and blocks\.0\.hook_resid_post"):
        load_autoencoder(tmp_path / "own", policy, Site(0))
    other = load(make_tiny(tmp_path / "other", hidden_size=48))
    with pytest.raises(
        ValueError, match=r"a dictionary of activations of width 32 .* has 48; name the folder of another"
    ):
        load_autoencoder(tmp_path / "own", other)
    with torch.no_grad():
        same = load(make_tiny(tmp_path / "same"))
        same.model.get_input_embeddings().weight.add_(1.0)
    with pytest.raises(ValueError, match="a dictionary of another model"):
        load_autoencoder(tmp_path / "own", same)
    for change, line in (
        ({"architecture": "gated"}, "the architecture 'gated' is not read here"),
        ({"normalize_activations": "layer_norm"}, "normalize_activations is 'layer_norm'"),
        ({"k": 0}, "k is 0; a topk dictionary needs one between 1 and 48"),
        ({"d_sae": 49}, r"W_enc has the shape \[32, 48\], and cfg.json says \[32, 49\]"),
        ({"metadata": {"hook_name": "blocks.1.attn.hook_z"}}, "names no site"),
        ({"architecture": "jumprelu"}, "threshold is not there"),
        ({"metadata": {"hook_name": "blocks.7.hook_resid_post"}}, "layer 7 is not there"),
    ):
        config = json.loads((tmp_path / "own" / "cfg.json").read_text()) | change
        bad = tmp_path / "bad"
        bad.mkdir(exist_ok=True)
        (bad / "cfg.json").write_text(json.dumps(config))
        (bad / "sae_weights.safetensors").write_bytes((tmp_path / "own" / "sae_weights.safetensors").read_bytes())
        with pytest.raises(ValueError, match=line):
            load_autoencoder(bad, policy)
    tensors = load_file(tmp_path / "own" / "sae_weights.safetensors")
    save_file(tensors | {"b_enc": torch.full((LATENTS,), float("nan"))}, tmp_path / "bad" / "sae_weights.safetensors")
    (tmp_path / "bad" / "cfg.json").write_text((tmp_path / "own" / "cfg.json").read_text())
    with pytest.raises(ValueError, match="b_enc holds numbers that are not finite"):
        load_autoencoder(tmp_path / "bad", policy)
    (tmp_path / "bad" / "cfg.json").unlink()
    with pytest.raises(ValueError, match=r"holds no cfg\.json \(sae_weights\.safetensors\); a dictionary is a folder"):
        load_autoencoder(tmp_path / "bad", policy)
    with pytest.raises(ValueError, match=r"holds no cfg\.json \(nothing\)"):
        load_autoencoder(tmp_path / "nowhere", policy)
    (tmp_path / "own" / "sae_weights.safetensors").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"not a safetensors file, or cut short \(5 bytes\).*fetch it again") as error:
        load_autoencoder(tmp_path / "own", policy)
    assert not isinstance(error.value, DamagedFile)  # whose remedy is to delete the folder
    assert "delete" not in str(error.value)


@pytest.mark.parametrize("rule", ["TopK", "BatchTopK", "JumpReLU", "Standard"])
def test_what_saelens_itself_wrote_is_opened_by_a_run(
    rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sae_lens = pytest.importorskip("sae_lens", reason="SAELens, whose own writer this asks, is not installed")
    knobs: dict[str, Any] = {"k": K} if "TopK" in rule else {}
    config = getattr(sae_lens, f"{rule}TrainingSAEConfig")(d_in=HIDDEN, d_sae=LATENTS, **knobs)
    config.metadata.hook_name, config.metadata.model_name = "blocks.1.hook_resid_post", "tiny"
    trained = getattr(sae_lens, f"{rule}TrainingSAE")(config)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.copy_(draw(*parameter.shape) * 0.5)
        if hasattr(trained, "topk_threshold"):
            trained.topk_threshold = torch.tensor(0.7, dtype=trained.topk_threshold.dtype)
    path = make_project(tmp_path)
    trained.save_inference_model(str(tmp_path / "theirs"))
    own, states_NH = sae_lens.SAE.load_from_disk(str(tmp_path / "theirs")), draw(50, HIDDEN) * 3
    read, site = load_autoencoder(tmp_path / "theirs")
    assert site == Site(1)
    assert torch.allclose(read.reconstruct(states_NH), own(states_NH).detach(), atol=1e-3)
    lines = [json.dumps({"text": f"The stone lies in the sun, {n}."}) + "\n" for n in range(20)]
    (tmp_path / "texts.jsonl").write_text("".join(lines))
    case = {"name": "theirs", "model": "./model", "effort": "demo"}
    case["lens"] = [{"by": "sae", "text": ["texts.jsonl"], "dictionary": "theirs"}]
    path.write_text(yaml.safe_dump(case))
    monkeypatch.setattr(sae_run, "STEPS", 20)
    folder = aw.align(path, runs=tmp_path / "runs", quiet=True).path
    claims = [json.loads(line)["claim"] for line in (folder / "findings.jsonl").read_text().splitlines()]
    assert {"sae.explained", "sae.recovered", "sae.dead", "sae.as_random"} <= set(claims)
