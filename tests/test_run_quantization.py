"""A whole run over a base in 4 bits: every kind of training, saved as what was measured, resumed and
audited; and refused with its line where it cannot be."""

from __future__ import annotations

import importlib.util
import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from run_case import make_project
from tiny import make_tiny

from alignwright.experiment.cache_key import start_fingerprint
from alignwright.experiment.load import load as read
from alignwright.files.errors import SpecError
from alignwright.files.models import BUNDLED, ModelError, resolve
from alignwright.files.quantization import weight_bytes, why_not_quantized
from alignwright.job.judge_cache import judge_cache
from alignwright.model.load import load
from alignwright.run import align as align_module
from alignwright.run.align import Request, align, estimate
from alignwright.run.progress import View

needed = pytest.mark.skipif(why_not_quantized() is not None, reason=f"{why_not_quantized()}")
SMALL = """
name: small
seed: 1
model: ./model
quantization: nf4
intent: {pairs: [pairs.jsonl], prompts: [prompts.jsonl]}
feedback: [{by: written}]
train:
- {by: sft, data: chosen, epochs: 2, rank: 2, lr: 1e-3, batch_tokens: 200}
- {by: dpo, epochs: 1, batch_tokens: 200}
- {by: reward, epochs: 1, no_signal: use, batch_tokens: 200}
- {by: grpo, reward: reward, prompts: 2, samples: 2, max_new_tokens: 4, batch_tokens: 200}
- {by: average, share: 0.5}
attack: [{by: suite, name: jailbreaks, prompts: [refusal.jsonl], limit: 2, max_new_tokens: 4}]
measure: [{by: tax, text: [text.jsonl]}]
"""


def project(folder: Path, **change: str) -> Path:
    spec = make_project(folder)
    make_tiny(folder / "model", hidden_size=64, intermediate_size=128)
    text = SMALL
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new)
    spec.write_text(text)
    return spec


@needed
def test_a_run_over_4_bits_trains_measures_saves_resumes_and_is_audited(tmp_path: Path) -> None:
    spec = project(tmp_path)
    run = align(Request(spec, runs=tmp_path / "runs"), View(Console(file=io.StringIO())))
    findings = [json.loads(line) for line in (run / "findings.jsonl").read_text().splitlines()]
    bits = {f["stage"]: f["value"] for f in findings if f["claim"] == "tax.bits_per_byte"}
    assert list(bits) == ["baseline", "train.0.sft", "train.1.dpo", "train.3.grpo", "train.4.average"]
    change = bits["train.4.average"]
    assert abs(change) > 1e-3, "training did something"
    assert "kept in 4 bits (NF4)" in (run / "README.md").read_text()
    # resumed: nothing is done again
    ledger = (run / "ledger.json").read_bytes()
    assert align(Request(spec, runs=tmp_path / "runs"), View(Console(file=io.StringIO()))) == run
    assert (run / "ledger.json").read_bytes() == ledger
    # the saved model, audited as it is, measures as the last model did
    audit = align(Request(spec, runs=tmp_path / "runs", audit=str(run / "model")), View(Console(file=io.StringIO())))
    again = [json.loads(line) for line in (audit / "findings.jsonl").read_text().splitlines()]
    (level,) = (f["value"] for f in again if f["claim"] == "tax.bits_per_byte")
    assert level == pytest.approx(bits["baseline"] + change, abs=1e-5)
    assert not any("quantization" in path.read_text() for path in run.glob("*/config.json"))


@needed
@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("rank: 2", "rank: 0", "9: train.0.sft.rank: 0, with 'quantization: nf4': weights in 4 bits cannot be trained"),
        ("nf4", "int8", "5: quantization: "),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(tmp_path: Path, old: str, new: str, line: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(project(tmp_path, **{old: new}))
    assert any(f"spec.yaml:{line}" in problem for problem in caught.value.problems), caught.value.problems


def test_without_bitsandbytes_an_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, find = project(tmp_path), importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else find(name))
    advice = "needs bitsandbytes, not installed here: pip install 'alignwright\\[quant\\]'"
    with pytest.raises(SpecError, match=f"5: quantization: a base in 4 bits {advice}"):
        read(spec)
    with pytest.raises(ModelError, match=advice):
        load(tmp_path / "model", quantization="nf4")


@needed
def test_bits_are_part_of_what_names_the_start_model(tmp_path: Path) -> None:
    spec = read(project(tmp_path))
    whole = spec.model_copy(update={"quantization": None}).at(spec.folder)
    assert start_fingerprint(spec) != start_fingerprint(whole)
    assert spec.id != whole.id
    runs = [tmp_path / name for name in ("a", "b", "c")]
    for run in runs:
        run.mkdir()
    keys = [
        judge_cache(judge, "./model", tmp_path, run, bits).key("a question")
        for run, judge, bits in zip(runs, ("self", "self", "./model"), ("nf4", None, "nf4"), strict=True)
    ]
    assert keys[0] != keys[1] == keys[2], "a judge that is named is kept whole"


@needed
def test_the_estimate_counts_bits(tmp_path: Path) -> None:
    spec = project(tmp_path)
    ref = resolve("./model", tmp_path)
    linear = sum(p.numel() for n, p in load(tmp_path / "model").model.named_parameters() if "_proj" in n)
    assert ref.parameters is not None
    assert weight_bytes(ref, ref.parameters, None) == 4 * ref.parameters
    assert weight_bytes(ref, ref.parameters, "nf4") == 4 * (ref.parameters - linear) + linear * 4.5 / 8
    run = estimate(Request(spec, runs=tmp_path / "runs"))
    less = estimate(Request(spec, ("quantization=null",), runs=tmp_path / "runs")).memory_gb - run.memory_gb
    assert less == pytest.approx((4 - 4.5 / 8) * linear / 1e9, rel=1e-6)
    assert align_module.start_fingerprint(read(spec)).endswith("-nf4")


@pytest.mark.model
def test_the_bundled_model_is_read_from_a_quarter_of_its_bytes() -> None:
    ref = resolve(BUNDLED)
    assert ref.parameters is not None
    assert weight_bytes(ref, ref.parameters, None) == pytest.approx(538e6, rel=0.01)
    assert weight_bytes(ref, ref.parameters, "nf4") == pytest.approx(173e6, rel=0.02)
