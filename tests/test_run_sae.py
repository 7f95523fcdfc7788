"""A run takes a block's activations apart: findings on held-out tokens beside the Gaussian twin, latents to read whose
tokens stay text, and a dictionary on disk."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch
import yaml
from run_case import make_project

import alignwright as aw
from alignwright.core.records import Finding
from alignwright.core.section import Section
from alignwright.experiment.check import check
from alignwright.files.errors import SpecError
from alignwright.files.lines import read_lines
from alignwright.lens.sae import run as sae_run
from alignwright.lens.sae.features import Latent
from alignwright.lens.sae.file_format import load_autoencoder
from alignwright.model.activations.sites import Site

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
    assert all(f.examples[0].value == pytest.approx(f.largest) for f in features)
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
