"""Does the model of a run behave in llama.cpp as it did when it was measured?"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from llama_server import ask
from rich.console import Console
from run_case import make_project
from typer.testing import CliRunner

import alignwright as aw
from alignwright.cli import app
from alignwright.core.records import Conversation
from alignwright.files.models import BUNDLED, ModelError, resolve
from alignwright.model import drafts, local_model
from alignwright.model.gguf_file import write_gguf
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.sampling import Sample, sample
from alignwright.run.export.verify import verify
from alignwright.run.llama_cpp import serving
from alignwright.run.progress import View

PROMPTS = ["What is the capital of France?", "Say no, 1234 times.", "Write a line about rain, please."]
TEXTS = ["It's 12345 o'clock -- isn't it?", " two  spaces\n\n\ttabs", "Zoë naïve 北京 🙂", "<|im_end|>x", "a_b(c)"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> aw.Run:
    spec = make_project(tmp_path_factory.mktemp("project"))
    return aw.align(spec, runs=spec.parent / "runs", quiet=True)


def test_the_command_writes_a_file_that_is_the_run_s_model(run: aw.Run, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["export", str(run.path), "--to", "gguf:f16", "--no-verify", "--out", str(tmp_path / "a.gguf")]
    )
    assert done.exit_code == 0, done.output
    assert "a.gguf" in done.output
    reader = gguf.GGUFReader(tmp_path / "a.gguf")
    written = next(tensor.data for tensor in reader.tensors if tensor.name == "blk.0.ffn_down.weight")
    start = load(run.path.parent.parent / "model")
    measured, before = (
        model.model.get_parameter("model.layers.0.mlp.down_proj.weight").detach().half().numpy()
        for model in (run.model(), start)
    )
    assert np.array_equal(written, measured)
    assert not np.array_equal(written, before)  # the control: it is not the model that training began with


@pytest.mark.parametrize("to", ["gguf:q4_k_m", "gguf", "onnx"])
def test_what_cannot_be_written_is_refused_by_name(run: aw.Run, to: str) -> None:
    with pytest.raises(ValueError, match=to):
        aw.export(run.path, to=to, quiet=True)


def test_the_file_answers_the_promises_again_through_transformers(run: aw.Run, tmp_path: Path) -> None:
    done = aw.export(run.path, to="gguf:f16", out=tmp_path / "a.gguf", engine="transformers", ask="all", quiet=True)
    assert done.verification is not None
    assert [(p.before, p.now.answer, p.asked) for p in done.verification.promises] == [("kept", "kept", True)] * 2
    pairs = next(f for f in done.verification.differences if f.claim == "value.pairs")
    assert (pairs.value, pairs.n) == (pytest.approx(0.0, abs=0.1), 12)
    bits = next(f for f in done.verification.differences if f.claim == "tax.bits_per_byte")
    assert bits.value == pytest.approx(0.0, abs=0.01)
    same, of = done.verification.same_replies
    assert of >= 12
    assert same > of / 2
    assert done.exit_code == 0


def test_only_what_a_promise_rests_on_is_asked_again(run: aw.Run, tmp_path: Path) -> None:
    whole = aw.export(run.path, to="gguf:f16", out=tmp_path / "a.gguf", engine="transformers", ask="all", quiet=True)
    asked = aw.export(run.path, to="gguf:f16", out=tmp_path / "b.gguf", engine="transformers", quiet=True)
    assert whole.verification is not None
    assert asked.verification is not None
    assert [(p.promise, p.now.answer, p.now.reason) for p in asked.verification.promises] == [
        (p.promise, p.now.answer, p.now.reason) for p in whole.verification.promises
    ]
    claims = {f.claim: f for f in whole.verification.differences}
    assert {f.claim for f in asked.verification.differences} == {
        "value.pairs",
        "value.pairs.be_kind",
        "tax.bits_per_byte",
    }
    assert [(f.value, f.low, f.high, f.n) for f in asked.verification.differences] == [
        (claims[f.claim].value, claims[f.claim].low, claims[f.claim].high, claims[f.claim].n)
        for f in asked.verification.differences
    ]
    left_out = ("instruction.format", "instruction.format_loose", "value.refusal", "value.over_refusal")
    assert asked.verification.not_asked == (*left_out, "attack.success", "attack.not_refused")
    assert whole.verification.not_asked == ()
    assert list(asked.verification.lines())[-1].endswith("attack.success, attack.not_refused")


@pytest.mark.parametrize(
    ("options", "option"),
    [({"verify": False, "engine": "transformers"}, "--engine"), ({"verify": False, "ask": "all"}, "--ask")],
)
def test_an_option_of_asking_without_it_is_refused(run: aw.Run, options: dict[str, Any], option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} has no effect with --no-verify; leave it out"):
        aw.export(run.path, to="gguf:f16", quiet=True, **options)


@pytest.mark.parametrize("options", [{"engine": "vllm"}, {"ask": "some"}])
def test_a_choice_that_is_none_is_refused(run: aw.Run, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is not known; choose from"):
        aw.export(run.path, to="gguf:f16", quiet=True, **options)


def test_drafts_of_the_measured_model_change_no_answer_and_spare_the_decoding(
    run: aw.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file, asked with and without the measured model's replies as drafts."""
    decoded: list[int] = []

    def counting(policy: LocalModel, prompts: Sequence[Sequence[int]], **kwargs: Any) -> list[list[Sample]]:
        rows = sample(policy, prompts, **kwargs)
        decoded.append(sum(len(each.ids) for row in rows for each in row))
        return rows

    for module in (drafts, local_model):
        monkeypatch.setattr(module, "sample", counting)
    heard: list[tuple[int, list[str]]] = []
    for name in ("with", "without"):
        if name == "without":
            monkeypatch.setattr(LocalModel, "drafts", property(lambda _: {}, lambda *_: None), raising=False)
        decoded.clear()
        path = tmp_path / name / "a.gguf"
        aw.export(run.path, to="gguf:f16", out=path, engine="transformers", ask="all", quiet=True)
        answers = sorted((path.parent / "a.gguf.verify" / "answers").rglob("outcomes.jsonl"))
        heard.append((sum(decoded), [file.read_text() for file in answers]))
    assert heard[0][1] == heard[1][1]
    assert heard[0][0] < 0.7 * heard[1][0]  # a random model writes torn characters, which are no draft


