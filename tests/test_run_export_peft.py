"""Does a run's adapter, opened by peft over its base, give the model that was measured?"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from export_case import SPEC, aligned, project
from peft import AutoPeftModelForCausalLM
from tiny import make_base, make_tiny
from tiny_gguf import write_gguf
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

import alignwright as aw
from alignwright.cli import app
from alignwright.core.records import Conversation
from alignwright.run.export.base_model import base_model
from alignwright.run.run_folder import resolved_experiment

# what peft asks of transformers by an old name
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
CHAT = Conversation.user("What is the capital of France? <|im_end|> 12")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> aw.Run:
    return aligned(project(tmp_path_factory.mktemp("project")))


def opened(folder: Path) -> dict[str, Any]:
    """What the Python in the adapter's README.md leaves, run as it stands there."""
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code.replace('"this folder"', repr(str(folder))), names)
    return names


def logits(model: Any, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0]


def agree(run: aw.Run, model: Any, base: Any = None) -> None:
    """The logits of a conversation are those of the measured model; those of `base` are not."""
    measured = run.model()
    ids = [*measured.chat.prompt(CHAT), *measured.chat.reply("It is Paris.")]
    expected = logits(measured.model, ids)
    assert torch.allclose(logits(model, ids), expected, atol=1e-4), (logits(model, ids) - expected).abs().max()
    if base is not None:
        assert (logits(base, ids) - expected).abs().max() > 0.1


def test_the_python_of_the_readme_opens_the_measured_model(run: aw.Run) -> None:
    done = CliRunner().invoke(app, ["export", str(run.path), "--to", "peft"])
    assert done.exit_code == 0, done.output
    folder = run.path / "export" / "peft"
    names = opened(folder)
    agree(run, names["model"], AutoModelForCausalLM.from_pretrained(run.path.parent.parent / "model"))
    measured = run.model()
    messages = [{"role": "user", "content": "What is it?"}]
    ids = names["tokenizer"].apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert ids == measured.chat.prompt(Conversation.user("What is it?"))


def test_the_folder_alone_is_enough_for_a_base_that_is_a_folder(run: aw.Run, tmp_path: Path) -> None:
    done = aw.export(run.path, to="peft", out=tmp_path / "adapter", quiet=True)
    assert any(str(run.path.parent.parent / "model") in line for line in done.lines)
    agree(run, AutoPeftModelForCausalLM.from_pretrained(tmp_path / "adapter", dtype=torch.float32).eval())


