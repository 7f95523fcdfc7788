"""A run looks inside the start model and after each training stage: findings beside the start model, a saved probe,
a section, and promises that what shows nothing leaves untested."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from run_case import make_project

import alignwright as aw
from alignwright.core.records import Finding
from alignwright.core.section import Section
from alignwright.experiment.check import check
from alignwright.files.errors import SpecError
from alignwright.files.lines import read_lines
from alignwright.files.model_blocks import blocks_of
from alignwright.files.models import ModelRef, resolve

WORDS = ("sun", "rain", "bread", "stone", "river", "cloud", "paper", "grass", "wheel", "candle", "window", "garden")
PROBE = {"by": "probe", "concept": "tense", "data": ["labelled.jsonl"], "method": "lda"}


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_project(tmp_path_factory.mktemp("lens"))
    rows = [
        {
            "text": f"The {WORDS[i % 12]} {'is' if i % 2 else 'was'} {WORDS[i // 4]}.",
            "label": i % 2,
            "topic": f"t{i // 8}",
        }
        for i in range(48)
    ]
    (path.parent / "labelled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    case = yaml.safe_load(path.read_text())
    del case["collect"], case["attack"], case["measure"], case["intent"]["prompts"]
    case |= {"feedback": [{"by": "written"}], "train": case["train"][:1]}
    case["lens"] = [PROBE, {"by": "logit_lens", "prompts": ["prompts.jsonl"]}]
    case["promises"] = ["probe.tense.auroc > 0.6", "logit_lens.half < 0.99"]
    path.write_text(yaml.safe_dump(case))
    return path


@pytest.fixture(scope="module")
def folder(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return aw.align(spec, runs=tmp_path_factory.mktemp("runs"), quiet=True).path


def test_both_models_are_looked_into_and_compared(folder: Path) -> None:
    findings = [Finding.model_validate_json(line) for line in read_lines(folder / "findings.jsonl")]
    probe = {(f.claim, f.stage, f.against): f for f in findings if f.claim.startswith("probe.tense")}
    trained = "train.0.sft"
    for stage in ("baseline", trained):
        level = probe["probe.tense.auroc", stage, None]
        assert (level.axis, level.unit) == ("inside", "AUROC")
        assert level.n == 16  # two topics of six, so the interval speaks of these alone
        assert level.clusters == 16
        assert level.detail["verdict"] in ("signal", "no_signal", "inverted")
        assert {"layer 0", "layer 1"} <= level.detail.keys()
        assert ("probe.tense.words", stage, None) in probe
        assert ("probe.tense.random", stage, None) in probe
    change = probe["probe.tense.auroc", trained, "baseline"]
    now, then = (probe["probe.tense.auroc", stage, None].value for stage in (trained, "baseline"))
    assert now is not None
    assert then is not None
    assert change.value == pytest.approx(now - then)
    assert ("probe.tense.start", trained, None) in probe
    assert ("probe.tense.start", "baseline", None) not in probe
    lens = {(f.claim, f.stage, f.against) for f in findings if f.claim.startswith("logit_lens")}
    assert {("logit_lens.depth", stage, None) for stage in ("baseline", trained)} <= lens
    assert ("logit_lens.depth", trained, "baseline") in lens


def test_the_words_tell_all_of_it_so_the_promise_is_untested(folder: Path) -> None:
    verdicts = {v["promise"]: v for v in json.loads((folder / "promises.json").read_text())["verdicts"]}
    verdict = verdicts["probe.tense.auroc > 0.6"]
    assert verdict["answer"] == "untested"
    assert "shows nothing beside its controls" in verdict["reason"]


def test_the_report_and_the_probes_are_there(folder: Path) -> None:
    sections = {s.name: s for s in map(Section.model_validate_json, read_lines(folder / "sections.jsonl"))}
    assert "Controls: random directions" in sections["probes"].intro
    assert {block.kind for block in sections["probes"].blocks} == {"table", "text", "line_chart", "note"}
    assert {block.kind for block in sections["logit_lens"].blocks} == {"table", "text", "note"}
    assert len(list(folder.glob("**/probe/probe.safetensors"))) == 2
    page = (folder / "report.html").read_text()
    assert "Directions for concepts" in page
    assert "not counted, since" in page


@pytest.mark.parametrize(
    ("knobs", "line"),
    [
        ({"data": ["one.jsonl"]}, "20 positive and 0 negative texts: a probe needs at least 8 of each kind"),
        ({"data": ["both.jsonl"]}, "both.jsonl:21: the same text is negative here and positive elsewhere; keep one"),
        ({"data": ["same.jsonl"]}, "1 positive and 20 negative texts: a probe needs at least 8 of each kind"),
        ({"data": []}, "a concept needs texts of both kinds"),
        ({"concept": "Not a name"}, "concept"),
    ],
)
def test_bad_input_is_one_line(spec: Path, knobs: dict[str, object], line: str) -> None:
    (spec.parent / "one.jsonl").write_text("".join(json.dumps({"text": f"x{i}", "label": 1}) + "\n" for i in range(20)))
    rows = [{"text": f"x{i}", "label": label} for label in (1, 0) for i in range(20)]
    (spec.parent / "both.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = [{"text": f"x{i * label}", "label": 1 - label} for label in (0, 1) for i in range(1, 21)]
    (spec.parent / "same.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    case = yaml.safe_load(spec.read_text())
    case |= {"lens": [PROBE | knobs], "promises": []}
    path = spec.with_name("bad.yaml")
    path.write_text(yaml.safe_dump(case))
    with pytest.raises(SpecError, match=line):
        check(path)


def test_two_looks_that_come_to_one_claim_are_refused(spec: Path) -> None:
    case = yaml.safe_load(spec.read_text())
    path = spec.with_name("two.yaml")
    for other, line in (({"concept": "past"}, ""), ({"method": "logistic"}, "same claim as lens.0.probe, probe.tense")):
        path.write_text(yaml.safe_dump(case | {"lens": [PROBE, PROBE | other], "promises": []}))
        if not line:
            check(path)
            continue
        with pytest.raises(SpecError, match=line):
            check(path)


def test_a_direction_is_not_tried_on_what_it_was_taken_from(spec: Path) -> None:
    for name, start in (("taken", 0), ("tried", 15)):
        rows = [{"prompt": f"Say {i}.", "kind": ("harmful", "harmless")[i % 2]} for i in range(start, start + 16)]
        (spec.parent / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    case = yaml.safe_load(spec.read_text())
    case |= {"lens": [{"by": "steer", "requests": ["taken.jsonl"], "tried": ["tried.jsonl"]}], "promises": []}
    path = spec.with_name("steer.yaml")
    path.write_text(yaml.safe_dump(case))
    with pytest.raises(SpecError, match=r"tried.jsonl:1: stands under 'requests' too"):
        check(path)


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        (99, r"layer.yaml:\d+: lens.0.probe.layer: layer 99 is not there: the model has 2 blocks, 0 to 1 \(or -1"),
        (-3, r"lens.0.probe.layer: layer -3 is not there"),
        ("middle", r"lens.0.probe.layer: 'middle' names no block: a block is named by its number from 0"),
        (1.5, r"lens.0.probe.layer: 1.5 names no block"),
        (True, r"lens.0.probe.layer: True names no block"),
    ],
)
def test_a_layer_that_the_model_has_not_is_an_error_before_the_run(spec: Path, layer: object, line: str) -> None:
    case = yaml.safe_load(spec.read_text())
    path = spec.with_name("layer.yaml")
    path.write_text(yaml.safe_dump(case | {"lens": [PROBE | {"layer": layer}], "promises": []}))
    with pytest.raises(SpecError, match=line) as error:
        check(path)
    assert len(error.value.problems) == 1
    for right in (0, 1, -1, -2, 0.5):
        path.write_text(yaml.safe_dump(case | {"lens": [PROBE | {"layer": right}], "promises": []}))
        check(path)


def test_how_many_blocks_a_model_has_is_read_from_its_files(spec: Path, tmp_path: Path) -> None:
    assert blocks_of(resolve("./model", spec.parent)) == 2
    assert blocks_of(ModelRef("owner/name", "hub", None, None)) is None
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {"num_hidden_layers": 7}}))
    assert blocks_of(ModelRef("x", "folder", tmp_path, None)) == 7
