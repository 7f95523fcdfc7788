"""A run takes a block's activations apart: findings on held-out tokens beside the Gaussian twin, latents to read whose
tokens stay text, and a dictionary on disk."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from run_case import make_project
from safetensors.torch import load_file, save_file
from tiny import make_tiny

import alignwright as aw
from alignwright.core.records import Finding
from alignwright.core.section import Section, Table
from alignwright.experiment.check import check
from alignwright.files.errors import SpecError
from alignwright.files.fingerprint import weights_hash
from alignwright.files.lines import read_lines
from alignwright.files.models import resolve
from alignwright.lens.sae import run as sae_run
from alignwright.lens.sae.features import Latent
from alignwright.lens.sae.file_format import load_autoencoder
from alignwright.model.activations.sites import Site
from alignwright.model.load import load

WORDS = ("sun", "rain", "bread", "stone", "river", "cloud", "paper", "grass", "wheel", "candle", "<script>", "garden")
STAGE = {"by": "sae", "text": ["texts.jsonl"], "latents": 64, "k": 4, "layer": 0}


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_project(tmp_path_factory.mktemp("sae"))
    generator = torch.Generator().manual_seed(0)
    lines = [
        " ".join(WORDS[i] for i in torch.randint(12, (20,), generator=generator).tolist()) + f" {n}" for n in range(40)
    ]
    (path.parent / "texts.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    case = yaml.safe_load(path.read_text())
    for name in ("collect", "attack", "measure", "intent", "train", "feedback"):
        case.pop(name, None)
    case |= {"lens": [STAGE], "promises": ["sae.explained > 0.1", "sae.dead < 0.9"]}
    path.write_text(yaml.safe_dump(case))
    return path


@pytest.fixture(scope="module")
def folder(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sae_run, "STEPS", 60)
        return aw.align(spec, runs=tmp_path_factory.mktemp("runs"), quiet=True).path


def test_what_is_explained_stands_beside_its_controls(folder: Path) -> None:
    findings = {
        f.claim: f for f in (Finding.model_validate_json(line) for line in read_lines(folder / "findings.jsonl"))
    }
    own, twin, plain = (findings[f"sae.{name}"] for name in ("explained", "gaussian", "components"))
    assert own.axis == "inside"
    assert own.low is not None
    assert own.value is not None
    assert twin.value is not None
    assert plain.value is not None
    assert findings["sae.over_gaussian"].value == pytest.approx(own.value - twin.value)
    shows = (findings["sae.over_gaussian"].low or 0) > 0
    assert ("no_signal" in own.detail) != shows
    assert findings["sae.on"].value == pytest.approx(4, abs=0.2)
    assert own.clusters == 8  # a fifth of forty texts
    drawn, shared = findings["sae.random_weights"], findings["sae.as_random"]
    assert drawn.value is not None
    assert shared.value is not None
    assert 0 <= (shared.low or 0) <= shared.value <= 1
    assert 0 <= shared.detail["by_chance"] <= 1
    assert "With random weights in the model's place" in own.note
    verdicts = {v["promise"]: v for v in json.loads((folder / "promises.json").read_text())["verdicts"]}
    assert (verdicts["sae.explained > 0.1"]["answer"] == "untested") != shows
    assert verdicts["sae.dead < 0.9"]["answer"] == "kept"


def test_its_latents_can_be_read_and_stay_text(folder: Path) -> None:
    (job,) = folder.glob("stages/*sae*")
    features = [Latent.model_validate_json(line) for line in read_lines(job / "features.jsonl")]
    assert 8 <= len(features) <= 64
    assert sum(feature.variance for feature in features) == pytest.approx(1.0)
    assert all(len(feature.promotes) == len(feature.suppresses) == 8 for feature in features)
    assert all(1 <= len({example.row for example in f.examples}) == len(f.examples) for f in features)
    assert all(len({(e.before, e.token) for e in f.examples}) == len(f.examples) for f in features)
    assert all(f.examples[0].value == pytest.approx(f.largest) for f in features)
    told = [f for f in features if f.as_random is not None]
    assert 4 <= len(told) <= len([f for f in features if f.tokens >= 5])
    assert all(-1 <= (f.as_random or 0) <= 1.0001 for f in told)
    rows = [json.loads(line) for line in gzip.decompress((job / "neuronpedia.jsonl.gz").read_bytes()).splitlines()]
    assert [int(row["index"]) for row in rows] == [feature.latent for feature in features]
    for row, feature in zip(rows, features, strict=True):
        assert (row["layer"], row["hookName"], len(row["vector"])) == ("0-alignwright", "blocks.0.hook_resid_post", 32)
        assert [shown["maxValue"] for shown in row["activations"]] == pytest.approx([e.value for e in feature.examples])
        for shown, example in zip(row["activations"], feature.examples, strict=True):
            assert len(shown["tokens"]) == len(shown["values"])
            assert shown["maxValueTokenIndex"] == example.position
            assert shown["tokens"][example.position] == example.token
    section = next(
        s for s in map(Section.model_validate_json, read_lines(folder / "sections.jsonl")) if s.name == "sae"
    )
    assert [block.kind for block in section.blocks] == ["table", "text", "table", "note"]
    latents = section.blocks[2]
    assert isinstance(latents, Table)
    assert latents.columns[-1] == "With random weights"
    page = (folder / "report.html").read_text()
    assert "Features of the activations" in page
    assert "&lt;" in page
    assert "<script> " not in page


def test_the_dictionary_is_on_disk(folder: Path) -> None:
    (saved,) = folder.glob("stages/*/sae")
    dictionary, site = load_autoencoder(saved)
    assert site == Site(0)
    assert (dictionary.latents, dictionary.hidden, dictionary.k) == (64, 32, 4)
    assert not list(folder.glob("stages/*sae*/at_work"))


def test_pairs_that_carry_checks_are_texts_like_any_other(spec: Path) -> None:
    rows = [
        {"prompt": f"Say {n} in three words.", "chosen": f"a {n} b", "rejected": f"{n}",
         "checks": [{"name": "length:max_words", "args": {"count": 3}}]}
        for n in range(12)
    ]  # fmt: skip
    path = spec.with_name("checked.yaml")
    stage = {"by": "sae", "pairs": ["checked.jsonl"], "latents": 64, "k": 4}
    path.write_text(yaml.safe_dump(yaml.safe_load(spec.read_text()) | {"lens": [stage], "promises": []}))
    for count, line in ((12, ""), (4, "4 different texts: a dictionary needs at least 10")):
        (spec.parent / "checked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:count]))
        if not line:
            check(path)
            continue
        with pytest.raises(SpecError, match=line):
            check(path)


def opened(spec: Path, folder: Path, **knobs: object) -> Path:
    """The spec with the dictionary that a run kept in place of training one."""
    (saved,) = folder.glob("stages/*/sae")
    kept = spec.parent / "kept"
    if not kept.exists():
        shutil.copytree(saved, kept)
    stage = {"by": "sae", "text": ["texts.jsonl"], "dictionary": "kept"} | knobs
    path = spec.with_name("opened.yaml")
    path.write_text(yaml.safe_dump(yaml.safe_load(spec.read_text()) | {"lens": [stage], "promises": []}))
    return path


def levels(folder: Path) -> dict[str, Finding]:
    findings = (Finding.model_validate_json(line) for line in read_lines(folder / "findings.jsonl"))
    return {finding.claim: finding for finding in findings}


def test_a_dictionary_that_is_opened_tells_what_a_trained_one_told(
    spec: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sae_run, "STEPS", 60)
    again = aw.align(opened(spec, folder), runs=tmp_path, quiet=True).path
    before, now = levels(folder), levels(again)
    assert before.keys() == now.keys()
    for claim in ("sae.explained", "sae.recovered", "sae.on", "sae.gaussian", "sae.random_weights", "sae.as_random"):
        assert now[claim].value == pytest.approx(before[claim].value, abs=1e-4)  # written in float32, and scaled back
    assert now["sae.dead"].method.startswith("on at none of ")
    (job,) = again.glob("stages/*sae*")
    assert {"features.jsonl", "neuronpedia.jsonl.gz"} <= {path.name for path in job.iterdir()}
    assert not (job / "sae").exists()
    # the control: one that is no dictionary of anything explains nothing
    weights = load_file(spec.parent / "kept" / "sae_weights.safetensors")
    generator = torch.Generator().manual_seed(0)
    drawn = {name: torch.randn(t.shape, generator=generator) * t.std() for name, t in weights.items()}
    opened(spec, folder)
    other = spec.parent / "drawn"
    shutil.copytree(spec.parent / "kept", other)
    save_file(drawn, other / "sae_weights.safetensors")
    none = aw.align(opened(spec, folder, dictionary="drawn", random_weights=False), runs=tmp_path, quiet=True).path
    assert (levels(none)["sae.explained"].value or 0) < 0.2 < (now["sae.explained"].value or 0)
    assert "no_signal" in levels(none)["sae.explained"].detail
    assert not {"sae.random_weights", "sae.as_random"} & levels(none).keys()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"cfg": {"d_in": 33}}, r"W_enc has the shape \[32, 64\], and cfg.json says \[33, 64\]"),
        ({"hook": "blocks.7.hook_resid_post"}, "layer 7 is not there: the model has 2 blocks"),
        ({"layer": 1}, r"block 1 is asked for, and .*kept is of blocks\.0\.hook_resid_post; leave 'layer' out"),
        ({"layer": 0.75}, "block 1 is asked for"),
        ({"cut": True}, r"sae_weights.safetensors: .* bytes, and its header tells of .*fetch it again"),
        ({"gone": "sae_weights.safetensors"}, r"holds no sae_weights.safetensors \(cfg.json\); a dictionary is a"),
        ({"gone": "cfg.json"}, "holds no cfg.json"),
        ({"model": "./other"}, "a dictionary of other weights .* than those of ./other"),
        ({"model": "./wide"}, "a dictionary of activations of width 32 .*, and ./wide has 48"),
        ({"latents": 64}, "latents does nothing beside 'dictionary', which brings its own; leave it out"),
        ({"k": 4}, "k does nothing beside 'dictionary'"),
        ({"architecture": "topk"}, "architecture does nothing beside 'dictionary'"),
        ({"dictionary": "nowhere"}, "nowhere"),
        ({"dictionary": "texts.jsonl"}, "holds no cfg.json"),
    ],
)
def test_a_dictionary_that_does_not_fit_is_refused_by_check(
    spec: Path, folder: Path, change: dict[str, Any], line: str, tmp_path: Path
) -> None:
    knobs = {name: change[name] for name in ("layer", "latents", "k", "architecture", "dictionary") if name in change}
    path = opened(spec, folder, **knobs)
    project = tmp_path / "project"
    shutil.copytree(spec.parent, project)
    kept = project / "kept"
    config = json.loads((kept / "cfg.json").read_text()) | change.get("cfg", {})
    config["metadata"]["hook_name"] = change.get("hook", config["metadata"]["hook_name"])
    (kept / "cfg.json").write_text(json.dumps(config))
    if "cut" in change:
        whole = (kept / "sae_weights.safetensors").read_bytes()
        (kept / "sae_weights.safetensors").write_bytes(whole[: len(whole) // 2])
    if "gone" in change:
        (kept / change["gone"]).unlink()
    if "model" in change:
        make_tiny(project / "wide", hidden_size=48)
        other = load(make_tiny(project / "first"))
        with torch.no_grad():
            other.model.get_input_embeddings().weight.add_(1.0)
        other.model.save_pretrained(project / "other")
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            if (project / "first" / name).exists():
                shutil.copy(project / "first" / name, project / "other" / name)
    case = yaml.safe_load(path.read_text()) | ({"model": change["model"]} if "model" in change else {})
    (project / "opened.yaml").write_text(yaml.safe_dump(case))
    with pytest.raises(SpecError, match=line):
        check(project / "opened.yaml")


def test_a_dictionary_of_its_own_place_is_let_through(spec: Path, folder: Path) -> None:
    check(opened(spec, folder, layer=0))
    config = json.loads((spec.parent / "kept" / "cfg.json").read_text())
    assert config["metadata"]["alignwright_weights"] == weights_hash(resolve("./model", spec.parent))


@pytest.mark.parametrize(
    ("knobs", "line"),
    [
        ({"text": []}, "a dictionary is made of texts"),
        ({"text": ["few.jsonl"]}, "3 different texts: a dictionary needs at least 10, a fifth of them held out"),
        ({"latents": 1}, "latents"),
        ({"k": 65}, "k is 65, and there are 64 latents"),
    ],
)
def test_bad_input_is_one_line(spec: Path, knobs: dict[str, object], line: str) -> None:
    (spec.parent / "few.jsonl").write_text("".join(json.dumps({"text": f"A text, {i}."}) + "\n" for i in range(3)))
    case = yaml.safe_load(spec.read_text()) | {"lens": [STAGE | knobs], "promises": []}
    path = spec.with_name("bad.yaml")
    path.write_text(yaml.safe_dump(case))
    with pytest.raises(SpecError, match=line):
        check(path)