def test_a_file_of_another_model_changes_a_verdict_and_the_exit_code(run: aw.Run, tmp_path: Path) -> None:
    """The control: a file whose weights are spoilt does not keep what the measured model kept."""
    spoilt = run.model()
    with torch.no_grad():
        spoilt.model.get_input_embeddings().weight.mul_(30.0)
    path = write_gguf(spoilt, tmp_path / "b.gguf", "f16", facts={})
    verification = verify(run.path, path, View(Console(quiet=True)), engine="transformers")
    answers = {p.promise: (p.before, p.now.answer) for p in verification.promises}
    assert answers["tax.bits_per_byte < 9"] == ("kept", "broken")
    assert verification.exit_code == 1
    assert any(line.startswith("CHANGED: tax.bits_per_byte") for line in verification.lines())


@pytest.mark.model
def test_the_file_answers_in_llama_cpp_what_can_be_asked_there(run: aw.Run, tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="llama.cpp's server is not installed: pip install xllamacpp")
    done = aw.export(run.path, to="gguf:f16", out=tmp_path / "a.gguf", engine="llama.cpp", ask="all", quiet=True)
    assert done.verification is not None
    assert [(p.now.answer, p.asked) for p in done.verification.promises] == [("untested", False)] * 2
    claims = {f.claim for f in done.verification.differences}
    assert any(claim.startswith("instruction.") for claim in claims)
    assert "attack.success" in claims
    assert not claims & {"value.pairs", "tax.bits_per_byte"}
    same, of = done.verification.same_replies
    assert of >= 12
    assert same > of / 2
    assert done.exit_code == 3  # log-probabilities of given text cannot be asked of a server


@pytest.mark.model
def test_llama_cpp_reads_and_answers_as_the_measured_model(tmp_path: Path, run: aw.Run) -> None:
    pytest.importorskip("xllamacpp", reason="llama.cpp's server is not installed: pip install xllamacpp")
    _agree(run.model(), tmp_path, replies=3, tokens=8)


@pytest.mark.model
def test_the_bundled_model_too(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="llama.cpp's server is not installed: pip install xllamacpp")
    try:
        resolve(BUNDLED)
    except ModelError as error:
        pytest.skip(str(error))
    _agree(load(BUNDLED), tmp_path, replies=3, tokens=8)


def _agree(measured: LocalModel, folder: Path, *, replies: int, tokens: int) -> None:
    """llama.cpp on the file: the same ids, the same rendered prompt, the same greedy replies."""
    path = write_gguf(measured, folder / "m.gguf", "f16", facts={"name": "m"})
    with serving(path, slots=1, context=512, threads=1) as (address, _):
        for text in TEXTS:
            _, answer = ask(f"{address}/tokenize", {"content": text, "parse_special": False})
            assert answer["tokens"] == measured.chat.reply(text, end=False), text
        for prompt in PROMPTS[:replies]:
            messages = [{"role": "user", "content": prompt}]
            _, rendered = ask(f"{address}/apply-template", {"messages": messages})
            _, ids = ask(f"{address}/tokenize", {"content": rendered["prompt"], "parse_special": True})
            assert ids["tokens"] == measured.chat.prompt(Conversation.user(prompt))
            body = {"messages": messages, "max_tokens": tokens, "temperature": 0}
            _, answer = ask(f"{address}/v1/chat/completions", body)
            own = measured.generate([Conversation.user(prompt)], max_new_tokens=tokens, temperature=0.0)[0][0]
            assert answer["choices"][0]["message"]["content"].strip() == own.text.strip()


@pytest.mark.parametrize("change", [{"epochs": None}, {"patience": 3}])
def test_a_run_of_another_version_is_told_so(run: aw.Run, tmp_path: Path, change: dict[str, int | None]) -> None:
    """A knob that effort fills and that the run's version had not, and one that this version has not."""
    other = tmp_path / "run"
    shutil.copytree(run.path, other)
    spec = json.loads((other / "spec" / "resolved.json").read_text())
    spec["train"][0] |= change
    (other / "spec" / "resolved.json").write_text(json.dumps(spec))
    (knob,) = change
    where = {"spec_folder": run.path.parent.parent, "engine": "transformers", "out": tmp_path / "a.gguf"}
    with pytest.raises(ValueError, match=rf"made by another version of Alignwright, .* in train\.0.*\.{knob};"):
        aw.export(other, to="gguf:f16", quiet=True, **where)