def test_nobody_s_files_are_lost(run: aw.Run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not an empty folder"):
        aw.export(run.path, to="peft", out=tmp_path, quiet=True)
    first = aw.export(run.path, to="peft", quiet=True).path
    (first / "old.txt").write_text("of an earlier export")
    assert aw.export(run.path, to="peft", quiet=True).path == first
    assert not (first / "old.txt").exists()
    assert not list(first.parent.glob(".*"))


@pytest.mark.parametrize("tied", [True, False])
def test_rows_of_a_given_template_are_the_adapter_s_too(tmp_path: Path, tied: bool) -> None:
    spec = project(tmp_path, SPEC.replace("model: ./model", "model: ./base\nchat: chatml"))
    make_base(tmp_path / "base", tie_word_embeddings=tied)
    run = aligned(spec)
    names = opened(aw.export(run.path, to="peft", quiet=True).path)
    agree(run, names["model"])
    start = AutoModelForCausalLM.from_pretrained(tmp_path / "base").get_input_embeddings().weight.mean(0)
    agree(run, plain := names["model"].merge_and_unload())
    (row,) = names["tokenizer"].convert_tokens_to_ids(["<|im_start|>"])
    merged, measured = (model.get_input_embeddings().weight[row] for model in (plain, run.model().model))
    assert torch.equal(merged, measured)
    assert (measured - start).abs().max() > 0.01  # the control: the row did learn


def test_a_base_in_a_gguf_file_is_opened_from_that_file(tmp_path: Path) -> None:
    spec = project(tmp_path, SPEC.replace("./model", "./tiny.gguf\nchat: chatml"))
    write_gguf(tmp_path / "model", tmp_path / "tiny.gguf")
    run = aligned(spec)
    done = aw.export(run.path, to="peft", quiet=True)
    names = opened(done.path)
    agree(run, names["model"])
    assert json.loads((done.path / "adapter_config.json").read_text())["base_model_name_or_path"] == "tiny.gguf"
    assert any("over the unrounded weights" in line for line in done.lines)


@pytest.mark.parametrize("gguf", [False, True])
def test_a_base_in_4_bits_is_opened_in_4_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gguf: bool) -> None:
    why = "bases in 4 bits need bitsandbytes: pip install 'alignwright[quant]'"
    Linear4bit = pytest.importorskip("bitsandbytes", reason=why).nn.Linear4bit
    model = "./tiny.gguf\nchat: chatml" if gguf else "./wide"
    spec = project(tmp_path, SPEC.replace("./model", f"{model}\nquantization: nf4"))
    make_tiny(tmp_path / "wide", hidden_size=64, intermediate_size=128)
    write_gguf(tmp_path / "wide", tmp_path / "tiny.gguf")
    run = aligned(spec)
    monkeypatch.chdir(tmp_path)  # a GGUF file's plain weights are written to ./base first
    names = opened(aw.export(run.path, to="peft", quiet=True).path)
    layers = [m for m in names["base"].modules() if type(m) is Linear4bit]
    assert len(layers) == 14
    for layer in layers:  # bitsandbytes multiplies in bfloat16 where the processor has it, the run in float32
        layer.support_avx512bf16_for_cpu = False
    agree(run, names["model"])


def test_an_average_of_stages_is_one_adapter(tmp_path: Path) -> None:
    stages = "- {by: sft, data: chats.jsonl, lr: 0.05}\n- {by: average, start: train.0.sft, share: 0.25}\nmeasure:"
    run = aligned(project(tmp_path, SPEC.replace("measure:", stages)))
    assert run.stages[-1] == "train.2.average"
    agree(run, opened(aw.export(run.path, to="peft", quiet=True).path)["model"])


def test_a_run_that_trained_all_weights_has_no_adapter(tmp_path: Path) -> None:
    run = aligned(project(tmp_path, SPEC.replace("rank: 4", "rank: 0")))
    with pytest.raises(ValueError, match=r"train.0.sft trained all weights.*--to hub"):
        aw.export(run.path, to="peft", quiet=True)
    assert not (run.path / "export").exists()


def test_an_audit_has_no_adapter(tmp_path: Path) -> None:
    run = aligned(
        project(
            tmp_path, SPEC.partition("train:")[0] + "measure:" + SPEC.partition("measure:")[2].partition("promises:")[0]
        )
    )
    with pytest.raises(FileNotFoundError, match="trained nothing"):
        aw.export(run.path, to="peft", quiet=True)


def test_a_spoilt_adapter_is_not_passed_on(tmp_path: Path) -> None:
    run = aligned(project(tmp_path))
    (weights,) = run.path.glob("stages/*train.0.sft/adapter/adapter_model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    with pytest.raises(ValueError, match="not what the stage left"):
        aw.export(run.path, to="peft", quiet=True)


def test_a_base_on_the_hub_is_named_by_its_id_and_one_that_is_gone_by_its_name(run: aw.Run) -> None:
    experiment = resolved_experiment(run.path)
    base = base_model(experiment.model_copy(update={"model": "owner/name"}), run.path)
    assert (base.name, base.note) == ("owner/name", "")
    assert 'from_pretrained("owner/name", dtype="float32")' in base.opening
    gone = base_model(experiment.model_copy(update={"model": "./gone"}), run.path)
    assert gone.name == "./gone"
    assert "the base model is not here now" in gone.note
